"""Everything slow or fallible, done on a host while it still serves."""

from dataclasses import dataclass

from debship.deploy import apt
from debship.deploy.clock import Clock
from debship.deploy.host import Answer, Host
from debship.deploy.installation import mend, settled
from debship.deploy.observation import HostState
from debship.errors import Failed, Refused
from debship.model import DebVersion, PackageName

# Installed-Size is in KiB (Policy 5.6.20); dpkg unpacks the new files before it removes the old.
_ROOM = """need=$(apt-cache show --no-all-versions "$1=$2" | sed -n 's/^Installed-Size: //p' | head -n 1)
look() {
    free=$(df -kP -- "$1" | tail -n 1 | tr -s ' ' | cut -d ' ' -f 4)
    [ "${free:-0}" -ge "$2" ] || echo "short $1 has $free KiB free, and $2 are needed"
}
look /usr $((${need:-0} + 16384))
look /var/lib/dpkg 16384
"""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What preparation found on a host."""

    state: HostState
    also: tuple[str, ...]  # what the installation will change besides the package


def refresh(host: Host, package: PackageName) -> tuple[DebVersion, ...]:
    """Read the repository's index on a host; the versions it offers, the newest first.

    Raises:
        Failed: the source is not there or cannot be read.
    """
    there = host.run(("test", "-r", apt.SOURCE))
    if there.returncode != 0:
        raise Failed(
            f"{host.address}: {apt.SOURCE} is missing", "prepare the host: fab bootstrap --app APP"
        )
    _must(host, host.run(apt.update(), timeout=120), "the repository could not be read")
    answer = _must(host, host.run(apt.available(package)), "apt-cache failed")
    return apt.parse_available(answer.text)


def prepare(
    host: Host,
    package: PackageName,
    version: DebVersion,
    files: tuple[str, ...],
    *,
    roll: str,
    clock: Clock,
) -> Prepared:
    """Wait for dpkg, mend it where that is ours to do, fetch both ways, and simulate.

    After this the installation needs no network, and so does the way back.

    Raises:
        Refused: the installation would do what nobody asked for.
        Failed: the host cannot be made ready; it still serves as before.
    """
    state = settled(host, package, files, clock)
    if not (state.package.installed or state.package.absent):
        state = mend(host, package, state, files, roll=roll, clock=clock)
    _must(host, host.run(apt.check(), timeout=180), "apt finds packages broken or locked")
    if state.package.version == version and state.package.installed:
        return Prepared(state, ())
    _must(host, host.run(apt.fetch(package, version), timeout=600), f"{version} was not fetched")
    if state.package.version is not None and state.package.installed:
        back = host.run(apt.fetch(package, state.package.version), timeout=600)
        if back.returncode != 0:
            raise Refused(
                f"{host.address}: the way back is closed: {package} {state.package.version} "
                f"is no longer in the repository",
                "publish it again, or keep more versions",
            )
    _must_have_room(host, package, version)
    dry = _must(host, host.run(apt.simulate(package, version)), "the installation cannot work")
    return Prepared(state, apt.parse_simulation(dry.text, package, host.address))


def _must_have_room(host: Host, package: PackageName, version: DebVersion) -> None:
    """See that the new files fit beside the old ones: apt looks only at its archives."""
    answer = host.run(("sh", "-c", _ROOM, "debship-room", package, str(version)))
    short = [line for line in answer.text.splitlines() if line.startswith("short ")]
    if short:
        told = "; ".join(line.removeprefix("short ") for line in short)
        raise Failed(f"{host.address}: the disk is too full for {package} {version}: {told}")


def _must(host: Host, answer: Answer, what: str) -> Answer:
    if answer.returncode != 0:
        raise Failed(f"{host.address}: {what}\n{answer.complaint}")
    return answer
