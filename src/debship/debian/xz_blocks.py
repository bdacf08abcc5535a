"""Blocks of xz that were compressed by themselves and may stand anywhere in a stream.

A stream is a header, blocks, and an index that says of each block how long it is (xz-file-format
2). dpkg and apt stop at the end of the first stream, so that blocks are put together, not streams.
"""

import io
import lzma
import zlib
from collections.abc import Iterator, Sequence
from typing import IO, NamedTuple

OPENING_SIZE = 12
_FOOTER = 12
_FLAGS = b"\0\x01"  # CRC32, as dpkg-deb writes


class Record(NamedTuple):
    """What the index says of a block, in bytes."""

    unpadded: int
    content: int  # of what it holds, unpacked

    @property
    def size(self) -> int:
        """How many bytes it takes in the stream: blocks begin at multiples of 4."""
        return -(-self.unpadded // 4) * 4


def copy_blocks(source: IO[bytes], sink: IO[bytes]) -> tuple[Record, ...]:
    """Copy the blocks of a stream; give what its index says of them."""
    end = source.seek(0, 2) - _FOOTER
    source.seek(end + 4)
    index_size = (int.from_bytes(source.read(4), "little") + 1) * 4
    source.seek(end - index_size)
    records = tuple(_read_index(source.read(index_size)))
    source.seek(OPENING_SIZE)
    left = end - index_size - OPENING_SIZE
    while chunk := source.read(min(left, 1 << 20)):
        sink.write(chunk)
        left -= len(chunk)
    return records


def packed_block(data: bytes, level: int) -> tuple[bytes, Record]:
    """Compress some bytes into one block."""
    stream = lzma.compress(data, check=lzma.CHECK_CRC32, preset=level)
    ((block, record),) = split(stream)
    return block, record


def split(stream: bytes) -> list[tuple[bytes, Record]]:
    """Take a stream apart into its blocks, each with what the index says of it."""
    sink = io.BytesIO()
    records = copy_blocks(io.BytesIO(stream), sink)
    blocks, found = sink.getvalue(), []
    for record in records:
        found.append((blocks[: record.size], record))
        blocks = blocks[record.size :]
    return found


def opening() -> bytes:
    """Give what stands before the first block."""
    return b"\xfd7zXZ\0" + _FLAGS + _crc(_FLAGS)


def closing(records: Sequence[Record]) -> bytes:
    """Make what stands after the last block (xz-file-format 4 and 2.1.2)."""
    index = b"\0" + _varint(len(records))
    index += b"".join(_varint(number) for record in records for number in record)
    index += bytes(-len(index) % 4)
    index += _crc(index)
    footer = (len(index) // 4 - 1).to_bytes(4, "little") + _FLAGS
    return index + _crc(footer) + footer + b"YZ"


def _read_index(data: bytes) -> Iterator[Record]:
    numbers, value, shift = [], 0, 0
    for byte in data[1:]:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(value)
            value = shift = 0
    for place in range(1, 1 + 2 * numbers[0], 2):
        yield Record(numbers[place], numbers[place + 1])


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _crc(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(4, "little")
