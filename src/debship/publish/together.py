"""Requests that do not wait for one another; a store that is far away is slow only in sequence."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

AT_ONCE = 8

T = TypeVar("T")


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
