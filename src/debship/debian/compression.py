"""Compressed bytes that are made once and may stand anywhere in a later stream.

dpkg stops at the end of the first zstd frame, and of the first xz stream: what it reads must be
one of them. But a frame is a header and a sequence of blocks (RFC 8878, 3.1.1), and a stream is a
header, a sequence of blocks and an index (xz-file-format 2). A segment is such blocks without the
rest; any segments, one after the other, between an opening and a closing, are one frame.

A block of zstd may refer to what earlier blocks left: the window, the entropy tables, and three
repeated offsets. The first two are empty where a compression starts, and so are never referred to;
but the offsets start as 1, 4 and 8, and elsewhere in a frame they are others. The multi-threaded
compressor has this very problem between its jobs, and solves it by using no repeated offset before
one is set. So a segment is compressed as the second job of a frame, after one of a single byte.
"""

import lzma
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import zstandard

Compression = Literal["zst", "xz"]

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_WINDOW_LOG = 23  # 8 MiB: the largest window of a level below 20, and what every decoder grants
_EMPTY_LAST_BLOCK = b"\x01\0\0"
_RLE = 1
_JOB = 1 << 23  # bytes; what the compressor holds in memory, a few times

_XZ_HEADER = 12
_XZ_FOOTER = 12
_XZ_FLAGS = b"\0\x01"  # CRC32, as dpkg-deb writes


@dataclass(frozen=True, slots=True)
class Segment:
    """Blocks of one part.

    Attributes:
        path: the file that holds them.
        records: of each xz block its size without padding, and of what it holds, in bytes; the
            index of a stream is made of them. zstd needs none.
    """

    path: Path
    records: tuple[tuple[int, int], ...] = ()


def compress(
    write: Callable[[IO[bytes]], None], path: Path, compression: Compression, level: int
) -> Segment:
    """Compress what a function writes into a segment.

    Args:
        write: is handed the writer.
        path: the file to make; one more, beside it, is made and taken away.
        compression: zst or xz.
        level: of zstd below 20; xz goes up to its 6, for more takes 700 MB of memory.
    """
    whole = path.with_name(f"{path.name}.whole")
    with whole.open("wb") as sink:
        if compression == "zst":
            with _zstd(level).stream_writer(sink, closefd=False) as writer:
                writer.write(b"\0")
                writer.flush(zstandard.FLUSH_BLOCK)
                write(writer)
        else:
            with lzma.LZMAFile(sink, "wb", check=lzma.CHECK_CRC32, preset=min(level, 6)) as xz:
                write(xz)
    try:
        with whole.open("rb") as source, path.open("wb") as sink:
            return Segment(
                path, (_zstd_blocks if compression == "zst" else _xz_blocks)(source, sink)
            )
    finally:
        whole.unlink()


def compress_whole(data: bytes, compression: Compression) -> bytes:
    """Compress a few bytes into a frame or stream of their own."""
    if compression == "xz":
        return lzma.compress(data, check=lzma.CHECK_CRC32)
    return zstandard.ZstdCompressor(level=9).compress(data)


def joined(segments: Sequence[Segment], compression: Compression) -> Iterator[Path | bytes]:
    """Give the pieces of one frame, or stream, that holds all segments."""
    if compression == "zst":
        yield _ZSTD_MAGIC + bytes((0, (_WINDOW_LOG - 10) << 3))
        yield from (segment.path for segment in segments)
        yield _EMPTY_LAST_BLOCK
        return
    yield b"\xfd7zXZ\0" + _XZ_FLAGS + _crc(_XZ_FLAGS)
    yield from (segment.path for segment in segments)
    yield _xz_end([record for segment in segments for record in segment.records])


def _zstd(level: int) -> zstandard.ZstdCompressor:
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level,
        threads=1,
        job_size=_JOB,
        overlap_log=1,  # none: the second job would else refer to the first
        write_content_size=0,
        write_checksum=0,
        write_dict_id=0,
    )
    return zstandard.ZstdCompressor(compression_params=parameters)


def _zstd_blocks(source: IO[bytes], sink: IO[bytes]) -> tuple[()]:
    """Copy the blocks after the first, none of them marked as the last."""
    header = source.read(6)
    window_log = (header[5] >> 3) + 10
    assert header[:5] == _ZSTD_MAGIC + b"\0"
    assert window_log <= _WINDOW_LOG
    first, last = True, False
    while not last:
        head = bytearray(source.read(3))
        value = int.from_bytes(head, "little")
        last, kind, size = bool(value & 1), value >> 1 & 3, value >> 3
        body = source.read(1 if kind == _RLE else size)
        if not first and size:
            head[0] &= 0xFE
            sink.write(head + body)
        first = False
    assert not source.read(1)
    return ()


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
