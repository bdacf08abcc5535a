"""Compressed bytes that are made once and may stand anywhere in a later stream.

dpkg stops at the end of the first zstd frame, and of the first xz stream: what it reads must be
one of them. But a frame is a header and a sequence of blocks (RFC 8878, 3.1.1), and a stream is a
header, a sequence of blocks and an index (xz-file-format 2). A segment is such blocks without the
rest; any segments, one after the other, between an opening and a closing, are one frame.

How a part of zstd is made to depend on nothing before it is in ``zstd_blocks``.
"""

import lzma
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, cast

import zstandard

from debship.debian.archive_writer import Stretch
from debship.debian.zstd_blocks import CLOSING, OPENING, PartWriter, memory

Compression = Literal["zst", "xz"]


_XZ_HEADER = 12
_XZ_FOOTER = 12
_XZ_LEVEL = 6
_XZ_MEMORY = 94 << 20  # bytes, of level 6 (xz(1))
_XZ_FLAGS = b"\0\x01"  # CRC32, as dpkg-deb writes


@dataclass(frozen=True, slots=True)
class Segment:
    """Blocks of one part.

    Attributes:
        blocks: where they lie.
        records: of each xz block its size without padding, and of what it holds, in bytes; the
            index of a stream is made of them. zstd needs none.
    """

    blocks: Stretch
    records: tuple[tuple[int, int], ...] = ()


def compress(
    write: Callable[[IO[bytes]], None],
    path: Path,
    compression: Compression,
    level: int,
    size: int = 0,
) -> Segment:
    """Compress what a function writes into a segment.

    Args:
        write: is handed the writer.
        path: the file to make; one more, beside it, is made and taken away.
        compression: zst or xz.
        level: of zstd below 20; xz goes up to its 6, for more takes 700 MB of memory.
        size: about how many bytes will be written; 0 where that is not known.
    """
    if compression == "zst":
        with path.open("wb") as sink:
            part = PartWriter(sink, level, size)
            write(cast("IO[bytes]", part))
            part.finish()
            return Segment(Stretch(path, 0, sink.tell()))
    whole = path.with_name(f"{path.name}.whole")
    try:
        with lzma.open(whole, "wb", check=lzma.CHECK_CRC32, preset=min(level, _XZ_LEVEL)) as xz:
            write(cast("IO[bytes]", xz))
        with whole.open("rb") as source, path.open("wb") as sink:
            records = _xz_blocks(source, sink)
            return Segment(Stretch(path, 0, sink.tell()), records)
    finally:
        whole.unlink(missing_ok=True)


def memory_of(compression: Compression, level: int) -> int:
    """Say how many bytes of memory ``compress`` takes at most."""
    return _XZ_MEMORY if compression == "xz" else memory(level)


def compress_whole(data: bytes, compression: Compression) -> bytes:
    """Compress a few bytes into a frame or stream of their own."""
    if compression == "xz":
        return lzma.compress(data, check=lzma.CHECK_CRC32)
    return zstandard.ZstdCompressor(level=9).compress(data)


def joined(segments: Sequence[Segment], compression: Compression) -> Iterator[Stretch | bytes]:
    """Give the pieces of one frame, or stream, that holds all segments."""
    if compression == "zst":
        yield OPENING
        yield from (segment.blocks for segment in segments)
        yield CLOSING
        return
    yield b"\xfd7zXZ\0" + _XZ_FLAGS + _crc(_XZ_FLAGS)
    yield from (segment.blocks for segment in segments)
    yield _xz_end([record for segment in segments for record in segment.records])


def _xz_blocks(source: IO[bytes], sink: IO[bytes]) -> tuple[tuple[int, int], ...]:
    """Copy the blocks of a stream; give what its index says of them."""
    end = source.seek(0, 2) - _XZ_FOOTER
    source.seek(end + 4)
    index_size = (int.from_bytes(source.read(4), "little") + 1) * 4
    source.seek(end - index_size)
    records = tuple(_index(source.read(index_size)))
    source.seek(_XZ_HEADER)
    left = end - index_size - _XZ_HEADER
    while chunk := source.read(min(left, 1 << 20)):
        sink.write(chunk)
        left -= len(chunk)
    return records


def _xz_end(records: Sequence[tuple[int, int]]) -> bytes:
    """Make the index and the footer of a stream (xz-file-format 4 and 2.1.2)."""
    index = b"\0" + _varint(len(records))
    index += b"".join(_varint(number) for record in records for number in record)
    index += bytes(-len(index) % 4)
    index += _crc(index)
    footer = (len(index) // 4 - 1).to_bytes(4, "little") + _XZ_FLAGS
    return index + _crc(footer) + footer + b"YZ"


def _index(data: bytes) -> Iterator[tuple[int, int]]:
    numbers, value, shift = [], 0, 0
    for byte in data[1:]:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(value)
            value = shift = 0
    for place in range(1, 1 + 2 * numbers[0], 2):
        yield numbers[place], numbers[place + 1]


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _crc(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4, "little")
