"""What builds keep for later ones: checked when it is read, bounded, safe with several at once.

An entry is one file, named by a key that says all that it depends on. It appears by a rename, so
no reader sees half of one, and it holds its own digest, so none takes a damaged one for whole.
Nothing here is worth a lock: two builds that make one entry make the same bytes.
"""

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from debship.debian.archive_writer import Stretch
from debship.errors import Failed, Misused

LAYERS = "layers"  # the folder of it among what debship keeps

# An entry: the magic, SHA-256 of what follows it up to the blocks, SHA-256 of the blocks, the length
# of the facts in 8 bytes, the facts, the blocks.
_MAGIC = b"debship2"
_DIGEST = 32
_HEAD = len(_MAGIC) + 2 * _DIGEST + 8
_DEFAULT_LIMIT = 4 << 30
_SIZE = re.compile(r"(?P<number>[0-9]+)(?P<unit>[KMGT]?)(i?B)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Entry:
    """What was kept under a key: a few facts, and many bytes.

    Attributes:
        digest: SHA-256 of the blocks.
    """

    facts: bytes
    blocks: Stretch
    digest: bytes

    @property
    def is_whole(self) -> bool:
        """Whether the blocks are what was kept; the facts were checked when it was found."""
        digest = hashlib.sha256()
        try:
            for chunk in self.blocks.chunks():
                digest.update(chunk)
        except Failed:
            return False
        return digest.digest() == self.digest


@dataclass(frozen=True, slots=True)
class Usage:
    """How much is kept, in bytes."""

    entries: int
    size: int
    limit: int


@dataclass(frozen=True, slots=True)
class Cache:
    """A folder of entries; made when the first is kept."""

    folder: Path

    def find(self, key: str, link: Path, *, facts_alone: bool = False) -> Entry | None:
        """Give an entry.

        Args:
            key: what it was kept under.
            link: a path of the caller's; the entry's bytes are there afterwards, whatever another
                build takes away from the cache.
            facts_alone: the blocks may be damaged; they are not looked at.

        Returns:
            None where there is none, or a damaged one, which is taken away.
        """
        path = self._path(key)
        try:
            if not link.exists():
                _hold(path, link)
        except OSError:
            return None
        with contextlib.suppress(OSError):  # a cache that may only be read
            os.utime(path)
        found = _read(link)
        if found is None or not (facts_alone or found.is_whole):
            path.unlink(missing_ok=True)
            link.unlink()
            return None
        return found

    def facts(self, key: str) -> bytes | None:
        """Give the facts of an entry; None where there is none, or a damaged one."""
        path = self._path(key)
        with contextlib.suppress(OSError):
            found = _read(path)
            os.utime(path)
            return None if found is None else found.facts
        return None

    def keep(self, key: str, facts: bytes, blocks: Stretch | None = None) -> None:
        """Keep an entry; a full disk keeps nothing, and is no error."""
        with contextlib.suppress(OSError):
            path = self._path(key)
            path.parent.mkdir(parents=True, exist_ok=True)
            with _appearing(path) as sink_path, sink_path.open("wb") as sink:
                digest = hashlib.sha256()
                sink.seek(_HEAD)
                sink.write(facts)
                for chunk in blocks.chunks() if blocks else ():
                    digest.update(chunk)
                    sink.write(chunk)
                told = digest.digest() + len(facts).to_bytes(8, "little")
                sink.seek(0)
                sink.write(_MAGIC + hashlib.sha256(told + facts).digest() + told)

    def sweep(self) -> None:
        """Take away what was not used for longest, until the rest is within the limit."""
        entries = sorted(self._entries(), key=lambda entry: entry[1].st_mtime_ns)
        over = sum(stat.st_size for _, stat in entries) - self.limit
        for path, stat in entries:
            if over <= 0:
                return
            path.unlink(missing_ok=True)
            over -= stat.st_size

    def clear(self) -> None:
        """Take everything away but the limit."""
        for path, _ in self._entries():
            path.unlink(missing_ok=True)

    @property
    def usage(self) -> Usage:
        """How much there is."""
        sizes = [stat.st_size for _, stat in self._entries()]
        return Usage(len(sizes), sum(sizes), self.limit)

    @property
    def limit(self) -> int:
        """How many bytes may stay after a build."""
        try:
            return parse_size((self.folder / "limit").read_text().strip())
        except (OSError, Misused):
            return _DEFAULT_LIMIT

    def set_limit(self, limit: int) -> None:
        """Say how many bytes may stay after a build, from now on."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with _appearing(self.folder / "limit") as path:
            path.write_text(f"{limit}\n")

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / key[2:]

    def _entries(self) -> Iterator[tuple[Path, os.stat_result]]:
        """Every entry, and what a killed build left of one."""
        for path in self.folder.glob("[0-9a-f][0-9a-f]/*"):
            with contextlib.suppress(OSError):
                yield path, path.stat()


def parse_size(text: str) -> int:
    """Read a size such as 500M or 4G (powers of 1024) as bytes.

    Raises:
        Misused: it is none.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise Misused(f'"{text}" is not a size', "for example: 500M or 4G")
    return int(match["number"]) << 10 * " KMGT".index(match["unit"].upper() or " ")


def _hold(path: Path, link: Path) -> None:
    try:
        os.link(path, link)
    except OSError:  # another file system, or one without links; or there is no such entry
        shutil.copyfile(path, link)


def _read(path: Path) -> Entry | None:
    """Read the facts, and check them against the digest before them."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head, told = file.read(len(_MAGIC) + _DIGEST), file.read(_DIGEST + 8)
        facts = file.read(min(int.from_bytes(told[_DIGEST:], "little"), size))
    if head != _MAGIC + hashlib.sha256(told + facts).digest():
        return None
    start = _HEAD + len(facts)
    return Entry(facts, Stretch(path, start, size - start), told[:_DIGEST])


@contextlib.contextmanager
def _appearing(path: Path) -> Iterator[Path]:
    descriptor, name = tempfile.mkstemp(prefix=".", dir=path.parent)
    os.close(descriptor)
    hidden = Path(name)
    try:
        yield hidden
        hidden.replace(path)
    except BaseException:
        hidden.unlink(missing_ok=True)
        raise
