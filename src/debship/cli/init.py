"""`debship init`: ask the five questions."""

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    project = read_toml(pyproject) if pyproject.is_file() else {}
    _check_described_once(directory, project)
    draft = guess(directory, project, _who(os.environ, run))
    draft = _answered(draft) if not yes else draft
    _check(draft)
    text = render_draft(draft)
    try:  # all mistakes, before a write
        app_of(parse_toml(text, directory / FILE), directory / FILE)
    except Misused as error:  # of a file that is not there yet
        raise Misused(error.message, "debship init without --yes asks; answer otherwise") from error
    files = {Path(FILE): text.encode(), **_stage(directory, ci)}
    _check_absent(files, directory, force=force)
    written = _write({**files, **_readme(directory)}, directory)
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
        try:
            answer: str = click.prompt(
                question, default=guess or "", show_default=bool(guess), err=True
            )
        except click.Abort as error:
            if isinstance(error.__context__, EOFError):
                click.echo(err=True)
                raise Misused(
                    "nobody answers: stdin is at its end", "--yes takes every guess"
                ) from None
            raise
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


def _check_described_once(directory: Path, project: Mapping[str, Any]) -> None:
    from debship.config.mistakes import found

    if next(found(project, "tool", "debship"), None) is not None:
        raise Refused(
            f"{directory}: [tool.debship] of pyproject.toml describes it already",
            "debship build, or take the table out first",
        )


def _stage(directory: Path, ci: str | None) -> dict[Path, bytes]:
    from debship.template_files import directory as templates

    if ci is None and _is_below_a_top(directory):
        told = "no stage of CI is written: it is read at the top of the repository alone"
        click.echo(f"{told} (--ci writes it here all the same)", err=True)
        return {}
    chosen = ci or ("github" if (directory / ".github").is_dir() else "gitlab")
    if chosen == "none" or (ci is None and (directory / _CI[chosen]).exists()):
        return {}
    return {_CI[chosen]: (templates() / "init" / _CI_SOURCE[chosen]).read_bytes()}


def _is_below_a_top(directory: Path) -> bool:
    """Whether a folder is one of several in a repository of git; a work tree has a file of that name."""
    tops = (folder / ".git" for folder in directory.parents)
    return not (directory / ".git").exists() and any(top.exists() for top in tops)


def _readme(directory: Path) -> dict[Path, bytes]:
    from debship.template_files import directory as templates

    readme = directory / "README.md"
    try:
        text = readme.read_bytes() if readme.is_file() else b"debship"
    except OSError as error:
        raise Refused(f"{readme}: {error.strerror}", "let it be read, and call again") from error
    if b"debship" in text:
        return {}
    gap = b"" if text.endswith(b"\n") or not text else b"\n"
    return {Path("README.md"): text + gap + (templates() / "init" / "README.md").read_bytes()}


def _check_absent(files: Iterable[Path], directory: Path, *, force: bool) -> None:
    there = [path for path in files if os.path.lexists(directory / path)]
    for path in there:
        if (directory / path).is_dir():
            raise Refused(f"{directory / path} is a folder", "move it out of the way")
    if there and not force:
        names = " and ".join(map(str, there))
        raise Refused(f"{directory} has {names} already", "--force overwrites")


def _take_away(folder: Path) -> None:
    with contextlib.suppress(OSError):  # there is something in it, as there is to be
        folder.rmdir()


def _write(files: Mapping[Path, bytes], directory: Path) -> list[Path]:
    """Write all files, or none."""
    with contextlib.ExitStack() as undo:
        new: list[tuple[Path, Path]] = []
        for path, content in files.items():
            target = directory / path
            target = target.resolve() if target.exists() else target
            try:
                missing = [folder for folder in target.parents if not folder.exists()]
                for folder in reversed(missing):
                    undo.callback(_take_away, folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                beside = target.with_name(f".{target.name}.debship-new")
                undo.callback(beside.unlink, missing_ok=True)
                beside.write_bytes(content)
                if target.exists():
                    shutil.copymode(target, beside)
            except OSError as error:
                way_out = "let it be written, and call again: nothing was written"
                raise Failed(f"{directory / path}: {error.strerror}", way_out) from error
            new.append((beside, target))
        for beside, target in new:
            beside.replace(target)
    return [directory / path for path in files]
