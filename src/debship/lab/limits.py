"""What one user may have of the kernel at all, and many hosts together need more of: inotify(7).

Every systemd, dbus-daemon and logind watches files, as root, and all hosts' roots are this machine's.
Where the instances run out, the next host boots for ever, or without the unit that wanted one.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path

from debship.errors import Failed
from debship.lab.numbers import locked, owners
from debship.lab.record import read_record

INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
_EACH = 10  # of a host: 7 at rest on bookworm, and what its services watch
_OTHERS = 64  # of what else root runs here


def make_room(*, runtime: Path, say: Callable[[str], None], limit: Path = INSTANCES) -> None:
    """Raise the limit as far as all hosts of all labs need it, and no lab needs it: put it back.

    Args:
        runtime: where numbers are reserved; what the machine had is kept there, as long as it.
        say: hears that the machine is changed.
        limit: the kernel's own file.

    Raises:
        Failed: it is too low, and cannot be raised from here.
    """
    kept = runtime / "inotify"
    with locked(runtime / "limits.lock"):
        now = int(limit.read_text())
        before, after = map(int, kept.read_text().split()) if kept.exists() else (now, now)
        if now != after:  # somebody has set it since
            before = now
        hosts = _hosts(runtime)
        wanted = max(before, _EACH * hosts + _OTHERS)
        if wanted != before:
            kept.write_text(f"{before} {wanted}")
        if wanted > now:
            say(f"raising fs.inotify.max_user_instances to {wanted}, as long as labs are up")
        if wanted != now:
            _write(limit, wanted, hosts, now)
        if wanted == before:
            kept.unlink(missing_ok=True)


def _write(limit: Path, wanted: int, hosts: int, now: int) -> None:
    try:
        limit.write_text(str(wanted))
    except OSError as error:
        raise Failed(
            f"labs of {hosts} hosts need {wanted} inotify instances, and "
            f"fs.inotify.max_user_instances is {now}",
            f"sysctl fs.inotify.max_user_instances={wanted}, where that may be set; "
            "or fewer hosts: --hosts N",
        ) from error


def _hosts(runtime: Path) -> int:
    count = 0
    for _number, state in owners(runtime):
        with contextlib.suppress(Failed):  # of another debship: nobody knows how many it has
            record = read_record(state)
            count += len(record.plan.hosts) if record else 0
    return count
