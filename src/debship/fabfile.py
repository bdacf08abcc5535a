"""The Fabric tasks: `from debship.fabfile import *` in a fabfile.py beside fleet.toml."""

import functools
import getpass
import os
import random
import secrets
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from debship.cli.output import progress, show_error, show_json
from debship.errors import DebshipError, Misused

__all__ = ["bootstrap", "deploy", "rollback", "status"]

_FLEET = {
    "app": "the application, as fleet.toml names it",
    "fleet": "the fleet file (default: the nearest fleet.toml)",
}
_ROLL = {
    **_FLEET,
    "plan": "print the plan and stop",
    "json": "print the report for machines",
}


def _shown(body: Callable[..., int | None]) -> Callable[..., None]:
    """Show errors as every debship command does, and end with the code that they know."""

    @functools.wraps(body)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        try:
            code = body(*args, **kwargs) or 0
        except DebshipError as error:
            show_error(error)
            code = error.exit_code
        except KeyboardInterrupt:
            print("interrupted; see: fab status", file=sys.stderr)
            code = 130
        if code:
            raise Exit(code=code)

    return wrapper


@task(help={**_ROLL, "version": "the version (default: the newest in the repository)"})
@_shown
def deploy(
    _: Context,
    app: str,
    version: str = "",
    plan: bool = False,
    fleet: str = "",
    json: bool = False,
) -> int:
    """Roll a version across the hosts: out of the balancer, changed, well, back, next."""
    order = _Order("deploy", app, fleet, plan=plan, json=json)
    return _roll(order, lambda _app, _hosts: version or None)


@task(
    help={**_ROLL, "version": "the version to go back to (default: the one before the last roll)"}
)
@_shown
def rollback(
    _: Context,
    app: str,
    version: str = "",
    plan: bool = False,
    fleet: str = "",
    json: bool = False,
) -> int:
    """Roll back to the version that the last roll replaced."""
    from debship.deploy.campaign import last_change, observe_all

    def find(settings: Any, hosts: Any) -> str:
        return version or str(last_change(observe_all(settings, hosts)))

    return _roll(_Order("rollback", app, fleet, plan=plan, json=json), find)


@task(help={**_FLEET, "json": "print it for machines"})
@_shown
def status(_: Context, app: str, fleet: str = "", json: bool = False) -> None:
    """Show every host: what is installed, what runs, its configuration, its balancers."""
    from debship.deploy import campaign
    from debship.deploy.places import find_places
    from debship.deploy.status import judge
    from debship.deploy.surroundings import names_of

    file, surroundings, world = _open(fleet, app)
    settings = surroundings.app
    with campaign.connected(names_of(settings), world.connect) as hosts:
        states = campaign.observe_all(settings, hosts)
        files, _secrets = campaign.render_all(file, settings, tuple(hosts), world)
        places = find_places(tuple(hosts), world.balancers, world.resolve)
    found = [judge(name, states[name], files[name], places[name]) for name in hosts]
    if json:
        show_json("status", {"app": app, "hosts": [host.as_dict() for host in found]})
        return
    width = max(len(host.host) for host in found)
    for host in found:
        drift = f"  DRIFT: {', '.join(host.drift)}" if host.drift else ""
        print(
            f"{host.host:<{width}}  installed {host.installed}  running {host.running}  "
            f"configuration {host.configuration}  {host.places}{drift}"
        )


@task(help=_FLEET)
@_shown
def bootstrap(_: Context, app: str, fleet: str = "") -> None:
    """Make bare Debian hosts able to receive: the apt source with its key."""
    from debship.cli.repository import target
    from debship.deploy import campaign
    from debship.deploy.bootstrap import bootstrap as prepare_host
    from debship.deploy.surroundings import names_of
    from debship.publish.suite import sources

    file, surroundings, world = _open(fleet, app)
    settings = surroundings.app
    repository = file.repository
    snapshot, keys = target(repository.store, repository.suite, ()).read()
    text = sources(snapshot, keys, repository.url)
    with campaign.connected(names_of(settings), world.connect) as hosts:
        changed = campaign.everywhere(
            hosts, lambda host: prepare_host(host, text), "the other hosts are ready"
        )
    for name, lines in changed.items():
        print(f"{name}: {', '.join(lines) or 'was ready'}")


@dataclass(frozen=True)
class _Order:
    """What was typed."""

    command: str
    app: str
    fleet: str
    plan: bool
    json: bool


def _roll(order: _Order, find: Callable[[Any, Any], str | None]) -> int:
    """The recipe of a roll, from the command line to the report."""
    from debship.deploy import campaign
    from debship.deploy.journal import Journal
    from debship.deploy.roll import roll
    from debship.deploy.surroundings import names_of

    file, surroundings, world = _open(order.fleet, order.app)
    settings = surroundings.app
    number = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    path = campaign.where_journals_lie(world.env, settings, number)
    by = f"{getpass.getuser()}@{socket.gethostname()}"

    def once(app: Any, known: str | None = None) -> Any:
        with campaign.connected(names_of(app), world.connect) as hosts:
            say(f"asking {len(hosts)} hosts which versions they can get")
            version = campaign.find_version(app, hosts, known or find(app, hosts))
            say(f"making {len(hosts)} hosts ready for {app.package} {version}")
            ready = campaign.make_ready(
                file, app, version, hosts, world, roll=number, by=by, dry=order.plan
            )
            if order.plan:
                return ready.plan
            return roll(
                ready.plan,
                ready.doors,
                clock=world.clock,
                journal=Journal(path, world.clock),
                say=say,
                together=campaign.together,
            )

    with progress() as say:
        if order.plan:
            plan = once(settings)
        else:
            report = surroundings.roll(once, say)
    if order.plan:
        if order.json:
            show_json(order.command, plan.as_dict())
        else:
            print("\n".join(plan.lines()))
        return 0
    if order.json:
        show_json(order.command, {**report.as_dict(), "journal": str(path)})
    else:
        print("\n".join((*report.lines(), f"journal: {path}")))
    return int(report.exit_code)


def _open(fleet: str, app: str) -> tuple[Any, Any, Any]:
    """Read the fleet and open the doors of one application."""
    from debship.config.fleet_file import find_fleet, read_fleet
    from debship.deploy import campaign
    from debship.deploy.aws import Aws
    from debship.deploy.balancer.opening import region_of_app
    from debship.deploy.clock import SystemClock
    from debship.deploy.host import FabricHost
    from debship.deploy.surroundings import open_surroundings
    from debship.run import run

    path = Path(fleet) if fleet else find_fleet(Path.cwd())
    if path is None:
        raise Misused("there is no fleet.toml here or above", "name it: --fleet FILE")
    file = read_fleet(path.absolute())
    settings = campaign.pick_app(file, app)
    clock = SystemClock()
    aws = Aws(clock, random.Random(), region_of_app(settings))  # noqa: S311 - spreads retries
    surroundings = open_surroundings(settings, aws, clock)
    world = campaign.World(
        connect=lambda name: FabricHost(name, file.ssh),
        balancers=surroundings.balancers,
        resolve=_resolve,
        run=run,
        env=os.environ,
        clock=clock,
        aws=aws,
    )
    return file, surroundings, world


def _resolve(name: str) -> frozenset[str]:
    try:
        return frozenset(str(found[4][0]) for found in socket.getaddrinfo(name, None))
    except OSError:
        return frozenset()
