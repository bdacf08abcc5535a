"""`debship lab`: real Debian hosts on this machine, to rehearse on."""

from pathlib import Path
from typing import Any

import click

from debship.cli.cache import cache_folder
from debship.cli.output import progress, show_json

_NAME = click.option("--name", default="default", show_default=True, help="Which lab.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
_STATE = click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("/var/lib/debship/lab"),
    show_default=True,
    help="The folder that holds labs, a folder each.",
)


@click.group()
def command() -> None:
    """Boot real Debian hosts on this machine, to rehearse on.

    Each is booted by systemd-nspawn, with an address, sshd, apt and systemd of its own; HAProxy
    stands in front, and a repository is served to them. Needs root.
    """


@command.command("up")
@_NAME
@click.option("--hosts", default=3, show_default=True, help="How many.")
@click.option(
    "--release", "releases", multiple=True, help="A codename; several go round. [bookworm]"
)
@click.option(
    "--fleet",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The fleet.toml to rehearse.  [./fleet.toml where there is one]",
)
@click.option("--package", "packages", multiple=True, help="A Debian package that hosts have.")
@click.option("--containers", is_flag=True, help="Hosts may run containers of their own.")
@click.option("--backend", "backends", multiple=True, help="NAME=PORT/healthpath to balance.")
@_STATE
@_JSON
def up(
    *,
    name: str,
    hosts: int,
    releases: tuple[str, ...],
    fleet: Path | None,
    packages: tuple[str, ...],
    backends: tuple[str, ...],
    containers: bool,
    state: Path,
    as_json: bool,
) -> None:
    """Switch a lab on; print its addresses.

    One that was cut off is finished, one that lost a host gets it back. It leaves a fleet.toml and a fabfile.py: `cd` there, and `fab deploy` rehearses the roll.
    """
    from debship.config.fleet_file import read_fleet
    from debship.lab.needs import check_machine
    from debship.lab.plan import check_name, parse_backend
    from debship.lab.rehearsal import backends_of
    from debship.lab.up import plan_here
    from debship.lab.up import up as switch_on
    from debship.run import run

    check_name(name)
    fleet = fleet or (Path("fleet.toml") if Path("fleet.toml").is_file() else None)
    asked = tuple(parse_backend(text) for text in backends)
    rehearsed = backends_of(read_fleet(fleet)) if fleet else ()
    check_machine()
    plan = plan_here(
        name,
        state=state.resolve() / name,
        run=run,
        cache=cache_folder() / "roots",
        hosts=hosts,
        releases=releases or ("bookworm",),
        packages=packages,
        backends=(*rehearsed, *asked),
        containers=containers,
    )
    with progress() as say:
        lab = switch_on(plan, fleet=fleet, run=run, say=say)
    _show({**lab.describe(run=run), "changed": lab.changed}, "lab up", as_json)


@command.command("down")
@_NAME
@_STATE
def down(name: str, state: Path) -> None:
    """Take a lab away, with everything in it."""
    from debship.lab.down import down as switch_off
    from debship.lab.needs import check_machine
    from debship.lab.plan import RUNTIME, check_name
    from debship.run import run

    check_name(name)
    check_machine()
    with progress() as say:
        if not switch_off(state.resolve() / name, runtime=RUNTIME, run=run, say=say):
            say(f"there is no lab {name}")


@command.command("status")
@_STATE
@_JSON
def status(state: Path, as_json: bool) -> None:
    """Show the labs of this machine."""
    from debship.lab.down import labs
    from debship.run import run

    found = [lab.describe(run=run) for lab in labs(state.resolve())]
    if as_json:
        show_json("lab status", {"labs": found})
        return
    for described in found:
        _show(described, "lab status", False)


def _show(lab: dict[str, Any], command_name: str, as_json: bool) -> None:
    if as_json:
        show_json(command_name, lab)
        return
    rows = [
        *((h["name"], h["address"], f"{h['release']}, {h['state']}") for h in lab["hosts"]),
        *((name, url, "balancer") for name, url in lab["frontends"].items()),
        ("haproxy", lab["haproxy"]["sockets"][0], "runtime socket"),
        ("repository", lab["repository"]["url"], lab["repository"]["store"]),
        ("fleet", lab["fleet"], ""),
    ]
    state = "up" if lab["whole"] else "not whole; debship lab up repairs it"
    was = "" if lab.get("changed", True) else ", as it was; nothing changed"
    print(f"lab {lab['name']}: {state}{was}")
    for row in rows:
        print("  {:<12}{:<36}{}".format(*row).rstrip())
