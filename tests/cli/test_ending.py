"""A signal that asks the program to end is never lost, wherever it comes in."""

import signal
import subprocess
import sys

import pytest

# Python says of what a callback raises that it was ignored; importing modules runs many callbacks.
WITHIN_A_CALLBACK = """
import signal, sys, time, weakref
from debship.cli.ending import ended_cleanly

class Thing: pass

def gone(reference):
    signal.raise_signal(int(sys.argv[1]))

with ended_cleanly():
    try:
        thing = Thing()
        reference = weakref.ref(thing, gone)
        del thing
        time.sleep(30)
        print("went on")
    finally:
        print("tidied")
"""


# On a machine that has much to do, what begins a thread may go on late.
LATE = """
import threading
start = threading.Thread.start
def late(thread):
    start(thread)
    time.sleep(0.2)
threading.Thread.start = late
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("before", ["", LATE], ids=["at once", "late"])
def test_a_signal_that_comes_within_a_callback_ends_it_all_the_same(number, before) -> None:
    script = WITHIN_A_CALLBACK.replace("class Thing", f"{before}\nclass Thing")
    done = subprocess.run(
        [sys.executable, "-c", script, str(int(number))],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "tidied\n"
    ended = -number if number == signal.SIGINT else 128 + number  # as Python ends after Ctrl-C
    assert done.returncode == ended


def test_what_else_a_callback_raises_is_said_as_before() -> None:
    script = WITHIN_A_CALLBACK.replace("signal.raise_signal(int(sys.argv[1]))", "1 / 0")
    script = script.replace("sleep(30)", "sleep(0)")
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "went on\ntidied\n"
    assert "ZeroDivisionError" in done.stderr
