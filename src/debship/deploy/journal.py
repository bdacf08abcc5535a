"""What a roll writes down before it acts, on the machine of who rolls."""

import json
import os
from pathlib import Path
from typing import Any, Protocol

from debship.deploy.clock import Clock
from debship.errors import Failed


class JournalLost(Failed):
    """The journal would not take a line, so what it announces must not be done."""


class Journal(Protocol):
    """What one roll writes down on the side of who rolls."""

    def write(self, event: str, host: str = "", **facts: Any) -> None:
        """Add a line, safe from then on.

        Raises:
            JournalLost: it could not be kept.
        """
        ...


class DiskJournal:
    """A journal on this machine: a JSON object a line, on disk before the act."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Begin a journal; the folder is made where it is missing."""
        self.path = path
        self._clock = clock
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Failed(f"{path.parent}: no journal can be kept here: {error.strerror}") from error

    def write(self, event: str, host: str = "", **facts: Any) -> None:
        """Add a line and see it on disk.

        Raises:
            JournalLost: the disk would not take it.
        """
        line = json.dumps({"time": self._clock.now(), "event": event, "host": host, **facts})
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(descriptor, line.encode() + b"\n")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise JournalLost(
                f"{self.path}: the journal cannot be written: {error.strerror}",
                "nothing further was done",
            ) from error
