"""Connections that a host itself knows of, where its balancer does not tell (proc_net(5))."""

from collections.abc import Callable, Collection

from debship.deploy.clock import Clock
from debship.deploy.host import Host

LINGER = 120.0  # seconds that a network balancer may go on handing out a target that left
QUIET = 3  # looks in a row without a connection

_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_ESTABLISHED = "01"  # include/net/tcp_states.h


def established(host: Host, ports: Collection[int]) -> int:
    """Count the established connections to these ports of a host."""
    answer = host.run(("cat", *_TABLES))  # fails where there is no IPv6, and has told of IPv4
    return count(answer.text, ports)


def linger(host: Host, ports: Collection[int], clock: Clock, safe_point: Callable[[], None]) -> int:
    """Wait for connections that live on after their balancer calls the host out.

    Args:
        safe_point: called before each further look; raises where a person wants out.

    Returns:
        Those that were left when the limit was reached; 0 where they have ended.
    """
    deadline = clock.monotonic() + LINGER
    quiet = 0
    while quiet < QUIET:
        left = established(host, ports)
        quiet = 0 if left else quiet + 1
        if left and clock.monotonic() > deadline:
            return left
        safe_point()
        clock.sleep(1.0)
    return 0


def count(text: str, ports: Collection[int]) -> int:
    """Count the established connections to these local ports in the kernel's tables."""
    found = 0
    for line in text.splitlines():
        words = line.split()
        if len(words) > 3 and words[3] == _ESTABLISHED and ":" in words[1]:
            found += int(words[1].rpartition(":")[2], 16) in ports
    return found
