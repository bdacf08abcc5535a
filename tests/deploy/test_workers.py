"""Several things at once, in threads."""

import threading

import pytest

from debship.deploy.workers import MOST, Threads
from debship.errors import Failed


def test_results_come_in_order_and_all_are_under_way_at_once() -> None:
    together = threading.Barrier(3, timeout=20)

    def call(number: int) -> int:
        together.wait()
        return number

    assert Threads().together([lambda n=n: call(n) for n in range(3)]) == [0, 1, 2]
    assert Threads().together([]) == []


def test_many_more_than_there_are_workers_are_all_done() -> None:
    calls = [lambda n=n: n for n in range(MOST * 4)]
    assert Threads().together(calls) == list(range(MOST * 4))


def test_the_first_error_is_raised_when_all_have_ended() -> None:
    ended: list[int] = []

    def call(number: int) -> None:
        ended.append(number)
        if number:
            raise Failed(f"number {number}")

    with pytest.raises(Failed, match="number 1"):
        Threads().together([lambda n=n: call(n) for n in range(4)])
    assert sorted(ended) == [0, 1, 2, 3]


def test_what_goes_on_beside_comes_again_and_ends_with_its_block() -> None:
    beats = threading.Semaphore(0)
    count = [0]

    def beat() -> None:
        count[0] += 1
        beats.release()

    with Threads().beside(beat, 0.001):
        assert all(beats.acquire(timeout=20) for _ in range(3))
    after = count[0]
    assert count[0] == after
