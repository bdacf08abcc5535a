"""Ending early, and leaving nothing behind."""

import contextlib
import signal
from collections.abc import Iterator

# What CI sends a job that was given up, and a terminal that is closed. Ctrl-C is Python's own.
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def ended_cleanly() -> Iterator[None]:
    """Let a signal that would end this process at once unwind it instead, as Ctrl-C does.

    Raises:
        SystemExit: the signal came; its code is 128 and the signal's number, as a shell says it.
    """

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
