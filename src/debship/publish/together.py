"""Requests that do not wait for one another; a store that is far away is slow only in sequence."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

AT_ONCE = 8

T = TypeVar("T")
U = TypeVar("U")


def together(jobs: Iterable[Callable[[], T]], at_once: int = AT_ONCE) -> list[T]:
    """Do several things at the same time, and give what they gave, in their order.

    Whether it returns or raises, none of them is running any more; of several that failed the
    first is raised.
    """
    todo = list(jobs)
    if len(todo) < 2:
        return [job() for job in todo]
    with ThreadPoolExecutor(min(at_once, len(todo))) as pool:
        futures = [pool.submit(job) for job in todo]
    return [future.result() for future in futures]


def pair(one: Callable[[], T], other: Callable[[], U]) -> tuple[T, U]:
    """Do two things at the same time, of which neither needs the other; see ``together``."""
    with ThreadPoolExecutor(2) as pool:
        futures = pool.submit(one), pool.submit(other)
    return futures[0].result(), futures[1].result()


def soon(job: Callable[[], T]) -> Callable[[], T]:
    """Begin something that is wanted later; give what waits for it and gives what it gave.

    Who never asks, never waits: not even the end of the program does. So it may be something that
    nobody misses.
    """
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(job())
        except BaseException as error:  # noqa: BLE001 - it is raised where it is asked for
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return future.result
