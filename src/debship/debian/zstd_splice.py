"""Joins parts that were compressed apart into one zstd frame.

dpkg stops at the end of the first frame (its ``filter_unzstd_code`` ends the stream when
``ZSTD_decompressStream`` returns 0), so frames cannot simply follow one another in a .deb. Blocks
can, within one frame: what a block depends on is the history of the frame, and what a part
compressed by itself depends on is nothing, but for one thing. Each frame begins with three
remembered offsets, 1, 4 and 8 (RFC 8878, 3.1.1.5), and the first block of a part may use them; in
the middle of a frame they are whatever the part before left. So each part begins with three tiny
blocks whose only use is to set them back: each copies three bytes of a run of zeros that a tar
header always has.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import zstandard

from debship.errors import Failed

_MAGIC = b"\x28\xb5\x2f\xfd"
_RAW, _COMPRESSED = 0, 2
_BLOCK = 1 << 17  # bytes that one block may hold (RFC 8878, 3.1.1.2.4)
_RUN = 17  # zeros: 8 to look back on, and three times 3 to copy
_SEEK = 1 << 16  # bytes in which a run is looked for


@dataclass(frozen=True, slots=True)
class Part:
    """Blocks that can stand anywhere in a frame, and the window that they look back over."""

    blocks: bytes
    window: int  # bytes


def compress(data: Iterable[bytes], level: int) -> Part:
    """Compress one part, so that it can follow any other.

    Args:
        data: the part's bytes in pieces of any size; only their concatenation matters.
    """
    pieces = iter(data)
    head = bytearray()
    for piece in pieces:
        head += piece
        if len(head) >= _SEEK:
            break
    run = head.find(bytes(_RUN))
    if run < 0:
        # Never in a tar; stored as it is, which depends on no history.
        rest = b"".join((bytes(head), *pieces))
        return Part(_stored(rest), _BLOCK)
    start = run + 8
    compressor = zstandard.ZstdCompressor(
        level=level, write_checksum=False, write_content_size=False
    ).compressobj()
    frame = bytearray(compressor.compress(bytes(head[start + 9 :])))
    for piece in pieces:
        frame += compressor.compress(piece)
    frame += compressor.flush()
    window, blocks = _blocks(bytes(frame))
    return Part(_stored(bytes(head[:start])) + _RESET + blocks, window)


def join(parts: Iterable[Part]) -> Iterator[bytes]:
    """Make one frame of the parts, in their order."""
    parts = tuple(parts)
    window = max((part.window for part in parts), default=_BLOCK)
    # No checksum and no content size: both would have to be known of the whole.
    yield _MAGIC + b"\x00" + bytes([_window_descriptor(window)])
    for part in parts:
        yield part.blocks
    yield _block(_RAW, b"", last=True)


def _block(kind: int, content: bytes, *, last: bool = False) -> bytes:
    header = int(last) | kind << 1 | len(content) << 3
    return header.to_bytes(3, "little") + content


def _stored(data: bytes) -> bytes:
    return b"".join(
        _block(_RAW, data[start : start + _BLOCK]) for start in range(0, len(data), _BLOCK)
    )


def _copy_three(offset: int) -> bytes:
    """A block without literals and with one sequence: three bytes from `offset` bytes back.

    Every table is a single symbol (RLE mode, RFC 8878, 3.1.1.3.2.1), so the only bits are the
    extra bits of the offset's code, below the bit that ends the stream.
    """
    value = offset + 3  # 1 to 3 mean the remembered ones
    code = value.bit_length() - 1
    extra = value - (1 << code)
    no_literals, one_sequence, all_rle = 0, 1, 0b01_01_01_00
    no_literal_length, match_of_three = 0, 0
    bits = 1 << code | extra
    return _block(
        _COMPRESSED,
        bytes([no_literals, one_sequence, all_rle, no_literal_length, code, match_of_three, bits]),
    )


# The newest comes first: after these the remembered offsets are 1, 4, 8.
_RESET = _copy_three(8) + _copy_three(4) + _copy_three(1)


def _blocks(frame: bytes) -> tuple[int, bytes]:
    """Take the header off a frame, and the mark of the end off its last block."""
    descriptor = frame[4]
    if frame[:4] != _MAGIC or descriptor & 0b1110_0111:
        raise Failed("zstd wrote a frame of another form than it was asked for")
    window = _window_size(frame[5])
    blocks = bytearray(frame[6:])
    at = 0
    while True:
        header = int.from_bytes(blocks[at : at + 3], "little")
        size = 1 if header >> 1 & 3 == 1 else header >> 3  # a run is one byte, whatever its length
        if header & 1:
            blocks[at : at + 3] = (header & ~1).to_bytes(3, "little")
            return window, bytes(blocks[: at + 3 + size])
        at += 3 + size


def _window_size(descriptor: int) -> int:
    base = 1 << (10 + (descriptor >> 3))
    return base + (base >> 3) * (descriptor & 7)


def _window_descriptor(size: int) -> int:
    """The smallest window that holds `size` bytes (RFC 8878, 3.1.1.1.2)."""
    return next(byte for byte in range(256) if _window_size(byte) >= size)
