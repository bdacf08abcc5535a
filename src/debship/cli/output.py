"""How a command speaks: data to stdout, everything else to stderr."""

import contextlib
import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TextIO, cast

from debship.errors import DebshipError

ENVELOPE = 1  # the version of what --json prints

# Half a character by itself: not a backslash's second one, and not a pair that is one character.
_HALF = re.compile(
    r"(?P<whole>\\\\|\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2})|\\udc(?P<byte>[89a-f][0-9a-f])"
)

_SLOWEST = 5  # steps that are named at the end

Say = Callable[[str], None]


def printable(text: str) -> str:
    """Make a text from elsewhere fit for a terminal.

    What is no visible character is shown as Python would write it: an escape sequence, a newline,
    what turns the direction of writing, a byte that is not UTF-8.
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def show_lines(lines: Iterable[str]) -> None:
    """Write lines whose text may be anybody's."""
    # What stdout's encoding lacks is shown as what is not visible is.
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    for line in lines:
        print(printable(line).encode(encoding, "backslashreplace").decode(encoding))


def show_texts(texts: Iterable[str]) -> None:
    """Write texts of several lines each, which may be anybody's: a log is in them."""
    show_lines(line.expandtabs() for text in texts for line in text.split("\n"))


def show_error(error: DebshipError) -> None:
    """Write an error, and on a line of its own the way out."""
    tell(f"error: {_printable_lines(error.message)}")
    if error.hint:
        tell(f"hint: {_printable_lines(error.hint)}")


def tell(text: str) -> None:
    """Write a line to stderr; where nobody reads it any more, what goes on goes on."""
    print(text, file=_Stderr(sys.stderr))


@contextlib.contextmanager
def read_or_not() -> Iterator[None]:
    """Let a block write its result to stdout; a reader that has gone is no reason to fail.

    What was done is done, and its exit code says how it ended.
    """
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _to_nobody(sys.stdout)


def _to_nobody(stream: TextIO) -> None:
    """Let what is still to be written go nowhere: Python flushes at its end, and would complain."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


class _Stderr:
    """Stderr, which may lose its reader: a ``| tee`` that Ctrl-C ended, a terminal that is closed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, and never fail."""
        self._do(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush, and never fail."""
        self._do(self._stream.flush)

    def __getattr__(self, name: str) -> Any:
        """Be the stream in all else."""
        return getattr(self._stream, name)

    def _do(self, write: Callable[[], object]) -> None:
        try:
            write()
        except BlockingIOError:
            pass  # a reader that is behind is there, and gets it later
        except (OSError, ValueError):
            _to_nobody(self._stream)


def _printable_lines(text: str) -> str:
    return "\n".join(printable(line.expandtabs()) for line in text.split("\n"))


def show_json(command: str, result: Mapping[str, Any]) -> None:
    """Write the one envelope that machines read."""
    envelope = {"debship": ENVELOPE, "command": command, "result": result}
    text = json.dumps(envelope, indent=2, sort_keys=True)
    # A byte of a name that is no UTF-8 would be half a character, which readers of JSON refuse.
    print(_HALF.sub(lambda found: found["whole"] or rf"\\x{found['byte']}", text))


@contextlib.contextmanager
def progress(*, slowest: bool = False) -> Iterator[Say]:
    """Give a function that shows what is being done now.

    A terminal gets one live line with a spinner, and keeps what is a note; a pipe or CI gets
    plain lines with the seconds since the start.

    Args:
        slowest: name at the end the steps that took longest.
    """
    steps = _Steps()
    with _live() if sys.stderr.isatty() else _lines() as show:

        def say(step: str) -> None:
            steps.begin(step)
            show(step)

        yield say
    if slowest:
        steps.tell()


class _Steps:
    """What was done one after the other, and for how long."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._begun: list[tuple[float, str]] = []

    def begin(self, step: str) -> None:
        """Note a step; what is done beside another is no step of its own."""
        if threading.get_ident() == self._thread and "note: " not in step:
            self._begun.append((time.monotonic(), step))

    def tell(self) -> None:
        """Say which took longest."""
        ends = [start for start, _ in self._begun[1:]] + [time.monotonic()]
        took = [(end - start, step) for (start, step), end in zip(self._begun, ends, strict=True)]
        for seconds, step in sorted(took, reverse=True)[:_SLOWEST]:
            tell(f"{seconds:6.1f}s  of all: {printable(step)}")


@contextlib.contextmanager
def _live() -> Iterator[Say]:
    from rich.console import Console
    from rich.markup import escape

    console = Console(file=cast("TextIO", _Stderr(sys.stderr)), stderr=True)
    with console.status("") as status:

        def show(step: str) -> None:
            text = printable(step)
            if "note: " in text:
                console.print(text, markup=False, highlight=False, soft_wrap=True)
            else:
                status.update(escape(text))

        yield show


@contextlib.contextmanager
def _lines() -> Iterator[Say]:
    start = time.monotonic()

    def say(step: str) -> None:
        tell(f"{time.monotonic() - start:6.1f}s  {printable(step)}")

    yield say
