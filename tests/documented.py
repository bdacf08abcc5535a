"""The commands that a document tells a user to type, held against those that exist."""

import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
from invoke.tasks import Task

from debship import fabfile
from debship.cli.main import _COMMANDS, cli

_LINE = re.compile(r"(?<![\w./-])(?:\.?[\w/]*/bin/)?(?P<line>(?:debship|fab) [^`#|\n]*)")


def commands(document: Path) -> Iterator[list[str]]:
    """Every command line of ours in a document's code, as words."""
    for code in _code(document):
        for match in _LINE.finditer(code.replace("\\\n", " ")):
            yield shlex.split(match["line"], comments=True)


def _code(document: Path) -> list[str]:
    text = document.read_text()
    if document.suffix != ".md":
        return [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    fences = re.findall(r"^ *```(?:sh|console|yaml)\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    return [*fences, *re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)]


def unknown(words: list[str]) -> str | None:
    """What in a command does not exist; None where all does."""
    program, *rest = words
    if program == "fab":
        return _unknown_task(rest)
    command: click.Command = cli
    name = "debship"
    for word in rest:
        if word.startswith("-"):
            option = word.partition("=")[0]
            known = {opt for p in command.params for opt in (*p.opts, *p.secondary_opts)}
            if option not in known | {"--help", "--version", "-h"}:
                return f"{name} {option}"
        elif command is cli:
            if word not in _COMMANDS:
                return f"{name} {word}"
            command = importlib.import_module(f"debship.cli.{word}").command
            name = f"debship {word}"
        elif isinstance(command, click.Group):
            inner = command.commands.get(word)
            if inner is None:
                return f"{name} {word}"
            command, name = inner, f"{name} {word}"
    return None


def _unknown_task(rest: list[str]) -> str | None:
    found = getattr(fabfile, rest[0], None)
    if not isinstance(found, Task):
        return f"fab {rest[0]}"
    known = {f"--{name}" for argument in found.get_arguments() for name in argument.names}
    options = [word.partition("=")[0] for word in rest if word.startswith("-")]
    return next((f"fab {rest[0]} {option}" for option in options if option not in known), None)
