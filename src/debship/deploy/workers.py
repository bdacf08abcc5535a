"""Several things at once, as an argument: threads here, a scheduler of its own in the simulation."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

T = TypeVar("T")
MOST = 32  # hosts that are worked on at once


class Workers(Protocol):
    """Does several things at once."""

    def together(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        """Do them all; their results in order, the first error raised when all have ended."""
        ...

    def beside(self, action: Callable[[], None], every: float) -> AbstractContextManager[None]:
        """Do something again and again while a block runs, each so many seconds.

        What is under way when the block ends is waited for: nothing of it comes later.
        """
        ...

    def mutex(self) -> AbstractContextManager[object]:
        """What one of them can hold at a time."""
        ...


class Threads:
    """The workers of this machine."""

    def together(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        """Do them all, each in a thread.

        The threads are daemons: who presses Ctrl-C a third time does not wait for them.
        """
        if len(calls) == 1:
            return [calls[0]()]
        left = iter(enumerate(calls))
        turn = threading.Lock()
        done: dict[int, T] = {}
        errors: dict[int, BaseException] = {}

        def work() -> None:
            while True:
                with turn:
                    number, call = next(left, (-1, None))
                if call is None:
                    return
                try:
                    done[number] = call()
                except BaseException as error:  # noqa: BLE001 - raised again by who waits
                    errors[number] = error

        threads = [
            threading.Thread(target=work, daemon=True, name=f"debship-{number}")
            for number in range(min(MOST, len(calls)))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[min(errors)]
        return [done[number] for number in range(len(calls))]

    def mutex(self) -> AbstractContextManager[object]:
        """A lock of threads."""
        return threading.Lock()

    @contextlib.contextmanager
    def beside(self, action: Callable[[], None], every: float) -> Iterator[None]:
        """Do it in a thread."""
        over = threading.Event()

        def again() -> None:
            while not over.wait(every):
                action()

        thread = threading.Thread(target=again, daemon=True, name="debship-beside")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
