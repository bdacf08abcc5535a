"""Waiting for what will be so: the one loop of all tests."""

import time
from collections.abc import Callable


def until(true: Callable[[], object], seconds: float = 60, told: Callable[[], str] = str) -> None:
    """Wait until something is so, and fail where it does not become so in time.

    Args:
        told: what to show then, such as a log.
    """
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"it did not come true in time\n{told()}"
        time.sleep(0.01)
