"""The door to local programs, and the only import of subprocess."""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from debship.errors import Failed

Word = str | Path

# The user and the password of a URL, up to the last @ before its path: uv and pip show some.
_USERINFO = re.compile(r"(?<=://)[^\s/?#'\"]+@")
# The values in a URL's query: some indexes take a token there.
_QUERY = re.compile(r"(?<=://)[^\s?#'\"]*\?[^\s#'\"]+")
_VALUE = re.compile(r"=[^&`]+")


class Completed(NamedTuple):
    """What a program that ended left: its exit code and what it wrote."""

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Its standard output as text, without the final newline."""
        return self.stdout.decode(errors="replace").rstrip("\n")


class Run(Protocol):
    """Run a program to its end.

    Args:
        argv: the words of the command; never a shell's line.
        cwd: where it runs; None is here.
        env: variables set on top of those of this process; a None takes one away.
        stdin: what it reads; nothing by default.
        timeout: seconds until it is killed with all its children.
        check: raise where it exits with anything but 0.

    Raises:
        Failed: it is not installed, ran out of time, or (with check) exited with another code
            than 0; the message shows the end of what it wrote.
    """

    def __call__(
        self,
        argv: Sequence[Word],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str | None] | None = None,
        stdin: bytes = b"",
        timeout: float | None = None,
        check: bool = True,
    ) -> Completed:
        """Run it."""
        ...


def run(
    argv: Sequence[Word],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str | None] | None = None,
    stdin: bytes = b"",
    timeout: float | None = None,
    check: bool = True,
) -> Completed:
    """Run a program of this machine to its end; see ``Run``."""
    words = tuple(str(word) for word in argv)
    signals = _Signals()
    with signals.released_on_error():
        process = _open(words, cwd=cwd, env=env)
    with process:
        try:
            signals.release()
            stdout, stderr = process.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired as error:
            _end(process)
            raise Failed(f"{words[0]} did not end within {timeout:g} s: {shown(words)}") from error
        except BaseException:
            # Ctrl-C: leave no child behind that goes on writing after we said that we stopped.
            _end(process)
            raise
    completed = Completed(words, process.returncode, stdout, stderr)
    if check and completed.returncode != 0:
        raise Failed(failure(completed))
    return completed


class _Signals:
    """Holds back what would interrupt the making of a child: nobody could end it yet.

    Signals reach the main thread alone (see Python's signal module); elsewhere there is nothing to hold.
    """

    def __init__(self) -> None:
        self._came: list[int] = []
        self._handlers: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                if callable(handler := signal.getsignal(number)):
                    self._handlers[number] = handler
                    signal.signal(number, lambda number, _: self._came.append(number))

    def release(self) -> None:
        """Let signals through again, those that came first."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        for number in self._came:
            signal.raise_signal(number)

    @contextlib.contextmanager
    def released_on_error(self) -> Iterator[None]:
        """Hold on, unless there is no child to wait for."""
        try:
            yield
        except BaseException:
            self.release()
            raise


class Spawned(NamedTuple):
    """A program that goes on running by itself, in a session of its own."""

    pid: int
    process: subprocess.Popen[bytes]


def spawn(
    argv: Sequence[Word],
    *,
    log: Path,
    cwd: Path | None = None,
    env: Mapping[str, str | None] | None = None,
) -> Spawned:
    """Start a program that outlives this one; what it writes goes to ``log``.

    Raises:
        Failed: it is not installed.
    """
    words = tuple(str(word) for word in argv)
    with log.open("ab") as sink:
        try:
            process = subprocess.Popen(
                words,
                cwd=cwd,
                env=_environment(env),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise _missing(words, error) from error
    return Spawned(process.pid, process)


def shown(argv: Sequence[Word]) -> str:
    """A command as a line that a person can paste into a shell, once the secrets are filled in."""
    return without_passwords(shlex.join(str(word) for word in argv))


def without_passwords(text: str) -> str:
    """Hide who logs in where a text names URLs, and by which token: many people read a log."""
    hidden = _USERINFO.sub("[hidden]@", text)
    return _QUERY.sub(lambda url: _hide_values(url[0]), hidden)


def _hide_values(url: str) -> str:
    address, mark, query = url.partition("?")
    return address + mark + _VALUE.sub("=[hidden]", query)


def signal_name(number: int) -> str:
    """Name a signal; Python has no names for most of the real-time ones."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def failure(completed: Completed, lines: int = 15) -> str:
    """One message for a program that failed: its command, its code, the end of what it wrote."""
    wrote = (completed.stderr.strip() or completed.stdout.strip()).decode(errors="replace")
    tail = "\n".join(f"  {line}" for line in without_passwords(wrote).splitlines()[-lines:])
    code = completed.returncode
    how = f"was ended by {signal_name(-code)}" if code < 0 else f"exited with {code}"
    return f"{completed.argv[0]} {how}: {shown(completed.argv)}" + (f"\n{tail}" if tail else "")


def _open(
    words: tuple[str, ...], *, cwd: Path | None, env: Mapping[str, str | None] | None
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            words,
            cwd=cwd,
            env=_environment(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise _missing(words, error) from error
    except OSError as error:  # a script that nobody may execute, or that has no first line
        raise Failed(f"{words[0]} cannot be run: {error.strerror}") from error


def _environment(env: Mapping[str, str | None] | None) -> dict[str, str]:
    merged: dict[str, str | None] = {**os.environ, **(env or {})}
    return {name: value for name, value in merged.items() if value is not None}


def _missing(words: Sequence[str], error: FileNotFoundError) -> Failed:
    if error.filename != words[0]:
        return Failed(f"{words[0]} cannot run in {error.filename}: there is no such folder")
    return Failed(f"{words[0]} is not installed on this machine", "see: debship doctor")


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
