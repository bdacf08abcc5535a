"""Makes a bare host of Debian or Ubuntu able to receive: the source with its key, and a place for records."""

import json

from debship.deploy import apt
from debship.deploy.clock import Clock
from debship.deploy.host import TALKS, Host
from debship.deploy.locked import unlocked
from debship.deploy.prepare import READABLE
from debship.errors import Failed, Misused
from debship.model import DebVersion

# Says which apt it is.
_ABLE = "test -d /run/systemd/system && command -v apt-get >/dev/null && dpkg-query -W -f='${Version}' apt"


def bootstrap(
    host: Host, sources: str, gate: tuple[str, str] | None = None, *, clock: Clock
) -> tuple[str, ...]:
    """Prepare one host; doing it again changes nothing.

    Args:
        sources: the deb822 text with the key inline (sources.list(5)).
        gate: the path of the application's gate, and its program; None where there is none.

    Returns:
        What was changed, a line each.

    Raises:
        Failed: the host cannot carry debship's packages, or cannot read the repository.
    """
    able = host.run(("sh", "-c", _ABLE))
    if able.returncode != 0:
        raise Failed(
            f"{host.address}: it is no host that a package can serve on: "
            "apt-get, dpkg-query or a systemd that runs is missing"
        )
    if gate is not None and host.run(("test", "-x", "/usr/bin/python3")).returncode != 0:
        raise Failed(
            f"{host.address}: the gate is a program of /usr/bin/python3, which is not there",
            "on the host: apt-get install python3-minimal",
        )
    files = [(apt.SOURCE, sources, 0o644)]
    if _apt_of(host, able.text.strip()) < apt.READS_KEYS:
        named, key = apt.with_key_beside(sources)
        files = [(apt.KEYRING, key, 0o644), (apt.SOURCE, named, 0o644)]
    if gate is not None:
        files.append((*gate, 0o755))
    changed = []
    for path, text, mode in files:
        if not _lies(host, path, text, mode):
            host.put(path, text.encode(), owner="root", group="root", mode=mode)
            changed.append(f"wrote {path}")
    _must_read(host, clock)
    return tuple(changed)


def _lies(host: Host, path: str, text: str, mode: int) -> bool:
    """Whether a file is there as it should be, and root's: sudo runs no gate that is not."""
    if host.run(("cat", "--", path)).stdout != text.encode():
        return False
    return bool(host.run(("find", path, "-perm", f"{mode:04o}", "-user", "root")).stdout)


def _apt_of(host: Host, said: str) -> DebVersion:
    try:
        return DebVersion(said)
    except Misused as error:
        raise Failed(
            f"{host.address}: what it said of its apt cannot be read: {json.dumps(said[:200])}",
            f"{TALKS}; let it say nothing there",
        ) from error


def _must_read(host: Host, clock: Clock) -> None:
    answer = unlocked(host, apt.update(), clock, timeout=120)
    if answer.returncode != 0:
        raise Failed(
            f"{host.address}: the repository could not be read\n{answer.complaint}",
            READABLE,
        )
