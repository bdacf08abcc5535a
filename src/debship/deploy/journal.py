"""What a roll writes down before it acts, on the machine of who rolls."""

import json
import os
from collections.abc import Mapping
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


class ToldJournal:
    """A journal whose lines are told to others too, for chat and monitoring.

    What was written down is told; a listener that does not listen must not stop a roll.
    """

    def __init__(self, inner: Journal, path: Path, about: Mapping[str, str], clock: Clock) -> None:
        """Begin to tell.

        Args:
            inner: keeps the lines.
            path: a file, which they are added to, or a named pipe that somebody reads.
            about: what every line says besides, such as the application.

        Raises:
            Failed: nothing can be told there.
        """
        self._inner, self._about, self._clock = inner, dict(about), clock
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK
            self._to: int | None = os.open(path, flags, 0o600)
        except OSError as error:
            raise Failed(f"{path}: no events can be told there: {error.strerror}") from error

    def write(self, event: str, host: str = "", **facts: Any) -> None:
        """Add a line, then tell it."""
        self._inner.write(event, host, **facts)
        line = {**self._about, "time": self._clock.now(), "event": event, "host": host, **facts}
        if self._to is None:
            return
        try:
            os.write(self._to, json.dumps(line).encode() + b"\n")
        except BlockingIOError:
            pass  # a reader that is behind misses a line
        except OSError:
            os.close(self._to)
            self._to = None
