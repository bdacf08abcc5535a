"""Where a repository lies: one file for each kind of store.

A store has no rename and no links, for S3 has none. What takes their place is a condition on a
write: it is evaluated and the bytes appear in one step, or nothing happens.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from debship.errors import Misused

# A part that is empty or of dots alone, and what no name has in it.
_ASTRAY = re.compile(r"(?:^|/)\.{0,2}(?:/|$)|[\0-\x1f]")


@dataclass(frozen=True, slots=True)
class IfAbsent:
    """Write only where nothing is."""


class IfMatch(NamedTuple):
    """Write only over the bytes that bear this etag."""

    etag: str


Condition = IfAbsent | IfMatch | None
Sent = Callable[[int], None]


class Conflict(Exception):
    """The condition of a write did not hold; nothing was written."""


class Found(NamedTuple):
    """What a store gave."""

    data: bytes
    etag: str  # changes whenever the bytes do
    modified: datetime  # UTC
    sha256: str  # of the bytes, lower-case hexadecimal


class Written(NamedTuple):
    """What lies under a path after a write."""

    etag: str
    sha256: str  # of the bytes that were written, lower-case hexadecimal


class Entry(NamedTuple):
    """An object as a listing shows it."""

    path: str
    size: int  # bytes
    modified: datetime  # UTC


class Store(Protocol):
    """A place for named bytes. Paths are relative, of plain names between slashes.

    Raises:
        Misused: a path would lead out of the store.
        Failed: the store cannot be reached or used, or is full.
    """

    def expect(self, paths: Iterable[str]) -> None:
        """Hear what will be read next, each once; it may be read already meanwhile."""
        ...

    def read(self, path: str) -> Found | None:
        """Give an object whole, or None where there is none."""
        ...

    def write(
        self,
        path: str,
        data: bytes | Path,
        condition: Condition = None,
        sent: Sent | None = None,
        same_as: str | None = None,
    ) -> Written:
        """Put bytes, or a file's, under a path: all of them or none.

        Args:
            path: where.
            data: what.
            condition: see ``IfAbsent`` and ``IfMatch``.
            sent: hears how many bytes more are written, as they are; from any thread.
            same_as: where these very bytes lie already, under a name that says what they are. A
                store may let both names share them.

        Raises:
            Conflict: the condition does not hold.
        """
        ...

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """Give all objects whose path starts with these characters, in order of their paths."""
        ...

    def delete(self, path: str) -> None:
        """Take an object away; nothing happens where there is none."""
        ...

    def sha256(self, path: str) -> str | None:
        """Give an object's SHA-256 in lower-case hexadecimal, or None where there is none."""
        ...

    def now(self) -> datetime | None:
        """Read the store's own clock; None where it is this machine's."""
        ...

    def sweep(self, before: datetime) -> None:
        """Take away what writes left that died before then, and that no listing shows."""
        ...


def checked(path: str) -> str:
    """Give back a path that stays inside of the store.

    Raises:
        Misused: it does not.
    """
    if _ASTRAY.search(path):
        raise Misused(f"{path!r} is not a path in a repository")
    return path


def cache_control(path: str) -> str:
    """Say how long what lies under this path may be kept by caches between it and apt.

    What is named by its content or its version never changes; everything else changes with every
    publication, and an old copy of it beside a new one breaks hosts.
    """
    if path.startswith("pool/") or "/by-hash/" in path:
        return "public, max-age=31536000, immutable"
    return "no-cache"


def open_store(address: str, *, single_publisher: bool = False) -> Store:
    """Open a directory, or ``s3://bucket/prefix``.

    Args:
        address: where it lies.
        single_publisher: take an S3 store that ignores conditions; two publishers at once would
            then lose packages.

    Raises:
        Misused: the address names no store.
    """
    if address.startswith("s3://"):
        if "@" in address.removeprefix("s3://").partition("/")[0]:
            raise Misused(
                "the store's address holds a user or a password",
                "s3://bucket/prefix; boto3 finds credentials itself: AWS_ACCESS_KEY_ID, a profile, a role",
            )
        from debship.publish.store.s3 import S3Store

        return S3Store.open(address, single_publisher=single_publisher)
    if "://" in address:
        raise Misused(f"{address}: not a store", "a directory, or s3://bucket/prefix")
    from debship.publish.store.directory import DirectoryStore

    return DirectoryStore(Path(address))
