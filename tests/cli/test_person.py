"""What a person can tell a roll that goes on."""

import os
import signal

import pytest

from debship.cli.person import stopping


def press(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def test_ctrl_c_once_ends_after_the_batch_twice_at_once_and_three_times_everything() -> None:
    said: list[str] = []
    with stopping(said.append) as stop:
        assert not stop.after_batch
        press(signal.SIGINT)
        assert (stop.after_batch, stop.now) == (True, False)
        press(signal.SIGINT)
        assert stop.now
        with pytest.raises(KeyboardInterrupt):
            press(signal.SIGINT)
    assert [line.split()[0:2] for line in said] == [["stopping", "after"], ["stopping", "at"]]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_runner_that_is_told_to_end_leaves_at_the_next_safe_point(number) -> None:
    with stopping(lambda _line: None) as stop:
        press(number)
        assert stop.now


def test_a_terminal_that_is_gone_is_no_reason_to_crash() -> None:
    def gone(_line: str) -> None:
        raise BrokenPipeError

    with stopping(gone) as stop:
        press(signal.SIGHUP)
        assert stop.now


def test_signals_mean_afterwards_what_they_meant_before() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stopping(lambda _line: None):
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
