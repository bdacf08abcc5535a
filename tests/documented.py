"""The commands that a document tells a user to type, held against those that exist."""

import importlib
import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click

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
    fences = re.findall(r"^```(?:sh|console|yaml)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
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
            if importlib.util.find_spec(f"debship.cli.{word}") is None:
                return None
            command, name = (
                importlib.import_module(f"debship.cli.{word}").command,
                f"debship {word}",
            )
        elif isinstance(command, click.Group):
            inner = command.commands.get(word)
            if inner is None:
                return f"{name} {word}"
            command, name = inner, f"{name} {word}"
    return None


def _unknown_task(rest: list[str]) -> str | None:
    if importlib.util.find_spec("debship.fabfile") is None:
        return None
    fabfile = importlib.import_module("debship.fabfile")
    tasks = {word for word in rest if not word.startswith("-")}
    return None if any(hasattr(fabfile, task) for task in tasks) or not tasks else f"fab {rest[0]}"
