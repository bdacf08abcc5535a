"""Everything slow or fallible, done on a host while it still serves."""

from dataclasses import dataclass

from debship.deploy import apt
from debship.deploy.clock import Clock
from debship.deploy.host import Answer, Host
from debship.deploy.observation import HostState, observe
from debship.errors import Failed, Refused
from debship.model import DebVersion, PackageName


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
    clock: Clock,
) -> Prepared:
    """Wait for dpkg, mend it where that is ours to do, fetch both ways, and simulate.

    After this the installation needs no network, and so does the way back.

    Raises:
        Refused: the installation would do what nobody asked for.
        Failed: the host cannot be made ready; it still serves as before.
    """
    state = _settled(host, package, files, clock)
    if not (state.package.installed or state.package.absent):
        state = mend(host, package, files)
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
    dry = _must(host, host.run(apt.simulate(package, version)), "the installation cannot work")
    return Prepared(state, apt.parse_simulation(dry.text, package, host.address))


def mend(host: Host, package: PackageName, files: tuple[str, ...]) -> HostState:
    """Finish or redo what a dying dpkg left of our package.

    An exit code of 0 proves nothing here (a package killed in unpacking stays ``iHR`` through
    every apt command), so the state is read again and judged.

    Raises:
        Failed: the package is still not whole.
    """
    host.run(apt.configure(), timeout=300)
    state = observe(host, package, files)
    if not state.package.installed and state.package.version is not None:
        again = apt.install(package, state.package.version, reinstall=True)
        host.run(tuple(word for word in again if word != "--no-download"), timeout=600)
        state = observe(host, package, files)
    if not (state.package.installed or state.package.absent):
        raise Failed(
            f"{host.address}: {package} is half installed ({state.package.abbrev.strip()}) "
            "and could not be mended",
            f"on the host: apt-get install --reinstall {package}",
        )
    return state


def _settled(host: Host, package: PackageName, files: tuple[str, ...], clock: Clock) -> HostState:
    """Wait for an installation that an earlier roll began and that still runs."""
    deadline = clock.monotonic() + 300
    while True:
        state = observe(host, package, files)
        if state.install not in {"activating", "deactivating", "reloading"}:
            return state
        if clock.monotonic() > deadline:
            raise Failed(
                f"{host.address}: an installation of {package} has been running for 5 minutes",
                f"on the host: systemctl status {apt.unit_name(package)}",
            )
        clock.sleep(0.5)


def _must(host: Host, answer: Answer, what: str) -> Answer:
    if answer.returncode != 0:
        raise Failed(f"{host.address}: {what}\n{answer.complaint}")
    return answer
