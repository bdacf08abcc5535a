"""Requests that do not wait for one another; a store that is far away is slow only in sequence.

With threads alone: concurrent.futures loads a log and its formats, for longer than a small index is
read.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

AT_ONCE = 8

T = TypeVar("T")
U = TypeVar("U")


class _Begun(Generic[T]):
    """A job in a thread of its own, and what it gave."""

    def __init__(self, job: Callable[[], T], done: Callable[[], object] = lambda: None) -> None:
        self._job, self._done = job, done
        self._given: list[T] = []
        self._error: BaseException | None = None
        # Thread.join takes a thread for ended where a signal interrupts it (Python 3.11).
        self._ended = threading.Event()
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        try:
            self._given.append(self._job())
        except BaseException as error:  # noqa: BLE001 - it is raised where it is asked for
            self._error = error
        finally:
            self._done()
            self._ended.set()

    def wait(self) -> None:
        self._ended.wait()

    def result(self) -> T:
        """Give what the job gave, or raise what it raised."""
        self.wait()
        if self._error is not None:
            raise self._error
        return self._given[0]


def together(jobs: Iterable[Callable[[], T]], at_once: int = AT_ONCE) -> list[T]:
    """Do several things at the same time, and give what they gave, in their order.

    Whether it returns or raises, none of them is running any more; of several that failed the
    first is raised. Who ends it by a signal does not wait for them: a store may be silent for long.
    """
    todo = list(jobs)
    return _at_once(todo, at_once) if len(todo) > 1 else [job() for job in todo]


def pair(one: Callable[[], T], other: Callable[[], U]) -> tuple[T, U]:
    """Do two things at the same time, of which neither needs the other; see ``together``."""
    jobs: list[Callable[[], Any]] = [one, other]
    first, second = _at_once(jobs, len(jobs))
    return first, second


def _at_once(jobs: Sequence[Callable[[], T]], limit: int) -> list[T]:
    free, begun = threading.Semaphore(limit), list[_Begun[T]]()
    try:
        for job in jobs:
            free.acquire()
            begun.append(_Begun(job, free.release))
    except Exception:  # no thread can be had any more
        for one in begun:
            one.wait()
        raise
    for one in begun:
        one.wait()
    return [one.result() for one in begun]


def soon(job: Callable[[], T]) -> Callable[[], T]:
    """Begin something that is wanted later; give what waits for it and gives what it gave.

    Who never asks, never waits: not even the end of the program does. So it may be something that
    nobody misses.
    """
    return _Begun(job).result
