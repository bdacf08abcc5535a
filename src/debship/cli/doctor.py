"""`debship doctor`: what this machine lacks for which command."""

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import click

from debship.cli.output import show_json


@dataclass(frozen=True, slots=True)
class Need:
    """A program or file that a command uses, and the Debian package that has it."""

    command: str
    what: str  # a program's name, or an absolute path
    package: str


NEEDS = (
    Need("build", "dpkg", "dpkg"),
    Need("build", "dpkg-shlibdeps", "dpkg-dev"),
    Need("build", "objdump", "binutils"),
    Need("build", "git", "git"),
    Need("build --lint", "lintian", "lintian"),
    Need("build --verify", "faketime", "faketime"),
    Need("build --release", "mmdebstrap", "mmdebstrap"),
    Need("build --release", "unshare", "util-linux"),
    Need("build --release", "nsenter", "util-linux"),
    Need(
        "build --release",
        "/usr/share/keyrings/debian-archive-keyring.gpg",
        "debian-archive-keyring",
    ),
    Need("publish", "gpg", "gpg"),
    Need("publish", "gpg-agent", "gpg-agent"),
    Need("repo", "gpg", "gpg"),
    Need("repo", "gpg-agent", "gpg-agent"),
    Need("image", "docker", "docker.io"),
    Need("lab", "mmdebstrap", "mmdebstrap"),
    Need("lab", "systemd-nspawn", "systemd-container"),
    Need("lab", "haproxy", "haproxy"),
    Need("lab", "ip", "iproute2"),
    Need("lab", "ssh-keygen", "openssh-client"),
    Need("lab", "/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring"),
    Need("fab", "ssh-keygen", "openssh-client"),
)
# Who is not root is root of a namespace, with ids that subuid(5) grants.
FOR_USERS = (
    Need("build --release", "newuidmap", "uidmap"),
    Need("build --release", "newgidmap", "uidmap"),
)
COMMANDS = tuple(dict.fromkeys(need.command for need in NEEDS))


def missing(needs: Iterable[Need], has: Callable[[str], bool]) -> tuple[Need, ...]:
    """Say which needs are not met."""
    return tuple(need for need in needs if not has(need.what))


def install_line(lacking: Iterable[Need]) -> str | None:
    """Give the one line that installs what is missing; None where nothing is."""
    packages = sorted({need.package for need in lacking})
    return f"apt-get install --no-install-recommends {' '.join(packages)}" if packages else None


def _has(what: str) -> bool:
    """Look where root looks too: /usr/sbin is not on every user's PATH."""
    if what.startswith("/"):
        return Path(what).exists()
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    return shutil.which(what, path=path) is not None


@click.command("doctor")
@click.argument("commands", nargs=-1, type=click.Choice(COMMANDS), metavar="[COMMAND]...")
@click.option("--json", "as_json", is_flag=True, help="Print the result for machines.")
@click.pass_context
def command(context: click.Context, *, commands: tuple[str, ...], as_json: bool) -> None:
    """Say what this machine lacks for which command, and the one line that installs it.

    Exits with 1 where something is missing.
    """
    asked = commands or COMMANDS
    needs = NEEDS if os.geteuid() == 0 else (*NEEDS, *FOR_USERS)
    lacking = missing((need for need in needs if need.command in asked), _has)
    line = install_line(lacking)
    lacks = {name: [need.what for need in lacking if need.command == name] for name in asked}
    if as_json:
        show_json("doctor", {"lacks": lacks, "install": line})
    else:
        width = max(8, *map(len, lacks))
        for name, programs in lacks.items():
            print(f"{name:<{width}} {'lacks ' + ', '.join(programs) if programs else 'ok'}")
        if line:
            print(f"\n{line}")
    context.exit(1 if lacking else 0)
