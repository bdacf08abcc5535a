"""How a command speaks: data to stdout, everything else to stderr."""

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from debship.errors import DebshipError

ENVELOPE = 1  # the version of what --json prints

Say = Callable[[str], None]


def show_error(error: DebshipError) -> None:
    """Write an error, and on a line of its own the way out."""
    print(f"error: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)


def show_json(command: str, result: Mapping[str, Any]) -> None:
    """Write the one envelope that machines read."""
    envelope = {"debship": ENVELOPE, "command": command, "result": result}
    print(json.dumps(envelope, indent=2, sort_keys=True))


@contextlib.contextmanager
def progress() -> Iterator[Say]:
    """Give a function that shows what is being done now.

    A terminal gets one live line with a spinner, and keeps what is a note; a pipe or CI gets
    plain lines with the seconds since the start.
    """
    if sys.stderr.isatty():
        from rich.console import Console

        console = Console(stderr=True)
        with console.status("") as status:

            def show(step: str) -> None:
                if "note: " in step:
                    console.print(step, markup=False, highlight=False, soft_wrap=True)
                else:
                    status.update(step)

            yield show
        return
    start = time.monotonic()
    yield lambda step: print(f"{time.monotonic() - start:6.1f}s  {step}", file=sys.stderr)
