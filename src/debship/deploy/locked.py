"""Locks of another apt on a host: waited for, where apt itself says at once that it has none."""

import re

from debship.deploy.clock import Clock
from debship.deploy.host import Answer, Host
from debship.deploy.say import Say

HOLDING = 120.0  # seconds that another apt may take
PAUSE = 2.0  # seconds between looks at a lock
# Whether apt says so at its beginning or its end; LC_ALL=C.UTF-8 makes these its words.
_LOCKED = re.compile(r"Could not get lock|Unable to (?:lock|acquire)")


def is_locked(text: str) -> bool:
    """Whether apt says that another one has a lock that it needs."""
    return _LOCKED.search(text) is not None


def say_waiting(host: Host, say: Say) -> None:
    """Say why nothing happens: a person who sees nothing may end what only waits."""
    say(f"{host.address}: another apt is at work there; waiting for it, at most {HOLDING:g} s")


def unlocked(
    host: Host,
    argv: tuple[str, ...],
    clock: Clock,
    say: Say = lambda _: None,
    *,
    timeout: float,
    patience: float = HOLDING,
) -> Answer:
    """Run apt; while another one has a lock that it needs, again.

    ``DPkg::Lock::Timeout`` is about dpkg's own lock (apt.conf(5)): not that of the lists, and not
    that of the archives.

    Args:
        timeout: seconds for one run.
        patience: seconds in which it is run again.
    """
    deadline = clock.monotonic() + patience
    waits = False
    while True:
        answer = host.run(argv, timeout=timeout)
        locked = answer.returncode != 0 and is_locked(answer.complaint)
        if not locked or clock.monotonic() >= deadline:
            return answer
        if not waits:
            say_waiting(host, say)
        waits = True
        clock.sleep(PAUSE)
