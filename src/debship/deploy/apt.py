"""The words that make apt and dpkg do one thing each, and the meaning of what they print. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from debship.errors import Misused, Refused
from debship.model import DebVersion, PackageName

Argv = tuple[str, ...]

SOURCE = "/etc/apt/sources.list.d/debship.sources"  # written by bootstrap
KEYRING = "/etc/apt/keyrings/debship.asc"  # for an apt that reads no key inside a source
DISAGREE = b"Sources disagree on hashes"  # what apt says where two have a version of other bytes
READS_KEYS = DebVersion("2.3.10")  # apt since then does: Debian 12, Ubuntu 22.04

# sudo and systemd drop the environment, so it travels in the command (facts: deploy.md 4.5).
_ENVIRONMENT = ("env", "DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_SUSPEND=1", "LC_ALL=C.UTF-8")
_KEEP = ("-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold")
_ONE_SOURCE = ("-o", f"Dir::Etc::sourcelist={SOURCE}", "-o", "Dir::Etc::sourceparts=-")
# apt's own cache is of all sources: one of a single source must not take its place.
_NO_CACHE = ("-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=")
_LOCK = ("-o", "DPkg::Lock::Timeout=120")


def with_key_beside(sources: str) -> tuple[str, str]:
    """Take the key out of a source (sources.list(5), Signed-By).

    Args:
        sources: the deb822 text with the key inside, as its last field.

    Returns:
        the text that names ``KEYRING`` instead; and the key.
    """
    head, _, inside = sources.partition("Signed-By:\n")
    lines = ("" if line == " ." else line.removeprefix(" ") for line in inside.splitlines())
    return f"{head}Signed-By: {KEYRING}\n", "".join(f"{line}\n" for line in lines)


def update() -> Argv:
    """Read the one source that matters; an index that cannot be read is an error."""
    return (
        *_ENVIRONMENT,
        "apt-get",
        "-q",
        *_ONE_SOURCE,
        "-o",
        "APT::Get::List-Cleanup=0",
        "-o",
        "APT::Update::Error-Mode=any",
        "update",
    )


def _install(*options: str, package: PackageName, version: DebVersion) -> Argv:
    return (
        *_ENVIRONMENT,
        "apt-get",
        "-y",
        "-q",
        "--allow-downgrades",
        "--allow-change-held-packages",
        "--no-install-recommends",
        *options,
        *_LOCK,
        *_KEEP,
        "install",
        f"{package}={version}",
    )


def install(
    package: PackageName, version: DebVersion, *, reinstall: bool = False, held: bool = False
) -> Argv:
    """Install what was fetched before, without the network.

    Args:
        reinstall: also where dpkg has this version already.
        held: an administrator has it on hold (apt-mark(8)), which the installation undoes. It is
            held again before apt lets dpkg's lock go: an unattended upgrade may wait for that.
    """
    again = ("--reinstall",) if reinstall else ()
    # apt holds the lock that dpkg would wait for in vain (dpkg(1), DPKG_FRONTEND_LOCKED).
    hold = f"DPkg::Post-Invoke::=DPKG_FRONTEND_LOCKED=1 {' '.join(hold_words(package))}"
    keep = ("-o", hold) if held else ()
    return _install("--no-download", *again, *keep, package=package, version=version)


def hold_words(package: PackageName) -> Argv:
    """Put a package on hold; it fails at once where somebody has dpkg's lock."""
    return ("apt-mark", "hold", package)


def install_ahead(targets: Sequence[str]) -> Argv:
    """Install packages that nothing on the host uses yet; apt may take them away with their user.

    Args:
        targets: ``NAME=VERSION`` each.
    """
    return (
        *_ENVIRONMENT,
        "apt-get",
        "-y",
        "-q",
        "--no-download",
        "--no-install-recommends",
        "-o",
        "APT::Get::Mark-Auto=true",  # --mark-auto is refused by apt 2.0, which ignores this
        *_LOCK,
        "install",
        *targets,
    )


def installed(targets: Sequence[str]) -> Argv:
    """Ask dpkg for ``NAME=VERSION`` of packages; see ``parse_installed``."""
    names = (target.partition("=")[0] for target in targets)
    return ("dpkg-query", "-W", "-f=${db:Status-Abbrev}|${Package}=${Version}\\n", *names)


def parse_installed(text: str) -> frozenset[str]:
    """Read which ``NAME=VERSION`` are wholly installed."""
    rows = (line.partition("|") for line in text.splitlines())
    return frozenset(target for abbrev, _, target in rows if abbrev.strip() == "ii")


def fetch(package: PackageName, version: DebVersion) -> Argv:
    """Fetch a version and what it needs, also where it is installed already."""
    return _install("--download-only", "--reinstall", package=package, version=version)


def simulate(package: PackageName, version: DebVersion) -> Argv:
    """Say what an installation would do; see ``parse_simulation``."""
    return _install("--simulate", package=package, version=version)


def check() -> Argv:
    """Wait for dpkg's lock and have apt look whether anything is broken."""
    return (*_ENVIRONMENT, "apt-get", "-q", *_LOCK, "check")


def configure() -> Argv:
    """Finish what an interrupted dpkg left."""
    return (
        *_ENVIRONMENT,
        "dpkg",
        "--force-confdef",
        "--force-confold",
        "--configure",
        "-a",
    )


