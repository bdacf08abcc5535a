"""One package installed on one host: carried by a unit, believed only when dpkg says so."""

from debship.deploy import apt
from debship.deploy.clock import Clock
from debship.deploy.host import Answer, Host
from debship.deploy.observation import HostState, observe
from debship.errors import Failed
from debship.model import DebVersion, PackageName

UNDER_WAY = frozenset({"activating", "deactivating", "reloading"})
LONGEST = 900.0  # seconds that apt may take
HOLDING = 120.0  # seconds that a hold waits for dpkg's lock, as an installation does


class StepFailed(Failed):
    """A step failed on the host; ``log`` is the end of what the service or apt wrote."""

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__(message)
        self.log = log


def settled(host: Host, package: PackageName, files: tuple[str, ...], clock: Clock) -> HostState:
    """Read a host's state; an installation that still runs there is waited for.

    Raises:
        Failed: it does not end.
    """
    deadline = clock.monotonic() + LONGEST
    while True:
        state = observe(host, package, files)
        if state.install not in UNDER_WAY:
            return state
        if clock.monotonic() > deadline:
            raise Failed(
                f"{host.address}: an installation of {package} does not end",
                f"on the host: systemctl status {apt.unit_name(package)}",
            )
        clock.sleep(0.5)


def carry(host: Host, argv: apt.Argv, package: PackageName, roll: str, state: HostState) -> Answer:
    """Run apt or dpkg in a unit of its own to its end; nothing else of ours may run there.

    Args:
        state: of the host now; what an earlier unit left there is cleared away first.

    Raises:
        LinkLost: it may go on; ask again with ``settled``.
    """
    if state.install is not None:
        unit = apt.unit_name(package)
        host.run(("systemctl", "stop", unit))
        host.run(("systemctl", "reset-failed", unit))
    return host.run(apt.carried(argv, package, roll), timeout=LONGEST)


def install(
    host: Host,
    package: PackageName,
    version: DebVersion,
    files: tuple[str, ...],
    *,
    roll: str,
    held: bool,
    clock: Clock,
) -> HostState:
    """Bring a package to a version. Asked again after a lost link, it looks before it acts.

    Args:
        held: an administrator had the package on hold, and finds it so again.

    Raises:
        StepFailed: dpkg does not say that it is installed; an exit code of 0 is no proof.
    """
    state = settled(host, package, files, clock)
    complaint = ""
    if not _whole(state, version):
        if not (state.package.installed or state.package.absent):
            carry(host, apt.configure(), package, roll, state)
            state = observe(host, package, files)
        again = state.package.version == version
        words = apt.install(package, version, reinstall=again, held=held)
        answer = carry(host, words, package, roll, state)
        complaint = answer.complaint if answer.returncode else ""
        state = observe(host, package, files)
    if not _whole(state, version):
        raise StepFailed(
            f"{package} {version} was not installed; dpkg has {_told(state)}. {complaint}".rstrip(),
            said(host, package),
        )
    return state


def said(host: Host, package: PackageName) -> str:
    """The end of what apt and dpkg wrote when they were last carried."""
    unit = apt.unit_name(package)
    return host.run(("journalctl", "-q", "-o", "cat", "-n", "30", "-u", unit)).text


def hold(host: Host, package: PackageName, clock: Clock) -> None:
    """See that a package is on hold, where an installation that held it again was cut off.

    dpkg's lock is waited for: apt-mark knows no DPkg::Lock::Timeout, and fails at once where an
    upgrade of somebody else is under way.

    Raises:
        Failed: it could not be held in time.
    """
    deadline = clock.monotonic() + HOLDING
    while not observe(host, package, ()).package.held:
        answer = host.run(apt.hold_words(package))
        if clock.monotonic() > deadline:
            raise Failed(
                f"{host.address}: {package} was on hold, and could not be held again\n"
                f"{answer.complaint}",
                f"on the host: apt-mark hold {package}; then run the same deploy again",
            )
        if answer.returncode:
            clock.sleep(1.0)


def mend(
    host: Host,
    package: PackageName,
    state: HostState,
    files: tuple[str, ...],
    *,
    roll: str,
    clock: Clock,
) -> HostState:
    """Finish or redo what a dying dpkg left of our package, without touching its services.

    An exit code of 0 proves nothing here (a package killed in unpacking stays ``iHR`` through
    every apt command), so the state is read again. What cannot be mended so, a version whose
    postinst fails, is left to the installation of another.
    """
    carry(host, apt.configure(), package, roll, state)
    state = settled(host, package, files, clock)
    if not state.package.installed and state.package.version is not None:
        held = state.package.held
        again = apt.install(package, state.package.version, reinstall=True, held=held)
        words = tuple(word for word in again if word != "--no-download")
        carry(host, words, package, roll, state)
        state = settled(host, package, files, clock)
    return state


def _whole(state: HostState, version: DebVersion) -> bool:
    return state.package.installed and state.package.version == version


def _told(state: HostState) -> str:
    return f"{state.package.abbrev.strip()} {state.package.version or ''}".strip()
