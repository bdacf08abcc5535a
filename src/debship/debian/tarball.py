"""A tar archive read forwards, as strictly as dpkg reads it (deb(5)), and never believed.

Only what dpkg takes: v7, ustar, and GNU's long names and large sizes. The standard library's
reader also takes what dpkg refuses, and takes a broken header for the end.
"""

import hashlib
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

BLOCK = 512
_MIB = 1 << 20
_LONG_NAME = 1 << 16  # bytes; PATH_MAX is 4096
_ZSTD_WINDOW = 1 << 27  # bytes; what zstd takes without --long, and so dpkg

_FILE, _HARD_LINK, _LONG, _LONG_LINK = b"0\0", b"1", b"L", b"K"
_KNOWN = b"\x000123456LK"


class Unsound(Exception):
    """Why it is no archive that dpkg would unpack."""


class Member(NamedTuple):
    """One header.

    Attributes:
        kind: the typeflag; a plain file is "0".
        link: where a link points to; empty for others.
        content: the bytes of a file that was asked for; empty for others.
        size: bytes of a file.
        sha256: of a file, in lower-case hexadecimal, where it was asked for.
        mode: permission bits.
        owner: names and numbers, ``root:root 0:0``.
        mtime: seconds since 1970.
    """

    name: str
    kind: str
    link: str
    content: bytes
    size: int
    sha256: str
    mode: int
    owner: str
    mtime: int


def walk(
    unpacked: "Unpacked",
    *,
    keep: Callable[[str], bool] | None = None,
    limit: int = _MIB,
    digest: bool = False,
) -> Iterator[Member]:
    """Give all members in order, and check that the archive ends where it says.

    Args:
        unpacked: the archive's bytes.
        keep: says by name, without a ``./`` before it, which files' content is wanted.
        limit: bytes that such a content may have.
        digest: whether files are hashed.

    Raises:
        Unsound: a header does not hold, or the archive has no end.
    """
    name = link = ""
    while any(header := unpacked.exactly(BLOCK)):
        kind, size = _checked(header)
        if kind in _LONG + _LONG_LINK:
            if size > _LONG_NAME:
                raise Unsound(f"a name has {size} bytes")
            text = _text(unpacked.exactly(_padded(size))[:size])
            name, link = (text, link) if kind == _LONG else (name, text)
            continue
        name, link = name or _name(header), link or _text(header[157:257])
        is_file, content, sha256 = kind in _FILE, b"", ""
        if is_file and keep and keep(name.removeprefix("./")):
            if size > limit:
                raise Unsound(f"{name} has more than {limit} bytes")
            content = unpacked.exactly(_padded(size))[:size]
            sha256 = hashlib.sha256(content).hexdigest() if digest else ""
        elif is_file and digest:
            sha256 = unpacked.hashed(size)
            unpacked.skip(_padded(size) - size)
        else:
            unpacked.skip(_padded(size))
        yield Member(
            name=name,
            kind="0" if is_file else kind.decode(),
            link=link,
            content=content,
            size=size,
            sha256=sha256,
            mode=_number(header[100:108]) & 0o7777,
            owner=_owner(header),
            mtime=_number(header[136:148]),
        )
        name = link = ""
    unpacked.drain()


def _checked(header: bytes) -> tuple[bytes, int]:
    """The typeflag and the size, of a header whose checksum holds."""
    if _number(header[148:156]) != sum(header[:148]) + 8 * 32 + sum(header[156:]):
        raise Unsound("a header is broken")
    kind, size = header[156:157], _number(header[124:136])
    if kind not in _KNOWN:
        raise Unsound(f"it has a member of type {kind!r}, which dpkg does not read")
    if size and kind not in _FILE + _LONG + _LONG_LINK:
        raise Unsound("a member that is no file has content")
    return kind, size


def _number(field: bytes) -> int:
    """An octal number, or GNU's binary one."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:])
    digits = field.strip(b"\0 ")
    if digits.strip(b"01234567"):
        raise Unsound("a header is broken")
    return int(digits or b"0", 8)


def _name(header: bytes) -> str:
    name = _text(header[:100])
    if header[257:263] == b"ustar\0" and header[345]:
        return f"{_text(header[345:500])}/{name}"
    return name


def _owner(header: bytes) -> str:
    numbers = _number(header[108:116]), _number(header[116:124])
    return f"{_text(header[265:297])}:{_text(header[297:329])} {numbers[0]}:{numbers[1]}"


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="surrogateescape")


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


class Unpacked:
    """Unpacked bytes, read forwards and as far as a limit."""

    def __init__(self, pieces: Iterator[bytes], limit: int) -> None:
        self._pieces, self._left = pieces, limit
        self._buffer = bytearray()

    def exactly(self, size: int) -> bytes:
        """Read so many bytes.

        Raises:
            Unsound: there are fewer.
        """
        while len(self._buffer) < size:
            self._buffer += self._piece()
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def skip(self, size: int) -> None:
        """Pass over so many bytes."""
        while len(self._buffer) < size:
            size -= len(self._buffer)
            self._buffer = bytearray(self._piece())
        del self._buffer[:size]

    def hashed(self, size: int) -> str:
        """Pass over so many bytes; give their SHA-256."""
        sha256 = hashlib.sha256()
        while len(self._buffer) < size:
            sha256.update(self._buffer)
            size -= len(self._buffer)
            self._buffer = bytearray(self._piece())
        sha256.update(memoryview(self._buffer)[:size])
        del self._buffer[:size]
        return sha256.hexdigest()

    def drain(self) -> None:
        """Unpack what is left, so that the last checksum is checked too."""
        for piece in self._pieces:
            self._count(piece)

    def _piece(self) -> bytes:
        piece = next(self._pieces, None)
        if piece is None:
            raise Unsound("it has no end")
        return self._count(piece)

    def _count(self, piece: bytes) -> bytes:
        self._left -= len(piece)
        if self._left < 0:
            raise Unsound("it unpacks to more than a package may hold")
        return piece


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


def _zstd() -> _Decompressor:
    import zstandard  # takes longer to load than a small package to read, and many are no zstd

    return zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()


def _no_archive() -> tuple[type[Exception], ...]:
    """Say what unpackers raise; it is asked for only where one did."""
    import zstandard

    return (zlib.error, lzma.LZMAError, zstandard.ZstdError, EOFError)


def _xz() -> _Decompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=256 * _MIB)


def _gzip() -> _Decompressor:
    return zlib.decompressobj(31)


_KINDS: dict[str, Callable[[], _Decompressor] | None] = {
    "": None,
    ".gz": _gzip,
    ".xz": _xz,
    ".zst": _zstd,
}


def pieces(suffix: str, read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Unpack streams and frames one after another, in small steps: a bomb is seen before it bursts.

    Args:
        suffix: what follows ``.tar`` in the member's name.
        read: gives so many bytes of the compressed data; none at its end.

    Raises:
        Unsound: it cannot be unpacked.
    """
    if suffix not in _KINDS:
        raise Unsound("only plain, .gz, .xz and .zst are read")
    new = _KINDS[suffix]
    step = 1024 if new else _MIB  # 1 KiB of zstd can hold 32 MiB
    frame, rest = None, read(step)
    try:
        while rest:
            if new is None:
                yield rest
                rest = b""
            else:
                frame = frame or new()
                yield frame.decompress(rest)
                rest = b""
                if frame.eof:
                    rest, frame = frame.unused_data, None
            rest = rest or read(step)
    except _no_archive() as error:
        raise Unsound(f"it cannot be unpacked: {error}") from error
    if frame is not None:
        raise Unsound("it is cut off")
