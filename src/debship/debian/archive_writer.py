"""Writing a .deb: an ar of two compressed tars (deb(5))."""

import shutil
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from debship.errors import Failed, Refused

END_OF_TAR = bytes(1024)  # two blocks of zeros
_CHUNK = 1 << 20


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
            return self.content.stat().st_size
        if self.content is not None:
            return len(self.content)
        return len(self.target.encode()) if self.target is not None else 0

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

    def chunks(self) -> Iterator[bytes]:
        """Read them.

        Raises:
            Failed: the file ends before they do.
        """
        left = self.size
        with self.path.open("rb") as source:
            source.seek(self.start)
            while left:
                chunk = source.read(min(left, _CHUNK))
                if not chunk:
                    raise Failed(f"{self.path} lost its end while it was read")
                left -= len(chunk)
                yield chunk


def write_tar(entries: Iterable[Entry], *, mtime: int, sink: IO[bytes]) -> None:
    """Write entries as tar blocks, in the order given, without the end of the archive.

    GNU headers: dpkg refuses pax ones, and ustar's names end at 255 bytes.

    Args:
        entries: what to write; a directory must come before what lies in it.
        mtime: seconds since 1970, of every entry.
        sink: where the blocks go.
    """
    for entry in entries:
        sink.write(_header(entry, mtime))
        if isinstance(entry.content, bytes):
            sink.write(entry.content)
        elif entry.content is not None:
            with entry.content.open("rb") as source:
                shutil.copyfileobj(source, sink, _CHUNK)
        sink.write(bytes(-entry.size % tarfile.BLOCKSIZE if entry.is_file else 0))


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


def _header(entry: Entry, mtime: int) -> bytes:
    info = tarfile.TarInfo("./" if entry.path == "." else f"./{entry.path}")
    info.mode, info.mtime = entry.mode, mtime
    info.uname = info.gname = "root"
    if entry.is_file:
        info.type, info.size = tarfile.REGTYPE, entry.size
    elif entry.target is not None:
        info.type, info.linkname = tarfile.SYMTYPE, entry.target
    else:
        info.type = tarfile.DIRTYPE
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def _member(name: str, size: int, mtime: int) -> bytes:
    if size >= 10**10:
        raise Refused("the package would hold more than 9 GiB, which ar(5) cannot say")
    return f"{name:<16}{mtime:<12}{0:<6}{0:<6}{100644:<8}{size:<10}`\n".encode()
