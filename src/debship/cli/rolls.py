"""A roll, from what was typed to the report: what the Fabric tasks that roll share."""

import getpass
import os
import secrets
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from debship.cli.doors import open_doors
from debship.cli.output import progress, read_or_not, show_error, show_json, show_texts
from debship.cli.person import ask_before, stopping
from debship.errors import Failed, Misused


@dataclass(frozen=True)
class Typed:
    """What was typed."""

    command: str
    app: str
    fleet: str
    json: bool
    html: str = ""
    events: str = ""
    plan: bool = False
    pause: bool = False


def roll(typed: Typed, **wishes: Any) -> int:
    """Roll, or plan it.

    Args:
        typed: what was typed of the output.
        wishes: of the roll, as ``Order`` names them; ``undo`` is so only where the fleet says so too.

    Returns:
        the exit code.

    Raises:
        Misused: something typed cannot be.
    """
    from debship.deploy import recipe

    if wishes["unknown_hooks"] not in {"", "done", "again"}:
        raise Misused(f"--unknown-hooks {wishes['unknown_hooks']}", "done, or again")
    if typed.pause and not sys.stdin.isatty():
        raise Misused("--pause asks a person, and there is no terminal here")
    file, surroundings, world = open_doors(typed.fleet, typed.app, typed.events)
    settings = surroundings.app
    ordered = order(**{**wishes, "undo": wishes["undo"] and settings.undo})
    if typed.plan:
        plan = recipe.plan(file, settings, world, ordered)
        _write(typed, plan.as_dict(), plan.lines())
        return 0
    carry_on = ask_before if typed.pause else lambda _hosts: True
    with progress() as say, stopping(say) as stop:

        def once(app: Any, only: tuple[str, ...], version: str | None) -> Any:
            mine = replace(ordered, only=only, version=version) if only else ordered
            return recipe.deploy(file, app, world, mine, say=say, stop=stop, carry_on=carry_on)

        report = surroundings.roll(once, say)
    return show(typed, settings, world, report)


def show(typed: Typed, settings: Any, world: Any, report: Any) -> int:
    """Print a report, and write its page where one is wanted; the exit code."""
    from debship.deploy.campaign import where_journals_lie

    journal = where_journals_lie(world.env, settings, report.roll)
    found = {**report.as_dict(), "journal": str(journal)}
    _write(typed, found, (*report.lines(), f"journal: {journal}"))
    code = int(report.exit_code)
    if typed.html:
        try:
            _write_page(Path(typed.html), report)
        except Failed as error:  # the roll is over, and how it ended is worth more
            show_error(error)
            code = code or error.exit_code
    return code


def _write_page(path: Path, report: Any) -> None:
    from debship.deploy.page import page

    try:
        path.write_text(page(report), "utf-8")
    except OSError as error:
        raise Failed(f"{path}: the report cannot be written: {error.strerror}") from error


def _write(typed: Typed, found: Mapping[str, Any], lines: Sequence[str]) -> None:
    with read_or_not():
        if typed.json:
            show_json(typed.command, found)
        else:
            show_texts(lines)


def order(**wishes: Any) -> Any:
    """Give an order its number, and whose it is."""
    from debship.deploy.recipe import Order

    number = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    return Order(number, f"{_user()}@{socket.gethostname()}", **wishes)


def _user() -> str:
    """Whose roll it is; a container's user may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"
