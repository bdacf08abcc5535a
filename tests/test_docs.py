"""Every command in the documents exists, and every link leads somewhere."""

import re
from pathlib import Path

import pytest

from documented import commands, unknown

TOP = Path(__file__).parents[1]
PAGES = sorted(
    [*TOP.glob("*.md"), *TOP.glob("docs/**/*.md"), *TOP.glob("debian-templates/**/*.md")]
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_its_commands_exist(page: Path) -> None:
    missing = {found for words in commands(page) if (found := unknown(words))}
    assert missing == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_its_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    dead = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert dead == []


def test_the_tutorial_goes_all_the_way() -> None:
    typed = [" ".join(words[:3]) for words in commands(TOP / "docs" / "tutorial.md")]
    way = [
        "debship build",
        "debship lab up",
        "debship repo init",
        "debship publish",
        "fab deploy",
        "debship lab down",
    ]
    places = [next(i for i, line in enumerate(typed) if line.startswith(step)) for step in way]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        ("debship biuld", "debship biuld"),
        ("debship build --outptu x", "debship build --outptu"),
        ("debship repo initt", "debship repo initt"),
        ("debship lab up --store x", "debship lab up --store"),
        ("fab deplyo --app x", "fab deplyo"),
        ("fab deploy --ap x", "fab deploy --ap"),
        ("debship lab up --hosts 3", None),
        ("fab deploy --app x --version 1", None),
    ],
)
def test_what_does_not_exist_is_found(words: str, missing: str | None) -> None:
    assert unknown(words.split()) == missing
