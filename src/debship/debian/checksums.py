"""The three checksums that Debian's control files of an upload list."""

import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO

_ALGORITHMS = ("md5", "sha1", "sha256")
_BEHIND = 24  # pieces of a file that may wait, each 1 MiB at most


@dataclass(frozen=True, slots=True)
class Checksums:
    """A file, as deb-changes(5) and deb-buildinfo(5) list it.

    Attributes:
        name: of the file, without a folder.
        size: bytes.
        md5, sha1, sha256: lower-case hexadecimal. Only the last is worth believing; the others
            are required fields.
    """

    name: str
    size: int
    md5: str
    sha1: str
    sha256: str


def checksums_of(name: str, content: bytes) -> Checksums:
    """Take the checksums of bytes."""
    return Checksums(
        name,
        len(content),
        hashlib.md5(content, usedforsecurity=False).hexdigest(),
        hashlib.sha1(content, usedforsecurity=False).hexdigest(),
        hashlib.sha256(content).hexdigest(),
    )


class Summing:
    """Takes the checksums of a file while it is written, each in a thread of its own.

    Args:
        sink: what is written to.
    """

    def __init__(self, sink: BinaryIO) -> None:
        self._sink = sink
        self._size = 0
        self._sums = [hashlib.new(name, usedforsecurity=False) for name in _ALGORITHMS]
        self._threads = [ThreadPoolExecutor(1) for _ in _ALGORITHMS]
        self._behind: deque[Future[None]] = deque()

    def write(self, data: bytes) -> int:
        """Write the next bytes."""
        self._size += len(data)
        for digest, thread in zip(self._sums, self._threads, strict=True):
            self._behind.append(thread.submit(digest.update, data))
        while len(self._behind) > _BEHIND:
            self._behind.popleft().result()
        return self._sink.write(data)

    def sums(self, name: str) -> Checksums:
        """Give the checksums of all that was written; nothing may be written afterwards."""
        for thread in self._threads:
            thread.shutdown()
        md5, sha1, sha256 = (digest.hexdigest() for digest in self._sums)
        return Checksums(name, self._size, md5, sha1, sha256)
