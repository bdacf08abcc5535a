"""The files of packages, which are put there once and never change."""

import threading
from collections.abc import Callable, Sequence
from functools import partial

from debship.errors import Failed, Refused
from debship.model import Size
from debship.publish.plan import Upload
from debship.publish.store import Conflict, IfAbsent, Store
from debship.publish.together import together

_LARGE = 64 << 20  # bytes; what is larger is looked for before it is sent


class Pool:
    """The uploads of one publication, which may begin again after a lost race."""

    def __init__(self, store: Store, say: Callable[[str], None]) -> None:
        self._store, self._say = store, say
        self._sent: set[str] = set()  # paths that we wrote
        self._found: dict[str, Upload] = {}  # what lay there already

    def uploads(self, wanted: Sequence[Upload]) -> list[Callable[[], None]]:
        """Give the writes that bring these files into the pool.

        Each raises Refused where other bytes lie there, and Failed where the file changes.
        """
        todo = [upload for upload in wanted if upload.path not in self._sent]
        meter = Meter(sum(upload.deb.size for upload in todo), self._say)
        if todo:
            self._say(f"uploading {len(todo)} to the pool ({Size(meter.total)})")
        return [partial(self._upload, upload, meter.more) for upload in todo]

    def see_again(self) -> None:
        """Bring back, after the commit, what lay there and a gc may have taken since."""
        again = list(self._found.values())
        together(partial(self._upload, upload, lambda sent: None) for upload in again)

    def _upload(self, upload: Upload, more: Callable[[int], None]) -> None:
        deb, path = upload.deb, upload.path
        there = self._store.sha256(path) if deb.size > _LARGE or path in self._found else None
        if there is None:
            try:
                written = self._store.write(path, deb.path, IfAbsent(), more)
            except Conflict:
                there = self._store.sha256(path)
            else:
                self._sent.add(path)
                if written.sha256 != deb.sha256:
                    self._store.delete(path)
                    raise Failed(f"{deb.path}: it changed while it was published", "run it again")
                return
        if there != deb.sha256:
            raise Refused(
                f"{deb.path}: {path} is in the pool with other bytes",
                "what hosts may have installed never changes: publish it under a new version",
            )
        self._found[path] = upload


class Meter:
    """Says how much is done of what takes long: each tenth of it, once."""

    def __init__(self, total: int, say: Callable[[str], None]) -> None:
        self.total, self._say = total, say
        self._done = 0
        self._lock = threading.Lock()

    def more(self, count: int) -> None:
        """Take in that so many bytes more are done."""
        with self._lock:
            before, self._done = self._done, self._done + count
            tenths = 10 * self._done // max(self.total, 1)
            if self.total > _LARGE and tenths > 10 * before // self.total and tenths < 10:
                self._say(f"uploaded {Size(self._done)} of {Size(self.total)}")
