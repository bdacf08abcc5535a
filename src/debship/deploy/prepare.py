"""Everything slow or fallible, done on a host while it still serves."""

from dataclasses import dataclass

from debship.deploy import apt
from debship.deploy.clock import Clock
from debship.deploy.host import Answer, Host
from debship.deploy.installation import FETCHING, carry_unlocked, mend, said, settled
from debship.deploy.locked import unlocked
from debship.deploy.observation import HostState
from debship.deploy.say import Say
from debship.errors import Failed, Refused
from debship.model import DebVersion, PackageName

READABLE = (
    "compare repository.url in fleet.toml with what the host can reach, and its clock with ours; "
    "where the key is another by now: fab bootstrap"
)

# Installed-Size is in KiB (Policy 5.6.20); dpkg unpacks the new files before it removes the old.
ROOM = """need=0
for target; do
    size=$(apt-cache show --no-all-versions "$target" | sed -n 's/^Installed-Size: //p' | head -n 1)
    need=$((need + ${size:-0}))
done
look() {
    free=$(df -kP -- "$1" | tail -n 1 | tr -s ' ' | cut -d ' ' -f 4)
    [ "${free:-0}" -ge "$2" ] || echo "short $1 has $free KiB free, and $2 are needed"
}
look /usr $((need + 16384))
look /var/lib/dpkg 16384
# What is not mounted as dpkg needs it may be what apt mounts so itself.
apt-config dump DPkg::Pre-Invoke | grep -q remount && exit 0
for folder in /usr /etc /var/lib/dpkg; do
    [ -w "$folder" ] || echo "fixed $folder is read-only"
done
set -- /var/lib/dpkg/info/*.postinst
[ ! -f "$1" ] || [ -x "$1" ] || echo "fixed /var/lib/dpkg is noexec, and scripts of packages run there"
"""

# Whether a version lies in apt's archives, byte for byte as the sources offer it, from the roll that
# brought it: to find that out by fetching it again takes apt several times as long, and apt takes
# what lies there by its size. What is damaged goes away. Arguments: PACKAGE VERSION
KEPT = """offered=$(apt-cache show -- "$1=$2" 2>/dev/null | sed -n 's/^SHA256: //p')
[ -n "$offered" ] || exit 1
for deb in "/var/cache/apt/archives/$1_$(printf %s "$2" | sed s/:/%3a/)"_*.deb; do
    [ -f "$deb" ] || continue
    has=$(sha256sum < "$deb")
    for digest in $offered; do
        [ "${has%% *}" != "$digest" ] || exit 0
    done
    rm -f -- "$deb"
done
exit 1
"""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What preparation found on a host."""

    state: HostState
    also: tuple[apt.Change, ...]  # what the installation will change besides the package


def refresh(
    host: Host, package: PackageName, clock: Clock, say: Say = lambda _: None
) -> tuple[DebVersion, ...]:
    """Read the repository's index on a host; the versions it offers, the newest first.

    Raises:
        Failed: the source is not there or cannot be read.
    """
    there = host.run(("test", "-r", apt.SOURCE))
    if there.returncode != 0:
        raise Failed(
            f"{host.address}: {apt.SOURCE} is missing", "prepare the host: fab bootstrap --app APP"
        )
    heard = unlocked(host, apt.update(), clock, say, timeout=120)
    _must(host, heard, "the repository could not be read", READABLE)
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
    say: Say = lambda _: None,
) -> Prepared:
    """Wait for dpkg, mend it where that is ours to do, fetch both ways, and simulate.

    After this the installation needs no network, and so does the way back.

    Raises:
        Refused: the installation would do what nobody asked for.
        Failed: the host cannot be made ready; it still serves as before.
    """
    state = settled(host, package, files, clock)
    if not (state.package.installed or state.package.absent):
        state = mend(host, package, state, files, roll=roll, clock=clock, say=say)
    if state.package.version == version and state.package.installed:
        _must_be_whole(host, host.run(apt.check(), timeout=180))
        return Prepared(state, ())
    _fetch(host, package, version, clock, say)
    if state.package.version is not None and state.package.installed:
        _keep(host, package, state.package.version, clock, say)
    dry = _must(host, host.run(apt.simulate(package, version)), "the installation cannot work")
    if apt.half_done(dry.text, package):
        # It may be under way: to simulate, no lock is asked for.
        host.run(apt.check(), timeout=180)
        dry = _must(host, host.run(apt.simulate(package, version)), "the installation cannot work")
    also = apt.parse_simulation(dry.text, package, host.address)
    if others := apt.touched(also, apt.half_done(dry.text, package)):
        say(f"{host.address}: {others}")
    _must_have_room(host, f"{package} {version}", f"{package}={version}", *map(_target, also))
    return Prepared(state, also)


def install_ahead(
    host: Host,
    package: PackageName,
    ready: Prepared,
    *,
    roll: str,
    clock: Clock,
    say: Say = lambda _: None,
) -> None:
    """Install what only the new version needs and the old one is not touched by.

    The dependencies of a split application are most of what it is: unpacked here, while the host
    serves, they cost no time out of the balancer. Doing it again changes nothing.

    Raises:
        Failed: dpkg does not say that it is installed; the host still serves as before.
    """
    targets = apt.ahead(ready.also, package)
    if not targets:
        return
    state = settled(host, package, (), clock)
    words = apt.install_ahead(targets)
    state = carry_unlocked(host, words, package, state, roll=roll, clock=clock, say=say)
    there = apt.parse_installed(host.run(apt.installed(targets)).text)
    missing = [target for target in targets if target not in there]
    if missing:
        raise Failed(
            f"{host.address}: {', '.join(missing)} could not be installed\n{said(host, state)}"
        )


def _target(change: apt.Change) -> str:
    return f"{change.name}={change.new}"


def _fetch(host: Host, package: PackageName, version: DebVersion, clock: Clock, say: Say) -> None:
    """Fetch a version. On its way there apt waits for dpkg's lock, and finds what is broken."""
    answer = unlocked(host, apt.fetch(package, version), clock, say, timeout=FETCHING)
    if answer.returncode == 0 and apt.DISAGREE not in answer.stderr:
        return
    if answer.returncode == 0:
        raise Refused(
            f"{host.address}: another of its sources has a package {package} {version} that is not "
            "the repository's",
            "on the host, see apt-cache policy, and take that source away; or publish a new version",
        )
    if "lock" not in answer.complaint:  # that was waited for, and long enough
        _must_be_whole(host, host.run(apt.check(), timeout=180))
    raise Failed(f"{host.address}: {version} was not fetched\n{answer.complaint}")


