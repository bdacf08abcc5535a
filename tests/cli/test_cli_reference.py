"""The reference of the commands is what the commands say."""

import re
from pathlib import Path

import pytest

from debship.cli.reference import reference

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "commands.md"


def test_it_is_generated(request: pytest.FixtureRequest) -> None:
    text = reference()
    if request.config.getoption("--update-golden"):
        PAGE.write_text(text)
    assert PAGE.read_text() == text, f"{PAGE.name} is old; `make golden` writes it anew"


def test_it_names_commands_options_tasks_and_codes() -> None:
    text = reference()
    for line in (
        "## debship build",
        "### debship repo init",
        "## fab deploy",
        "debship diff [OPTIONS] DEB DEB",
        "| `--exit-code` | Exit with 1 where they differ. |",
        "| 3 | Doing it would break a promise, so nothing was changed. |",
    ):
        assert line in text.splitlines()
    assert "the application, as fleet.toml names it" in text


def test_every_option_says_what_it_is_for() -> None:
    rows = [line for line in reference().splitlines() if line.startswith("| `-")]
    silent = [row for row in rows if re.fullmatch(r"\| `[^`]+` \| (\[.*\])? *\|", row)]
    assert len(rows) > 100
    assert silent == []
