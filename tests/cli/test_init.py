"""`debship init`, as a user runs it."""

import errno
import json
import os
import tomllib
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from debship.cli.init import command
from debship.config.app_file import read_app
from debship.config.draft import Draft, render_draft
from debship.errors import DebshipError, Misused, Refused

PYPROJECT = """[project]
name = "My_Shop"
version = "1.0"
description = "Sells things"
authors = [{ name = "Ann", email = "ann@example.com" }]
dependencies = ["flask>=3", "gunicorn"]
[project.scripts]
shop-admin = "my_shop:main"
"""
ENVIRONMENT = {"DEBFULLNAME": "Bob", "DEBEMAIL": "bob@example.com"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    (folder / "src" / "my_shop").mkdir(parents=True)
    (folder / "src" / "my_shop" / "wsgi.py").touch()
    for name in ("uv.lock", "shop.conf"):
        (folder / name).touch()
    (folder / "pyproject.toml").write_text(PYPROJECT)
    return folder


def _init(folder: Path, *words: str, answers: str = ""):
    result = CliRunner().invoke(command, [str(folder), *words], input=answers, env=ENVIRONMENT)
    if isinstance(result.exception, DebshipError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def test_guesses_are_an_application(project: Path, golden) -> None:
    result = _init(project, "--yes")
    written = [project / "debship.toml", project / ".gitlab-ci.yml"]
    assert result.stdout.splitlines() == [str(path) for path in written]
    golden("init/debship.toml", written[0].read_text())
    app = read_app(project)
    assert (app.name, app.maintainer) == ("my-shop", "Ann <ann@example.com>")
    assert app.services[0].exec == "gunicorn --bind 0.0.0.0:8000 my_shop.wsgi:app"


def test_what_configures_the_tools_of_its_developers_is_no_conffile(project: Path) -> None:
    for name in ("tox.ini", "pytest.ini", "mypy.ini", ".hidden.conf", "uwsgi.ini"):
        (project / name).touch()
    _init(project, "--yes", "--ci", "none")
    assert [config.path.name for config in read_app(project).configs] == ["shop.conf", "uwsgi.ini"]


@pytest.mark.parametrize(
    "line", ["project = 3", "project.scripts = 3", 'project.scripts = ["a"]', "project.urls = 3"]
)
def test_of_a_project_that_is_amiss_what_can_be_read_is(project: Path, line: str) -> None:
    (project / "pyproject.toml").write_text(line + "\n")
    with pytest.raises(Misused, match="no command is known that starts the service"):
        _init(project, "--yes")


def test_answers_go_before_guesses(project: Path) -> None:
    (project / "etc").mkdir()
    (project / "etc" / "a.ini").touch()
    answers = "shop\nA shop\nEve <eve@example.com>\nlibpq-dev\nmake wheel\nlibpq5, libxml2\netc/a.ini\nshop-admin serve --port 80\n"
    _init(project, "--ci", "none", answers=answers)
    app = read_app(project)
    assert (app.name, app.summary, app.maintainer) == ("shop", "A shop", "Eve <eve@example.com>")
    assert (app.build.needs, app.build.command) == (("libpq-dev",), "make wheel")
    assert app.run.depends == ("libpq5", "libxml2")
    assert str(app.configs[0].path) == "/etc/shop/a.ini"
    assert app.services[0].port == 80
    assert app.build.lock == project / "uv.lock"


def test_an_empty_answer_takes_the_guess(project: Path) -> None:
    _init(project, answers="\n" * 8)
    asked = read_app(project)
    _init(project, "--yes", "--force")
    assert read_app(project) == asked


def test_what_is_there_is_not_overwritten(project: Path) -> None:
    (project / "debship.toml").write_text("mine")
    with pytest.raises(Refused, match=r"has debship\.toml already"):
        _init(project, "--yes")
    assert (project / "debship.toml").read_text() == "mine"
    assert not (project / ".gitlab-ci.yml").exists()
    _init(project, "--yes", "--force")
    assert read_app(project).name == "my-shop"


def test_a_ci_file_of_ones_own_is_let_be(project: Path) -> None:
    (project / ".gitlab-ci.yml").write_text("mine")
    assert _init(project, "--yes").stdout.split() == [str(project / "debship.toml")]
    assert (project / ".gitlab-ci.yml").read_text() == "mine"


def test_below_the_top_of_a_repository_no_stage_is_written_that_nothing_reads(
    project: Path,
) -> None:
    (project.parent / ".git").mkdir()
    result = _init(project, "--yes")
    assert result.stdout.split() == [str(project / "debship.toml")]
    assert "no stage of CI is written: it is read at the top" in result.stderr
    asked = _init(project, "--yes", "--force", "--ci", "github")
    assert ".github/workflows/package.yml" in asked.stdout
    (project / ".git").touch()  # as a submodule or a work tree has it
    (project / ".github/workflows/package.yml").unlink()
    assert ".github/workflows/package.yml" in _init(project, "--yes", "--force").stdout


def test_where_there_is_github_its_stage_is_written(project: Path) -> None:
    (project / ".github").mkdir()
    assert ".github/workflows/package.yml" in _init(project, "--yes").stdout


def test_the_readme_gets_one_section(project: Path) -> None:
    (project / "README.md").write_text("# Shop\n")
    assert str(project / "README.md") in _init(project, "--yes").stdout
    text = (project / "README.md").read_text()
    assert text.startswith("# Shop\n\n## Packaging\n")
    _init(project, "--yes", "--force")
    assert (project / "README.md").read_text() == text


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ("A B\n" + "\n" * 7, "app.name: "),
        ("\n" * 6 + "no.conf\n\n", r"config\[0\]\.source: there is no file"),
        ("\n" * 7 + "/bin/sh\n", r"service\[0\]\.exec: "),
    ],
)
def test_a_bad_answer_writes_nothing(project: Path, answers: str, says: str) -> None:
    with pytest.raises(Misused, match=says):
        _init(project, answers=answers)
    assert not (project / "debship.toml").exists()