def available(package: PackageName) -> Argv:
    """List the versions that the repository offers, and no other source; see ``parse_available``."""
    return ("apt-cache", *_ONE_SOURCE, *_NO_CACHE, "madison", package)


def parse_available(text: str) -> tuple[DebVersion, ...]:
    """Read the versions that ``apt-cache madison`` printed, the newest first."""
    rows = (line.split("|") for line in text.splitlines())
    return tuple(
        sorted({DebVersion(row[1].strip()) for row in rows if len(row) == 3}, reverse=True)
    )


_INST = re.compile(r"^Inst (?P<name>\S+)(?: \[(?P<old>\S+)\])? \((?P<new>\S+)")
_CONF = re.compile(r"^Conf (?P<name>\S+)")
_REMV = re.compile(r"^(?:Remv|Purg) (?P<name>\S+)")


@dataclass(frozen=True, slots=True)
class Change:
    """A package that changes because another is installed."""

    name: str
    old: str | None  # version; None where it is new on the host
    new: str

    def __str__(self) -> str:
        """Say it to people: ``libfoo (new)``, ``libfoo (1.0 to 1.1)``."""
        return f"{self.name} ({f'{self.old} to {self.new}' if self.old else 'new'})"


def parse_simulation(text: str, package: PackageName, address: str) -> tuple[Change, ...]:
    """Read what an installation would do besides installing the package.

    Raises:
        Refused: it would remove or downgrade another package.
    """
    also = []
    for line in text.splitlines():
        if removed := _REMV.match(line):
            raise Refused(
                f"{address}: installing {package} would remove {removed['name']}",
                "install it by hand there first, or mend the package's dependencies",
            )
        found = _INST.match(line)
        if not found or found["name"] == package:
            continue
        if found["old"] and DebVersion(found["new"]) < DebVersion(found["old"]):
            raise Refused(
                f"{address}: installing {package} would take {found['name']} "
                f"from {found['old']} back to {found['new']}"
            )
        also.append(Change(found["name"], found["old"], found["new"]))
    return tuple(also)


def half_done(text: str, package: PackageName) -> tuple[str, ...]:
    """Find in a simulation what would be configured and not unpacked: others that dpkg has half done."""
    unpacked = {line["name"] for line in map(_INST.match, text.splitlines()) if line}
    names = (line["name"] for line in map(_CONF.match, text.splitlines()) if line)
    return tuple(name for name in names if name not in {package, *unpacked})


def touched(also: Sequence[Change], left: Sequence[str]) -> str:
    """Say what of others that is on the host an installation touches; or "".

    Whoever runs apt finishes what a dpkg left that was cut off, and here without its services, for
    they see DEBSHIP_ROLL.

    Args:
        left: what is half done, and by nobody any more.
    """
    told = [f"changes {change}" for change in also if change.old]
    told += [f"finishes {name}, which a dpkg that was cut off left" for name in left]
    return f"apt also {', '.join(told)}; what runs of it goes on as it is" if told else ""


def ahead(also: Sequence[Change], package: PackageName) -> tuple[str, ...]:
    """Choose what can be installed while the old version serves, as ``NAME=VERSION``.

    That is a package of dependencies alone (``layout = "split"``): named by its content, it stands
    beside the one in use. Whatever else is new might replace something, or start a service.
    """
    mine = f"{package}-deps-"
    return tuple(f"{c.name}={c.new}" for c in also if c.old is None and c.name.startswith(mine))


def choose(wanted: str | None, offered: tuple[DebVersion, ...], package: PackageName) -> DebVersion:
    """Find the version that a person means.

    Args:
        wanted: a whole version, or its upstream part alone, as people say it (``1.4.0`` for
            ``1.4.0-1``; the newest revision is taken); None is the newest.
        offered: what the sources offer, the newest first.

    Raises:
        Misused: nothing offered is meant by it.
    """
    if not offered:
        raise Misused(
            f"the repository has no package {package}",
            "publish it first (debship publish), or see: debship repo list",
        )
    if wanted is None:
        return offered[0]
    exact = [version for version in offered if version.text == wanted]
    meant = exact or [version for version in offered if version.upstream == wanted]
    if meant:
        return meant[0]
    newest = ", ".join(str(version) for version in offered[:5])
    raise Misused(f"{package} {wanted} is not in the repository", f"it has {newest}")


def unit_name(package: PackageName) -> str:
    """The unit that carries apt: one for each package, so it is the host's own lock."""
    return f"debship-install-{package}.service"


def carried(argv: Argv, package: PackageName, roll: str) -> Argv:
    """Run a command in a transient unit that outlives the connection.

    The call ends when the command does; the unit stays, with its result and its log, so that
    whoever reconnects can ask. Maintainer scripts see DEBSHIP_ROLL and leave services alone.
    """
    return (
        "systemd-run",
        "--quiet",
        f"--unit={unit_name(package)}",
        "--property=Type=oneshot",
        "--property=RemainAfterExit=yes",
        "--property=TimeoutStartSec=900",
        f"--setenv=DEBSHIP_ROLL={roll}",
        "--setenv=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "--",
        *argv,
    )
