"""A process of its own that watches or asks, and writes what it sees, a JSON object a line."""

import json
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from debship.errors import Failed
from debship.run import Spawned, spawn

_READY = "null"  # the first line of each


class Recorder:
    """Runs ``python -m MODULE WORDS`` from ``start`` to ``stop``, and reads what it wrote.

    Args:
        module: calls ``ready`` when it begins.
        words: what it is told.
        log: the file for what it writes; made anew at the start.
    """

    def __init__(self, module: str, words: tuple[str, ...], log: Path) -> None:
        self._argv = (sys.executable, "-m", module, *words)
        self._log = log
        self._spawned: Spawned | None = None

    def start(self) -> None:
        """Start it, and wait until it is ready.

        Raises:
            Failed: it ended at once.
        """
        self._log.unlink(missing_ok=True)
        self._spawned = spawn(self._argv, log=self._log)
        while not self._log.read_bytes().startswith(_READY.encode()):
            if self._spawned.process.poll() is not None:
                self.read()
                raise Failed(f"{self._argv[2]} ended at once")
            time.sleep(0.01)

    def stop(self) -> list[dict[str, Any]]:
        """Stop it, wait for what is under way, and give all that it wrote."""
        if self._spawned is not None:
            self._spawned.process.send_signal(signal.SIGTERM)
            self._spawned.process.wait()
        return self.read()

    def read(self) -> list[dict[str, Any]]:
        """Give what it wrote until now.

        Raises:
            Failed: it wrote something else, such as why it failed.
        """
        text = self._log.read_text(errors="replace")
        lines = text[: text.rfind("\n") + 1].splitlines()
        try:
            return [found for found in map(json.loads, lines) if found is not None]
        except ValueError as error:
            raise Failed(f"{self._argv[2]} failed\n{text[-1500:]}") from error


def ready() -> threading.Event:
    """Say that the process begins; give what is set when it shall stop."""
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print_line(None)
    return stopped


def print_line(found: object) -> None:
    """Write one line, whole, at once."""
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()
