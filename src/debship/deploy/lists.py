"""The lists of apt on a host, of which one apt at a time may read a new state."""

import re
from collections.abc import Callable
from typing import TypeVar

from debship.deploy.clock import Clock
from debship.errors import Failed

T = TypeVar("T")

PATIENCE = 60.0  # seconds that another apt may take; DPkg::Lock::Timeout is of dpkg's lock alone
_PAUSE = 1.0
# Whether apt says so at its beginning or its end; LC_ALL=C.UTF-8 makes these its words.
_LOCKED = re.compile(r"Could not get lock|Unable to lock")


def once_free(read: Callable[[], T], clock: Clock) -> T:
    """Read the lists; where another roll or a timer's apt has them, when it is done.

    Raises:
        Failed: they cannot be read, or another apt does not end.
    """
    deadline = clock.monotonic() + PATIENCE
    while True:
        try:
            return read()
        except Failed as error:
            if not _LOCKED.search(error.message) or clock.monotonic() >= deadline:
                raise
        clock.sleep(_PAUSE)
