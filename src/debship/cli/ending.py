"""Ending early, and leaving nothing behind."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

# What CI sends a job that was given up, and a terminal that is closed. Ctrl-C is Python's own.
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
_AGAIN = 0.01  # seconds


class _Ended(SystemExit):
    """A signal came; its code is 128 and the signal's number, as a shell says it."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


@contextlib.contextmanager
def ended_cleanly() -> Iterator[None]:
    """Let a signal that would end this process at once unwind it instead, as Ctrl-C does.

    Raises:
        SystemExit: the signal came; its code is 128 and the signal's number, as a shell says it.
    """

    def end(number: int, frame: object) -> None:
        raise _Ended(number)

    def ignored(what: "UnraisableHookArgs") -> None:
        if not isinstance(what.exc_value, _Ended | KeyboardInterrupt):
            hook(what)
            return
        again = _Again(what.exc_value)
        try:
            again.start()
        finally:
            again.may = True

    before = {number: signal.signal(number, end) for number in _SIGNALS}
    hook, sys.unraisablehook = sys.unraisablehook, ignored
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


class _Again(threading.Thread):
    """Sends a signal again that came where nothing can be raised: in a finalizer, or a callback.

    Python ignores what is raised there, and every import runs some (sys.unraisablehook). Within the
    hook that says so it would be ignored as well.
    """

    def __init__(self, lost: _Ended | KeyboardInterrupt) -> None:
        super().__init__(daemon=True)
        self._number = lost.number if isinstance(lost, _Ended) else signal.SIGINT
        self.may = False

    def run(self) -> None:
        while not self.may:
            time.sleep(_AGAIN)
        os.kill(os.getpid(), self._number)