def test_without_a_command_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Misused, match="no command is known that starts the service"):
        _init(tmp_path, "--yes")
    assert list(tmp_path.iterdir()) == []


def test_without_a_project_the_folder_gives_the_name(tmp_path: Path) -> None:
    folder = tmp_path / "My Tool"
    folder.mkdir()
    result = _init(folder, "--json", "--ci", "none", answers="\n" * 7 + "tool run\n")
    assert json.loads(result.stdout)["result"] == {"files": [str(folder / "debship.toml")]}
    app = read_app(folder)
    assert (app.name, app.maintainer) == ("my-tool", "Bob <bob@example.com>")


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(TEXT, TEXT, TEXT, st.lists(TEXT), st.lists(st.tuples(TEXT, TEXT)))
def test_any_answer_is_written_as_it_is(summary, maintainer, line, words, configs) -> None:
    draft = Draft(
        "x", summary, maintainer, line, tuple(words), line, tuple(words), tuple(configs), line
    )
    table = tomllib.loads(render_draft(draft))
    assert (table["app"]["summary"], table["app"]["maintainer"]) == (summary, maintainer)
    assert table["build"]["command"] == table["build"]["lock"] == line
    assert table["build"].get("needs", []) == table["run"].get("depends", []) == words
    assert [(c["path"], c["source"]) for c in table.get("config", [])] == configs
    assert table["service"][0]["exec"] == line


def _tree(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_readme_that_is_not_utf_8_keeps_its_bytes(project: Path) -> None:
    (project / "README.md").write_bytes(b"caf\xe9")
    _init(project, "--yes")
    assert (project / "README.md").read_bytes().startswith(b"caf\xe9\n\n## Packaging\n")


def test_a_folder_made_for_what_cannot_be_written_goes_again(project: Path, monkeypatch) -> None:
    before = set(project.rglob("*"))
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if "workflows" in path.parts:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DebshipError, match="No space left"):
        _init(project, "--yes", "--ci", "github")
    assert set(project.rglob("*")) == before


@pytest.mark.parametrize(
    ("folder", "file", "words", "says"),
    [
        ("debship.toml", None, ("--force",), r"debship\.toml is a folder"),
        (".gitlab-ci.yml", None, ("--ci", "gitlab", "--force"), r"\.gitlab-ci\.yml is a folder"),
        (None, ".github", ("--ci", "github"), r"package\.yml: Not a directory"),
    ],
)
def test_what_cannot_be_written_leaves_nothing(
    project: Path, folder: str | None, file: str | None, words: tuple[str, ...], says: str
) -> None:
    if folder:
        (project / folder).mkdir()
    if file:
        (project / file).touch()
    before = _tree(project)
    with pytest.raises(DebshipError, match=says) as raised:
        _init(project, "--yes", *words)
    assert raised.value.hint
    assert _tree(project) == before


def test_a_link_that_leads_nowhere_is_there_already(project: Path) -> None:
    (project / "debship.toml").symlink_to(project / "nowhere" / "x")
    with pytest.raises(Refused, match=r"has debship\.toml already"):
        _init(project, "--yes")
    _init(project, "--yes", "--force")
    assert read_app(project).name == "my-shop"
    assert not (project / "nowhere").exists()


def test_a_table_of_pyproject_is_not_said_twice(project: Path) -> None:
    with (project / "pyproject.toml").open("a") as file:
        file.write('[tool.debship.app]\nname = "shop"\n')
    before = _tree(project)
    with pytest.raises(Refused, match=r"\[tool\.debship\] of pyproject\.toml") as raised:
        _init(project, "--yes", "--force")
    assert raised.value.hint
    assert _tree(project) == before


def test_nobody_there_to_answer_is_told_what_takes_the_guesses(project: Path) -> None:
    with pytest.raises(Misused, match="nobody answers") as raised:
        _init(project, answers="\n")
    assert raised.value.hint == "--yes takes every guess"


def test_a_name_that_debian_forbids_has_a_way_out(project: Path) -> None:
    (project / "pyproject.toml").write_text(PYPROJECT.replace("My_Shop", "x"))
    with pytest.raises(Misused, match=r"app\.name: ") as raised:
        _init(project, "--yes")
    assert raised.value.hint == "debship init without --yes asks; answer otherwise"


def test_a_build_in_ci_has_the_history_that_versions_come_from(project: Path) -> None:
    _init(project, "--yes", "--ci", "github")
    _init(project, "--yes", "--ci", "gitlab", "--force")
    github = yaml.safe_load((project / ".github/workflows/package.yml").read_text())
    steps = github["jobs"]["package"]["steps"]
    checkout = next(i for i, step in enumerate(steps) if "checkout" in step.get("uses", ""))
    assert steps[checkout]["with"]["fetch-depth"] == 0
    before = " ".join(step.get("run", "") for step in steps[:checkout]).split()
    assert {"git", "ca-certificates"} <= set(before)  # else it fetches no history
    assert "safe.directory" in steps[checkout + 1]["run"]  # a container is not the runner's user
    gitlab = yaml.safe_load((project / ".gitlab-ci.yml").read_text())
    assert gitlab["package"]["variables"]["GIT_DEPTH"] == "0"
