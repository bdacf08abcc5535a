"""What a person can tell a roll that goes on: stop, or carry on."""

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from debship.deploy.stop import Stop

# CI sends SIGTERM and kills soon after; a terminal that is closed sends SIGHUP: no time for a batch.
_AT_ONCE = (signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def stopping(say: Callable[[str], None]) -> "Iterator[Stop]":
    """Give a wish to stop that Ctrl-C makes.

    The first Ctrl-C lets the batch end, the second leaves at the next safe point, a third ends
    everything; SIGTERM and SIGHUP are two at once.
    """
    from debship.deploy.stop import Stop

    stop = Stop()

    def asked(number: int, frame: FrameType | None) -> None:
        if stop.now:
            signal.default_int_handler(number, frame)
        stop.ask()
        if number in _AT_ONCE and not stop.now:
            stop.ask()
        with contextlib.suppress(OSError, RuntimeError):  # a closed terminal, a write under way
            say(
                "stopping at the next safe point"
                if stop.now
                else "stopping after this batch; Ctrl-C again leaves at the next safe point"
            )

    before = {number: signal.signal(number, asked) for number in (signal.SIGINT, *_AT_ONCE)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ask_before(hosts: Sequence[str]) -> bool:
    """Ask whether the next batch is to go; no answer is no."""
    try:
        print(f"next: {', '.join(hosts)}. Go on? [y/N] ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in {"y", "yes"}
    except OSError:  # its terminal is closed
        return False