def _keep(host: Host, package: PackageName, version: DebVersion, clock: Clock, say: Say) -> None:
    """Have the version on the host that it may have to go back to."""
    if host.run(("sh", "-c", KEPT, "debship-kept", package, str(version))).returncode == 0:
        return
    back = unlocked(host, apt.fetch(package, version), clock, say, timeout=FETCHING)
    if back.returncode != 0:
        raise Refused(
            f"{host.address}: the way back is closed: {package} {version} is no longer in the "
            "repository",
            "publish it again, or keep more versions",
        )


def _must_be_whole(host: Host, answer: Answer) -> None:
    """See that apt finds nothing broken; whose fault it is stands in its output, not in its errors."""
    if answer.returncode != 0:
        told = answer.text.partition("unmet dependencies:\n")[2].rstrip()
        what = "apt finds packages broken or locked"
        raise Failed(
            f"{host.address}: {what}\n" + "\n".join(filter(None, (told, answer.complaint))),
            "on the host, apt-get check has to end well; what a dpkg that was cut off left of another "
            "application, the fab deploy of that one mends",
        )


def _must_have_room(host: Host, what: str, *targets: str) -> None:
    """See that dpkg can write the new files beside the old ones: apt looks only at its archives."""
    answer = host.run(("sh", "-c", ROOM, "debship-room", *targets))
    if told := _told(answer, "fixed "):
        raise Failed(
            f"{host.address}: {what} cannot be unpacked there: {told}",
            "mount it anew (mount -o remount,rw,exec), or let apt do so: DPkg::Pre-Invoke, apt.conf(5)",
        )
    if told := _told(answer, "short "):
        raise Failed(f"{host.address}: the disk is too full for {what}: {told}")


def _told(answer: Answer, mark: str) -> str:
    lines = answer.text.splitlines()
    return "; ".join(line.removeprefix(mark) for line in lines if line.startswith(mark))


def _must(host: Host, answer: Answer, what: str, hint: str | None = None) -> Answer:
    if answer.returncode != 0:
        raise Failed(f"{host.address}: {what}\n{answer.complaint}", hint)
    return answer
