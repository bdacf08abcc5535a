"""Connections that a host itself knows of, where its balancer does not tell (proc_net(5))."""

from collections.abc import Collection

from debship.deploy.host import Host

_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_ESTABLISHED = "01"  # include/net/tcp_states.h


def established(host: Host, ports: Collection[int]) -> int:
    """Count the established connections to these ports of a host."""
    answer = host.run(("cat", *_TABLES))  # fails where there is no IPv6, and has told of IPv4
    return count(answer.text, ports)


def count(text: str, ports: Collection[int]) -> int:
    """Count the established connections to these local ports in the kernel's tables."""
    found = 0
    for line in text.splitlines():
        words = line.split()
        if len(words) > 3 and words[3] == _ESTABLISHED and ":" in words[1]:
            found += int(words[1].rpartition(":")[2], 16) in ports
    return found
