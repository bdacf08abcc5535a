"""The reference page of the commands, made from the commands: it can say no other thing."""

import importlib.util
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import click
from invoke.tasks import Task

from debship import errors
from debship.cli.main import cli
from debship.errors import DebshipError

_START = """# The commands

Written by `make golden` from the commands themselves; do not edit.

Data goes to stdout, everything else to stderr. With `--json`, a command that has it prints one
object: `debship` is the version of its form, `command` what was asked, `result` the answer.

| exit code | |
| --- | --- |
"""


def reference() -> str:
    """Write the page, in Markdown."""
    parts = [_START, *_exit_codes()]
    context = click.Context(cli, info_name="debship")
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        parts.extend(_command(command, click.Context(command, parent=context, info_name=name)))
    for name, task in _tasks():
        parts.extend(_task(name, task))
    return "".join(parts)


def _tasks() -> Iterator[tuple[str, "Task[Any]"]]:
    """Load the tasks anew: a task that was once asked for its arguments has lost their help."""
    spec = importlib.util.find_spec("debship.fabfile")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in sorted(module.__all__):
        yield name, getattr(module, name)


def _exit_codes() -> Iterator[str]:
    yield "| 0 | It is done. |\n"
    family = (kind for kind in vars(errors).values() if inspect.isclass(kind))
    for kind in sorted(
        (kind for kind in family if issubclass(kind, DebshipError) and kind is not DebshipError),
        key=lambda kind: kind.exit_code,
    ):
        yield f"| {kind.exit_code} | {_text(kind.__doc__)} |\n"
    yield "| 130 | It was interrupted. |\n"


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    """A section for a command, then one for each of its own commands."""
    level = "##" if context.parent and context.parent.parent is None else "###"
    yield f"\n{level} {context.command_path}\n"
    yield from _paragraphs(command.help or "")
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _command(inner, click.Context(inner, parent=context, info_name=name))
        return
    yield f"\n```text\n{context.command_path} {' '.join(command.collect_usage_pieces(context))}\n```\n"
    # Not get_params(): it adds --help, by whatever names that was first asked for.
    records = (param.get_help_record(context) for param in command.params)
    yield from _rows({record[0]: record[1] for record in records if record and record[1]})


def _task(name: str, task: "Task[Any]") -> Iterator[str]:
    yield f"\n## fab {name}\n"
    yield from _paragraphs(inspect.getdoc(task.body) or "")
    rows = {}
    for argument in task.get_arguments():
        option = f"--{argument.name}"
        takes = " TEXT" if argument.takes_value else ""
        also = "".join(f", -{short}" for short in argument.names if len(short) == 1)
        rows[f"{option}{takes}{also}"] = argument.help or ""
    yield from _rows(rows)


def _rows(rows: Mapping[str, str]) -> Iterator[str]:
    yield "\n| option | |\n| --- | --- |\n"
    for option, says in rows.items():
        yield f"| `{option.replace('|', chr(92) + '|')}` | {_text(says)} |\n"


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        yield f"\n{_text(paragraph)}\n"


def _text(text: str | None) -> str:
    """Write a text on one line, fit for a cell of a table."""
    line = " ".join((text or "").replace("\b", "").split())
    return line.replace("|", "\\|").replace("<", "\\<")
