"""Compressed bytes that are made once and may stand anywhere in a later stream.

dpkg stops at the end of the first zstd frame, and of the first xz stream: what it reads must be
one of them. But a frame is a header and a sequence of blocks (RFC 8878, 3.1.1), and a stream is a
header, a sequence of blocks and an index (xz-file-format 2). A segment is such blocks without the
rest; any segments, one after the other, between an opening and a closing, are one frame.

How a part of zstd is made to depend on nothing before it is in ``zstd_blocks``.
"""

import lzma
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, cast

import zstandard

from debship.debian import xz_blocks
from debship.debian.archive_writer import Stretch
from debship.debian.zstd_blocks import CLOSING, OPENING, PartWriter, memory

Compression = Literal["zst", "xz"]


_XZ_LEVEL = 6
_XZ_MEMORY = 94 << 20  # bytes, of level 6 (xz(1))


@dataclass(frozen=True, slots=True)
class Segment:
    """Blocks of one part.

    Attributes:
        blocks: where they lie.
        records: what the index of an xz stream says of each block. zstd needs none.
    """

    blocks: Stretch
    records: tuple[xz_blocks.Record, ...] = ()


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
            records = xz_blocks.copy_blocks(source, sink)
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
    yield xz_blocks.opening()
    yield from (segment.blocks for segment in segments)
    yield xz_blocks.closing([record for segment in segments for record in segment.records])
