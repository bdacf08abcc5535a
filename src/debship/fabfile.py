"""The Fabric tasks: `from debship.fabfile import *` in a fabfile.py beside fleet.toml."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from debship.cli import rolls
from debship.cli.doors import open_doors
from debship.cli.new_hosts import print_sudoers, print_user_data, sources_of
from debship.cli.output import (
    progress,
    read_or_not,
    show_error,
    show_json,
    show_lines,
    tell,
)
from debship.cli.person import stopping
from debship.errors import DebshipError, Misused, Uncertain

__all__ = ["bootstrap", "config", "deploy", "history", "restore", "rollback", "status", "unlock"]

_FLEET = {
    "app": "the application, as fleet.toml names it",
    "fleet": "the fleet file (default: the nearest fleet.toml)",
}
_REPORT = {
    **_FLEET,
    "json": "print the report for machines",
    "html": "write the report with each host's timeline into this file",
    "events": "add each event as a JSON line to this file or named pipe, for chat and monitoring",
}
_ROLL = {
    **_REPORT,
    "plan": "print the plan and stop",
    "only": "this host alone (may be given again)",
    "pause": "ask before each batch but the first",
    "undo": "take back what was changed where the version fails (default: as the fleet says)",
    "unknown_hooks": "a hook whose end nobody knows did its work (done), or is to run again",
}


def _check_app(app: str, command: str) -> None:
    """See that the application is none of the options: invoke takes the first word for it."""
    if app.startswith("-"):
        raise Misused(f'"{app}" is no application', f"--app APP goes first; fab --help {command}")


def _shown(body: Callable[..., int | None]) -> Callable[..., None]:
    """Show errors as every debship command does, and end with the code that they know."""

    @functools.wraps(body)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        try:
            _check_app(kwargs.get("app", ""), body.__name__)
            code = body(*args, **kwargs) or 0
        except DebshipError as error:
            show_error(error)
            code = error.exit_code
        except KeyboardInterrupt:
            tell("interrupted; see: fab status")
            code = 130
        if code:
            raise Exit(code=code)

    return wrapper


@task(
    help={**_ROLL, "version": "the version (default: the newest in the repository)"},
    iterable=["only"],
)
@_shown
def deploy(  # noqa: PLR0917 - the options that a user types
    _: Context,
    app: str,
    version: str = "",
    plan: bool = False,
    only: Sequence[str] | None = None,
    pause: bool = False,
    undo: bool = True,
    unknown_hooks: str = "",
    fleet: str = "",
    json: bool = False,
    html: str = "",
    events: str = "",
) -> int:
    """Roll a version across the hosts: out of the balancer, changed, well, back, next."""
    typed = rolls.Typed("deploy", app, fleet, json, html, events, plan=plan, pause=pause)
    wishes = {"only": tuple(only or ()), "undo": undo, "unknown_hooks": unknown_hooks}
    return rolls.roll(typed, version=version or None, **wishes)


@task(
    help={**_ROLL, "version": "the version to go back to (default: the one before the last roll)"},
    iterable=["only"],
)
@_shown
def rollback(  # noqa: PLR0917 - the options that a user types
    _: Context,
    app: str,
    version: str = "",
    plan: bool = False,
    only: Sequence[str] | None = None,
    pause: bool = False,
    undo: bool = True,
    unknown_hooks: str = "",
    fleet: str = "",
    json: bool = False,
    html: str = "",
    events: str = "",
) -> int:
    """Roll back to the version that the last roll replaced."""
    typed = rolls.Typed("rollback", app, fleet, json, html, events, plan=plan, pause=pause)
    wishes = {"only": tuple(only or ()), "undo": undo, "unknown_hooks": unknown_hooks}
    return rolls.roll(typed, version=version or None, back=True, **wishes)


@task(
    help={name: said for name, said in _ROLL.items() if name not in {"undo", "unknown_hooks"}},
    iterable=["only"],
)
@_shown
def config(  # noqa: PLR0917 - the options that a user types
    _: Context,
    app: str,
    plan: bool = False,
    only: Sequence[str] | None = None,
    pause: bool = False,
    fleet: str = "",
    json: bool = False,
    html: str = "",
    events: str = "",
) -> int:
    """Roll configuration alone: the version stays, a host whose files differ gets them, and restarts."""
    typed = rolls.Typed("config", app, fleet, json, html, events, plan=plan, pause=pause)
    return rolls.roll(typed, config=True, only=tuple(only or ()), undo=True, unknown_hooks="")


@task(help=_REPORT)
@_shown
def restore(
    _: Context,
    app: str,
    fleet: str = "",
    json: bool = False,
    html: str = "",
    events: str = "",
) -> int:
    """Put back what a dead run left out; any machine can do it."""
    from debship.deploy import recipe

    typed = rolls.Typed("restore", app, fleet, json, html, events)
    file, surroundings, world = open_doors(fleet, app, events)
    with progress() as say, stopping(say) as stop:
        report = recipe.restore(file, surroundings.app, world, rolls.order(), say=say, stop=stop)
    return rolls.show(typed, surroundings.app, world, report)


@task(help={**_FLEET, "force": "also where its holder seems alive"})
@_shown
def unlock(_: Context, app: str, force: bool = False, fleet: str = "") -> int:
    """Show who holds the lock and since when, and break it."""
    from debship.deploy import recipe
    from debship.deploy.lock import NotBroken

    _file, surroundings, world = open_doors(fleet, app)
    found = recipe.unlock(surroundings.app, world, force=force)
    with read_or_not():
        show_lines(recipe.unlocked_lines(found))
    silent = found.silent.values()
    for hint in dict.fromkeys(error.hint for error in silent if error.hint):
        tell(f"hint: {hint}")
    unknown = Uncertain.exit_code if silent else 0
    return NotBroken.exit_code if any(isinstance(e, NotBroken) for e in silent) else unknown


@task(help={**_FLEET, "json": "print it for machines"})
@_shown
def history(_: Context, app: str, fleet: str = "", json: bool = False) -> None:
    """Show the rolls that the hosts remember, the newest first."""
    from debship.deploy import recipe

    _file, surroundings, world = open_doors(fleet, app)
    found = recipe.history(surroundings.app, world)
    with read_or_not():
        if json:
            show_json("history", {"app": app, **found.as_dict()})
        else:
            show_lines(found.lines())


@task(help={**_FLEET, "json": "print it for machines"})
@_shown
def status(_: Context, app: str, fleet: str = "", json: bool = False) -> int:
    """Show every host: what is installed, what runs, its configuration, its balancers."""
    from debship.deploy.status import look

    file, surroundings, world = open_doors(fleet, app)
    found = look(file, surroundings.app, world)
    with read_or_not():
        if json:
            show_json("status", {"app": app, "hosts": [host.as_dict() for host in found]})
        else:
            width = max(len(host.host) for host in found)
            show_lines(host.line(width) for host in found)
    for hint in dict.fromkeys(hint for host in found for hint in host.hints):
        tell(f"hint: {hint}")
    return Uncertain.exit_code if any(host.unknown for host in found) else 0


@task(
    help={
        **_FLEET,
        "login": "log in as this user, who may do everything as root (default: as the fleet says)",
        "sudoers": "print what an unprivileged user needs in /etc/sudoers.d, and stop",
        "user_data": "print cloud-init user data that installs what the fleet has, and stop",
    }
)
@_shown
def bootstrap(
    _: Context,
    app: str,
    login: str = "",
    sudoers: bool = False,
    user_data: bool = False,
    fleet: str = "",
) -> None:
    """Make bare hosts able to receive: the apt source with its key, and the gate."""
    from debship.deploy import campaign
    from debship.deploy.asking import everywhere
    from debship.deploy.bootstrap import bootstrap as prepare_host
    from debship.deploy.gate import gate_path, gate_program

    if sudoers:
        print_sudoers(app, fleet)
        return
    file, surroundings, world = open_doors(fleet, app, login=login)
    settings = surroundings.app
    if user_data:
        print_user_data(file, settings, world)
        return
    gate = (gate_path(settings), gate_program(settings)) if file.ssh.gate else None
    text = sources_of(file)
    with campaign.connected(campaign.host_names(settings), world.connect) as hosts:
        changed = everywhere(
            hosts,
            lambda host: prepare_host(host, text, gate, clock=world.clock),
            "every other host is ready",
            world.workers,
        )
    for name, lines in changed.items():
        print(f"{name}: {', '.join(lines) or 'was ready'}")
