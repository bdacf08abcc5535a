"""Locks of another apt on a host: waited for, where apt itself says at once that it has none."""

import re
from dataclasses import dataclass

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


@dataclass
class Patience:
    """Waits for another apt, from the first time that it stands in the way."""

    host: Host
    clock: Clock
    say: Say
    _until: float | None = None

    def waits(self) -> bool:
        """Wait for a moment, and say so at first; False where it was waited long enough.

        A person who sees nothing may end what only waits.
        """
        if self._until is None:
            self._until = self.clock.monotonic() + HOLDING
            told = f"another apt is at work there; waiting for it, at most {HOLDING:g} s"
            self.say(f"{self.host.address}: {told}")
        elif self.clock.monotonic() >= self._until:
            return False
        self.clock.sleep(PAUSE)
        return True


def unlocked(
    host: Host,
    argv: tuple[str, ...],
    clock: Clock,
    say: Say = lambda _: None,
    *,
    timeout: float,
) -> Answer:
    """Run apt; while another one has a lock that it needs, again.

    ``DPkg::Lock::Timeout`` is about dpkg's own lock (apt.conf(5)): not that of the lists, and not
    that of the archives.

    Args:
        timeout: seconds for one run.
    """
    patience = Patience(host, clock, say)
    while True:
        answer = host.run(argv, timeout=timeout)
        locked = answer.returncode != 0 and is_locked(answer.complaint)
        if not locked or not patience.waits():
            return answer
