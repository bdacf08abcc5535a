"""A store in memory; it passes the same contract test as the real ones."""

import hashlib
import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from debship.publish.store import (
    Condition,
    Conflict,
    Entry,
    Found,
    IfAbsent,
    IfMatch,
    Sent,
    Written,
    checked,
)


class MemoryStore:
    """Objects in a dictionary, and a record of the writes; `before_write` may interfere."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, datetime]] = {}
        self.writes: list[str] = []
        self.before_write = lambda path: None
        self.clock: datetime | None = None
        self.time = lambda: datetime.now(UTC)
        self._lock = threading.Lock()

    def expect(self, paths: Iterable[str]) -> None:
        pass

    def read(self, path: str) -> Found | None:
        found = self.objects.get(checked(path))
        if found is None:
            return None
        sha256 = hashlib.sha256(found[0]).hexdigest()
        return Found(found[0], sha256, found[1], sha256)

    def write(
        self,
        path: str,
        data: bytes | Path,
        condition: Condition = None,
        sent: Sent | None = None,
        same_as: str | None = None,
    ) -> Written:
        checked(path)
        assert same_as is None or self.read(same_as).data == data
        data = data if isinstance(data, bytes) else data.read_bytes()
        self.before_write(path)
        with self._lock:
            there = self.read(path)
            if isinstance(condition, IfAbsent) and there:
                raise Conflict(path)
            if isinstance(condition, IfMatch) and (not there or there.etag != condition.etag):
                raise Conflict(path)
            self.objects[path] = (data, self.time())
            self.writes.append(path)
        if sent:
            sent(len(data))
        sha256 = hashlib.sha256(data).hexdigest()
        return Written(sha256, sha256)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        for path in sorted(self.objects):
            if path.startswith(prefix):
                data, modified = self.objects[path]
                yield Entry(path, len(data), modified)

    def delete(self, path: str) -> None:
        self.objects.pop(checked(path), None)

    def sha256(self, path: str) -> str | None:
        found = self.read(path)
        return found.etag if found else None

    def sweep(self, before: datetime) -> None:
        pass

    def now(self) -> datetime | None:
        return self.clock
