"""Nobody reads any more what a command writes: what it does goes on, and ends as it would have."""

import os
import subprocess
import sys

import pytest

GOES_ON = """\
import os, sys
from debship.cli.output import progress, show_error
from debship.errors import Failed
with progress(slowest=True) as say:
    say("leaving")
    say("note: left")
    if "window" in globals():
        os.close(window)
    say("note: back")
show_error(Failed("one host", "mend it"))
print("went on")
"""

CLOSED_TERMINAL = """\
import os, pty, signal
signal.signal(signal.SIGHUP, signal.SIG_IGN)
window, terminal = pty.openpty()
os.dup2(terminal, 2)
"""

ROLLED = """\
import sys
from pathlib import Path
from types import SimpleNamespace
from debship.cli.rolls import Typed, show
from debship.deploy.report import HostReport, Outcome, RollReport
hosts = tuple(HostReport(f"h{n}", Outcome.UNKNOWN, reason="x" * 9000) for n in range(9))
report = RollReport("r1", "auth", "auth 1", "1", hosts, 1.0)
typed = Typed("deploy", "auth", "", json=sys.argv[1] == "json", html="".join(sys.argv[2:]))
sys.exit(show(typed, SimpleNamespace(name="auth"), SimpleNamespace(env={}), report))
"""


def unread() -> int:
    """The end of a pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def ended(script: str, *words: str, **streams: int) -> subprocess.CompletedProcess[bytes]:
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    argv = [sys.executable, "-c", script, *words]
    return subprocess.run(argv, check=False, timeout=60, **streams)


@pytest.mark.parametrize("before", ["", CLOSED_TERMINAL])
def test_what_is_done_goes_on_when_nobody_reads_how_far_it_is(before: str) -> None:
    done = ended(before + GOES_ON, stderr=unread())
    assert (done.stdout, done.returncode) == (b"went on\n", 0)


@pytest.mark.parametrize("length", ["9", "9000"])
@pytest.mark.parametrize("form", ["json", "lines"])
def test_a_report_that_nobody_reads_leaves_the_exit_code_of_the_roll(
    form: str, length: str
) -> None:
    done = ended(ROLLED.replace("9000", length), form, stdout=unread())
    assert (done.stderr, done.returncode) == (b"", 4)


@pytest.mark.parametrize(("outcome", "code"), [("UNKNOWN", 4), ("CHANGED", 1)])
def test_a_page_that_cannot_be_written_hides_no_report(outcome: str, code: int) -> None:
    done = ended(ROLLED.replace("UNKNOWN", outcome), "lines", "/nowhere/report.html")
    assert done.returncode == code
    assert done.stdout.startswith(f"  h0  {outcome.lower()}".encode())
    assert done.stderr == (
        b"error: /nowhere/report.html: the report cannot be written: No such file or directory\n"
    )
