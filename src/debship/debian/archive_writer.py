"""Writing a .deb: an ar of two compressed tars (deb(5))."""

import hashlib
import mmap
import os
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from debship.errors import Failed, Refused

END_OF_TAR = bytes(1024)  # two blocks of zeros
_CHUNK = 1 << 17  # bytes of a file that are read at once: larger ones the allocator keeps
_PIECE = 1 << 20  # bytes of one that are mapped at once


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, a directory or a symbolic link of a package.

    Attributes:
        path: relative to the root, without a leading slash; ``.`` is the root itself.
        mode: permission bits.
        content: of a file: a file to read it from, or the bytes themselves.
        target: of a symbolic link: what it points at.
    """

    path: str
    mode: int = 0o755
    content: Path | bytes | None = None
    target: str | None = None

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return self.content is not None

    @property
    def size(self) -> int:
        """Bytes that a file holds or a link's target has; 0 for a directory."""
        if isinstance(self.content, Path):
            return os.stat(self.content).st_size  # noqa: PTH116 - of thousands
        if self.content is not None:
            return len(self.content)
        return len(self.target.encode()) if self.target is not None else 0

    def chunks(self) -> Iterator[bytes]:
        """Read a file."""
        if isinstance(self.content, bytes):
            yield self.content
        elif self.content is not None:
            # One of thousands, most of them small.
            with open(self.content, "rb", buffering=0) as source:  # noqa: PTH123
                while chunk := source.read(_CHUNK):
                    yield chunk

    @property
    def kib(self) -> int:
        """What it adds to Installed-Size (deb-substvars(5)): 1 KiB is the least a non-file takes."""
        if self.content is None and self.target is None:
            return 1
        return -(-self.size // 1024)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Bytes that lie in a file, from ``start`` on."""

    path: Path
    start: int
    size: int

    def chunks(self) -> Iterator[memoryview]:
        """Read them.

        Raises:
            Failed: the file ends before they do.
        """
        if not self.size:
            return
        with self.path.open("rb") as source:
            if source.seek(0, os.SEEK_END) < self.start + self.size:
                raise Failed(f"{self.path} lost its end while it was read")
            end = self.start + self.size
            for start in range(self.start, end, _PIECE):
                yield _mapped(source, start, min(_PIECE, end - start))


def _mapped(source: IO[bytes], start: int, size: int) -> memoryview:
    """Show bytes of a file where the kernel has them, without a copy of ours, piece by piece.

    A piece that nobody looks at any more counts as no memory of ours.
    """
    before = start % mmap.ALLOCATIONGRANULARITY
    piece = mmap.mmap(
        source.fileno(), before + size, access=mmap.ACCESS_READ, offset=start - before
    )
    return memoryview(piece)[before:]


def write_tar(
    entries: Iterable[Entry], *, mtime: int, sink: IO[bytes]
) -> tuple[tuple[str, str], ...]:
    """Write entries as tar blocks, in the order given, without the end of the archive.

    GNU headers: dpkg refuses pax ones, and ustar's names end at 255 bytes.

    Args:
        entries: what to write; a directory must come before what lies in it.
        mtime: seconds since 1970, of every entry.
        sink: where the blocks go.

    Returns:
        the MD5 of each regular file, with its path.

    Raises:
        Failed: a file changed while it was read.
    """
    md5s = []
    for entry in entries:
        size = entry.size
        sink.write(_header(entry, size, mtime))
        if not entry.is_file:
            continue
        # dpkg compares with md5sums to find damage, not malice (deb-md5sums(5)).
        md5, written = hashlib.md5(usedforsecurity=False), 0
        for chunk in entry.chunks():
            md5.update(chunk)
            sink.write(chunk)
            written += len(chunk)
        if written != size:
            raise Failed(f"{entry.path} changed while it was read")
        sink.write(bytes(-size % tarfile.BLOCKSIZE))
        md5s.append((entry.path, md5.hexdigest()))
    return tuple(md5s)


def write_ar(
    sink: BinaryIO, *, control: bytes, data: Sequence[Stretch | bytes], suffix: str, mtime: int
) -> None:
    """Write the package's archive: debian-binary, control.tar, data.tar, in this order.

    Args:
        sink: where it goes.
        control: the compressed control.tar.
        data: the pieces of the compressed data.tar.
        suffix: ``zst`` or ``xz``.
        mtime: seconds since 1970, of all three members.
    """
    size = sum(len(part) if isinstance(part, bytes) else part.size for part in data)
    sink.write(b"!<arch>\n" + _member("debian-binary", 4, mtime) + b"2.0\n")
    sink.write(_member(f"control.tar.{suffix}", len(control), mtime) + control)
    sink.write(b"\n" * (len(control) % 2))
    sink.write(_member(f"data.tar.{suffix}", size, mtime))
    for part in data:
        for chunk in (part,) if isinstance(part, bytes) else part.chunks():
            sink.write(chunk)
    sink.write(b"\n" * (size % 2))


def _header(entry: Entry, size: int, mtime: int) -> bytes:
    """Write a GNU header; thousands of them, so without tarfile where the names are short."""
    name, link = (
        _bytes("./" if entry.path == "." else f"./{entry.path}"),
        _bytes(entry.target or ""),
    )
    if entry.content is None and entry.target is None and entry.path != ".":
        name += b"/"
    size = size if entry.is_file else 0
    if len(name) > tarfile.LENGTH_NAME or len(link) > tarfile.LENGTH_LINK or size >> 33:
        return _long_header(entry, size, mtime)
    kind = b"0" if entry.is_file else b"5" if entry.target is None else b"2"
    root = b"root".ljust(32, b"\0") * 2
    before = name.ljust(100, b"\0") + b"%07o\0" % entry.mode + b"0000000\0" * 2
    before += b"%011o\0%011o\0" % (size, mtime)
    after = kind + link.ljust(100, b"\0") + b"ustar  \0" + root + bytes(183)
    checksum = sum(before) + 8 * 32 + sum(after)  # its own field counts as spaces
    return before + b"%06o\0 " % checksum + after


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def _long_header(entry: Entry, size: int, mtime: int) -> bytes:
    info = tarfile.TarInfo("./" if entry.path == "." else f"./{entry.path}")
    info.mode, info.mtime = entry.mode, mtime
    info.uname = info.gname = "root"
    if entry.is_file:
        info.type, info.size = tarfile.REGTYPE, size
    elif entry.target is not None:
        info.type, info.linkname = tarfile.SYMTYPE, entry.target
    else:
        info.type = tarfile.DIRTYPE
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def _member(name: str, size: int, mtime: int) -> bytes:
    if size >= 10**10:
        raise Refused("the package would hold more than 9 GiB, which ar(5) cannot say")
    return f"{name:<16}{mtime:<12}{0:<6}{0:<6}{100644:<8}{size:<10}`\n".encode()
