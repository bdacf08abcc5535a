"""One package installed on one host: carried by a unit, believed only when dpkg says so."""

import re
from enum import Enum

from debship.deploy import apt, services
from debship.deploy.clock import Clock
from debship.deploy.host import Answer, Host
from debship.deploy.locked import HOLDING, Patience, is_locked, unlocked
from debship.deploy.observation import HostState, PackageState, observe
from debship.deploy.say import Say
from debship.errors import Failed
from debship.model import DebVersion, PackageName

UNDER_WAY = frozenset({"activating", "deactivating", "reloading"})
LONGEST = 900.0  # seconds that apt may take
FETCHING = 600.0  # seconds that a download may take
FETCHING_AGAIN = (
    200.0  # while the host is out of its balancers; longer than apt waits for dpkg's lock
)

_SCRIPT_FAILED = re.compile(r"script subprocess|subprocess .*script")  # dpkg 1.21, and before
_ENDED_FROM_OUTSIDE = frozenset({"signal", "core-dump", "oom-kill"})


class StepFailed(Failed):
    """A step failed on the host; ``log`` is the end of what the service or apt wrote.

    Attributes:
        of_host: whether it says nothing of the version: the host would fail another alike.
    """

    def __init__(self, message: str, log: str = "", *, of_host: bool = False) -> None:
        super().__init__(message)
        self.log = log
        self.of_host = of_host


class Fault(Enum):
    """Why a package is not installed though apt was asked."""

    VERSION = "dpkg took it up, and a script or the package failed"
    LOCKED = "another apt has a lock that this one does not wait for"
    CUT_OFF = "somebody or the kernel ended apt"
    HOST = "dpkg never took it up: nothing fetched, no room, a disk that is read-only"


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


def carry_unlocked(
    host: Host,
    argv: apt.Argv,
    package: PackageName,
    state: HostState,
    files: tuple[str, ...] = (),
    *,
    roll: str,
    clock: Clock,
    say: Say,
) -> HostState:
    """Carry apt to its end, and again while another one has a lock; the host's state after it.

    The roll of another application may fetch there just now: apt has the archives' lock meanwhile,
    and ``DPkg::Lock::Timeout`` is not about that.
    """
    patience = Patience(host, clock, say)
    while True:
        answer = carry(host, argv, package, roll, state)
        state = settled(host, package, files, clock)
        locked = answer.returncode != 0 and is_locked(said(host, state))
        if not locked or not patience.waits():
            return state


def install(
    host: Host,
    package: PackageName,
    version: DebVersion,
    files: tuple[str, ...],
    *,
    roll: str,
    held: bool,
    clock: Clock,
    say: Say = lambda _: None,
) -> HostState:
    """Bring a package to a version. Asked again after a lost link, it looks before it acts.

    What was fetched may be gone since (apt-get clean), and apt may be ended from outside: then it is
    fetched and begun again, once. A lock is waited for.

    Args:
        held: an administrator had the package on hold, and finds it so again.

    Raises:
        StepFailed: dpkg does not say that it is installed; an exit code of 0 is no proof.
    """
    state, begun_again = settled(host, package, files, clock), False
    patience = Patience(host, clock, say)
    while not _whole(state, version):
        if not (state.package.installed or state.package.absent):
            carry(host, apt.configure(), package, roll, state)
            state = settled(host, package, files, clock)
        before, again = state.package, state.package.version == version
        words = apt.install(package, version, reinstall=again, held=held)
        answer = carry(host, words, package, roll, state)
        state = settled(host, package, files, clock)
        if _whole(state, version):
            break
        log = said(host, state)
        fault = diagnosis(before, state, log)
        why = _reason(log) or (answer.complaint if answer.returncode else "")
        if fault is Fault.LOCKED and patience.waits():
            continue
        first, begun_again = not begun_again, True
        if first and fault is Fault.CUT_OFF:
            continue
        if first and fault is Fault.HOST:
            answer = unlocked(host, apt.fetch(package, version), clock, say, timeout=FETCHING_AGAIN)
            if answer.returncode == 0:
                continue
            why = answer.complaint
        told = f"{package} {version} was not installed; dpkg has {_told(state)}. {why}"
        of_host = fault in {Fault.LOCKED, Fault.HOST}
        raise StepFailed(told.rstrip(), log, of_host=of_host)
    return state


def diagnosis(before: PackageState, state: HostState, log: str) -> Fault:
    """Say what kept a package from being installed.

    Args:
        before: what dpkg had.
        state: of the host now; the package is not whole.
        log: what apt and dpkg wrote.
    """
    if state.install_result in _ENDED_FROM_OUTSIDE:
        return Fault.CUT_OFF
    now = state.package
    taken_up = not now.absent and (now.abbrev[1:], now.version) != (
        before.abbrev[1:],
        before.version,
    )
    if taken_up or _SCRIPT_FAILED.search(log):
        return Fault.VERSION
    return Fault.LOCKED if is_locked(log) else Fault.HOST


def said(host: Host, state: HostState) -> str:
    """The end of what apt and dpkg wrote when they were last carried."""
    return services.log(host, (state.install_invocation,))


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
    say: Say = lambda _: None,
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
        state = carry_unlocked(host, words, package, state, files, roll=roll, clock=clock, say=say)
    return state


def _whole(state: HostState, version: DebVersion) -> bool:
    return state.package.installed and state.package.version == version


def _told(state: HostState) -> str:
    return f"{state.package.abbrev.strip()} {state.package.version or ''}".strip()


def _reason(log: str) -> str:
    """The first line in which apt or dpkg says what is wrong."""
    lines = (line.strip() for line in log.splitlines())
    return next((line for line in lines if line.startswith(("E: ", "dpkg: error"))), "")
