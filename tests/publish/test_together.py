"""Requests at the same time: none goes on alone, and none holds up who wants to end."""

import signal
import threading

import pytest

from debship.publish.together import together


def test_the_first_of_several_errors_is_raised_when_all_have_ended() -> None:
    ended = []

    def job(number: int, waits: float) -> None:
        threading.Event().wait(waits)
        ended.append(number)
        raise ValueError(number)

    with pytest.raises(ValueError, match="0"):
        together([lambda: job(0, 0.05), lambda: job(1, 0)])
    assert ended == [1, 0]


@pytest.mark.parametrize("at_once", [1, 8])  # while it waits to begin one, and while all run
def test_who_ends_it_by_a_signal_waits_for_no_job(at_once) -> None:
    answers = threading.Event()

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    late = threading.Timer(5, answers.set)
    late.start()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            together([answers.wait] * 3, at_once)
        assert not answers.is_set()
    finally:
        signal.signal(signal.SIGALRM, before)
        late.cancel()
        answers.set()
