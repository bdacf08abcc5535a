"""The services of one host: restarted, their logs, and the configuration files edited there."""

import re
from collections.abc import Sequence

from debship.deploy.host import Host
from debship.deploy.observation import HostState
from debship.model import PackageName

# dpkg may have brought new units, and the package's own script mostly has told systemd: doing it
# again takes a tenth of a second. A unit that failed too often would not start.
RESTART = """if [ $# -eq 0 ] || systemctl show --value -p NeedDaemonReload "$@" | grep -q yes; then
    systemctl daemon-reload
fi
[ $# -gt 0 ] || exit 0
systemctl reset-failed "$@"
systemctl restart "$@"
code=$?
systemctl show --value -p InvocationID "$@"
exit $code
"""

# What systemctl says where systemd begins anew, or ends, while it is asked.
_UNHEARD = re.compile(
    r"Failed to (?:connect to|get D-Bus|wait for)|connection (?:reset|timed out|terminated)"
    r"|Transport endpoint|disconnected from message bus",
    re.IGNORECASE,
)
# What the package shipped is in its .deb, which was fetched for this roll; dpkg keeps no copy.
DIFF = """deb=$(ls "/var/cache/apt/archives/$1_$(printf %s "$2" | sed s/:/%3a/)"_*.deb 2>/dev/null | head -n 1)
[ -n "$deb" ] || exit 0
shift 2
for file; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x -O -f - ".$file" 2>/dev/null |
        diff -u --label "$file of the package" --label "$file here" - "$file" | head -n 40
done
exit 0
"""


def listen(host: Host, sockets: Sequence[str]) -> None:
    """Let sockets listen that do not yet: each once its service has let go of the port."""
    if sockets:
        host.run(("systemctl", "daemon-reload"))
    for name in sockets:
        service = f"{name.removesuffix('.socket')}.service"
        host.run(("systemctl", "stop", service), timeout=150)
        host.run(("systemctl", "start", name))


def restart(host: Host, units: Sequence[str]) -> tuple[tuple[str, ...], str | None]:
    """Restart units; the invocations that run then, and what systemctl said where it failed."""
    answer = host.run(("sh", "-c", RESTART, "debship-restart", *units), timeout=150)
    return tuple(answer.text.split()), answer.complaint if answer.returncode else None


def is_unheard(complaint: str) -> bool:
    """Whether systemctl lost systemd while it waited: what it asked for may be done, or not."""
    return _UNHEARD.search(complaint) is not None


def log(host: Host, invocations: Sequence[str]) -> str:
    """The end of what these invocations of units wrote, not those that followed a crash."""
    which = tuple(f"_SYSTEMD_INVOCATION_ID={one}" for one in invocations if one)
    if not which:
        return ""
    host.run(("journalctl", "--sync"))  # what a crash wrote last may still be on its way
    return host.run(("journalctl", "-q", "-o", "cat", "-n", "80", *which)).text


def edits(host: Host, package: PackageName, state: HostState) -> str:
    """How the conffiles that differ from the package's do so; "" where it cannot be told."""
    if not state.edited or state.package.version is None:
        return ""
    about = (package, str(state.package.version))
    return host.run(("sh", "-c", DIFF, "debship-diff", *about, *state.edited)).text
