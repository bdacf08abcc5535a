"""`debship init`: ask the five questions."""

import contextlib
import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from debship.cli.output import show_json
from debship.errors import Failed, Misused, Refused
from debship.run import Run, run

if TYPE_CHECKING:
    from debship.config.draft import Draft

_CI = {"gitlab": Path(".gitlab-ci.yml"), "github": Path(".github/workflows/package.yml")}
_CI_SOURCE = {"gitlab": "gitlab-ci.yml", "github": "github-actions.yml"}


@click.command("init")
@click.argument(
    "directory",
    default=".",
    type=click.Path(exists=True, file_okay=False, path_type=Path, resolve_path=True),
)
@click.option("--yes", is_flag=True, help="Take every guess; ask nothing.")
@click.option("--force", is_flag=True, help="Overwrite what is there.")
@click.option(
    "--ci",
    type=click.Choice(["gitlab", "github", "none"]),
    help="Whose packaging stage is written; left out: whose files are there.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result for machines.")
def command(*, directory: Path, yes: bool, force: bool, ci: str | None, as_json: bool) -> None:
    """Answer the five questions about an application; write debship.toml.

    Answers are guessed from pyproject.toml. Also written: the packaging stage of CI, and a section
    of README.md where there is one. Prints the files written.
    """
    from debship.config.app_file import FILE, app_of
    from debship.config.draft import guess, render_draft
    from debship.config.toml import parse_toml, read_toml

    pyproject = directory / "pyproject.toml"
    draft = guess(
        directory, read_toml(pyproject) if pyproject.is_file() else {}, _who(os.environ, run)
    )
    draft = _answered(draft) if not yes else draft
    _check(draft)
    text = render_draft(draft)
    app_of(parse_toml(text, directory / FILE), directory / FILE)  # all mistakes, before a write
    written = _write({Path(FILE): text, **_stage(directory, ci)}, directory, force=force)
    written += _readme(directory)
    if as_json:
        show_json("init", {"files": [str(path) for path in written]})
        return
    for path in written:
        print(path)
    if draft.lock is None:
        click.echo("next: uv lock (every dependency with its hash), then: debship build", err=True)


def _who(environment: Mapping[str, str], run: Run) -> str | None:
    """Who maintains packages here: as Debian's tools ask (deb-changelog's DEBEMAIL), then git."""
    name, address = environment.get("DEBFULLNAME"), environment.get("DEBEMAIL")
    with contextlib.suppress(Failed):  # git need not be there
        name = name or run(["git", "config", "user.name"], check=False).text
        address = address or run(["git", "config", "user.email"], check=False).text
    return f"{name} <{address}>" if name and address else None


def _answered(draft: "Draft") -> "Draft":
    """Ask; an empty line takes the guess."""

    def ask(question: str, guess: str | None) -> str:
        answer: str = click.prompt(
            question, default=guess or "", show_default=bool(guess), err=True
        )
        return answer.strip()

    draft = dataclasses.replace(
        draft,
        name=ask("The package's name", draft.name),
        summary=ask("What it is, on one line", draft.summary),
        maintainer=ask("Who answers for it (Name <address>)", draft.maintainer) or None,
    )
    return dataclasses.replace(
        draft,
        needs=_words(ask("1 Debian packages that it needs to be built", " ".join(draft.needs))),
        build=ask("2 The command that builds it (empty: debship does)", draft.build) or None,
        depends=_words(ask("3 Debian packages that it needs to run", " ".join(draft.depends))),
        configs=_configs(
            draft.name,
            ask("4 Its configuration files", " ".join(source for _, source in draft.configs)),
        ),
        exec=ask("5 The command that starts it", draft.exec) or None,
    )


def _words(answer: str) -> tuple[str, ...]:
    return tuple(answer.replace(",", " ").split())


def _configs(name: str, answer: str) -> tuple[tuple[str, str], ...]:
    return tuple((f"/etc/{name}/{Path(word).name}", word) for word in _words(answer))


def _check(draft: "Draft") -> None:
    if draft.maintainer is None:
        raise Misused(
            "nobody is known to answer for the package",
            'authors = [{ name = "...", email = "..." }] in pyproject.toml, or DEBFULLNAME and '
            "DEBEMAIL in the environment",
        )
    if draft.exec is None:
        raise Misused(
            "no command is known that starts the service",
            "answer question 5 (debship init without --yes), or give the project a script",
        )


def _stage(directory: Path, ci: str | None) -> dict[Path, str]:
    from debship.template_files import directory as templates

    chosen = ci or ("github" if (directory / ".github").is_dir() else "gitlab")
    if chosen == "none" or (ci is None and (directory / _CI[chosen]).exists()):
        return {}
    return {_CI[chosen]: (templates() / "init" / _CI_SOURCE[chosen]).read_text()}


def _write(files: Mapping[Path, str], directory: Path, *, force: bool) -> list[Path]:
    there = [str(path) for path in files if (directory / path).exists()]
    if there and not force:
        raise Refused(f"{directory} has {' and '.join(there)} already", "--force overwrites")
    for path, text in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text)
    return [directory / path for path in files]


def _readme(directory: Path) -> list[Path]:
    from debship.template_files import directory as templates

    readme = directory / "README.md"
    if not readme.is_file() or "debship" in readme.read_text():
        return []
    with readme.open("a") as file:
        file.write((templates() / "init" / "README.md").read_text())
    return [readme]
