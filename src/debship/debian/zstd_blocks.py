"""Blocks of zstd that were compressed by themselves and may stand anywhere in a frame.

dpkg stops at the end of the first frame (its ``filter_unzstd_code`` ends the stream when
``ZSTD_decompressStream`` returns 0), so frames cannot simply follow one another in a .deb. Blocks
can, within one frame: what a block depends on is the history of the frame, and what a part
compressed by itself depends on is nothing, but for one thing. Each frame begins with three
remembered offsets, 1, 4 and 8 (RFC 8878, 3.1.1.5), and the first block of a part may use them; in
the middle of a frame they are whatever the part before left. So each part begins with three tiny
blocks whose only use is to set them back: each copies three bytes of a run of zeros that a tar
header always has. This rests on the format alone, on nothing that one compressor does.
"""

from typing import IO

import zstandard

_MAGIC = b"\x28\xb5\x2f\xfd"
_WINDOW_LOG = 23  # 8 MiB: the largest window of a level below 20, and what every decoder grants
_RAW, _COMPRESSED = 0, 2
_BLOCK = 1 << 17  # bytes that one block may hold (RFC 8878, 3.1.1.2.4)
_RUN = 17  # zeros: 8 to look back on, and three times 3 to copy
_SEEK = 1 << 16  # bytes in which a run is looked for
_FRAME_HEADER = 6  # bytes of a frame whose size is not stated

OPENING = _MAGIC + bytes((0, (_WINDOW_LOG - 10) << 3))  # neither checksum nor content size


def _block(kind: int, content: bytes, *, last: bool = False) -> bytes:
    header = int(last) | kind << 1 | len(content) << 3
    return header.to_bytes(3, "little") + content


def _copy_three(offset: int) -> bytes:
    """A block without literals and with one sequence: three bytes from `offset` bytes back.

    Every table is a single symbol (RLE mode, RFC 8878, 3.1.1.3.2.1), so the only bits are the
    extra bits of the offset's code, below the bit that ends the stream.
    """
    value = offset + 3  # 1 to 3 mean the remembered ones
    code = value.bit_length() - 1
    no_literals, one_sequence, all_rle = 0, 1, 0b01_01_01_00
    no_literal_length, match_of_three = 0, 0
    # The code's leading one and its extra bits are, together, the value itself.
    return _block(
        _COMPRESSED,
        bytes((no_literals, one_sequence, all_rle, no_literal_length, code, match_of_three, value)),
    )


# The newest comes first: after these the remembered offsets are 1, 4, 8.
_RESET = _copy_three(8) + _copy_three(4) + _copy_three(1)
CLOSING = _block(_RAW, b"", last=True)


def memory(level: int) -> int:
    """Say how many bytes of memory a part takes while it is compressed, at most."""
    return _parameters(level, 0).estimated_compression_context_size()


def _parameters(level: int, size: int) -> zstandard.ZstdCompressionParameters:
    """Give the parameters of a level, with half the memory of level 19 for a thousandth of size."""
    usual = zstandard.ZstdCompressionParameters.from_level(level, source_size=size)
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level,
        source_size=size,
        chain_log=min(usual.chain_log, _WINDOW_LOG),
        write_content_size=False,
        write_checksum=False,
        write_dict_id=False,
    )
    assert parameters.window_log <= _WINDOW_LOG
    return parameters


class PartWriter:
    """Writes one part as blocks; ``finish`` must follow the last ``write``.

    Args:
        sink: where the blocks go; between ``OPENING`` and ``CLOSING``, any parts are one frame.
        level: below 20.
        size: about how many bytes there will be, where that is known: few need less memory.
    """

    def __init__(self, sink: IO[bytes], level: int, size: int = 0) -> None:
        self._sink = sink
        compressor = zstandard.ZstdCompressor(compression_params=_parameters(level, size))
        self._compressor = compressor.compressobj()
        self._head = bytearray()
        self._stored = False  # no run of zeros was found: the whole part is stored as it is
        self._compressing = False
        self._header_left = _FRAME_HEADER

    def write(self, data: bytes) -> int:
        """Take the next bytes, in pieces of any size; only their concatenation matters."""
        if self._compressing:
            self._put(self._compressor.compress(data))
            return len(data)
        self._head += data
        if not self._stored:
            # A run is looked for in the same bytes, whatever the pieces.
            run = self._head.find(bytes(_RUN), 0, _SEEK)
            if run >= 0:
                self._begin(run + _RUN // 2)
            elif len(self._head) >= _SEEK:
                self._stored = True
        if self._stored:
            self._store(keep=_BLOCK)
        return len(data)

    def finish(self) -> None:
        """Write what is left; no block is marked as the last."""
        if self._compressing:
            self._put(self._compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK))
        else:
            self._store(keep=0)

    def _begin(self, start: int) -> None:
        """Store up to the middle of the run, set the offsets back with its rest, and compress."""
        rest = bytes(self._head[start + 9 :])
        del self._head[start:]
        self._store(keep=0)
        self._sink.write(_RESET)
        self._compressing = True
        self._put(self._compressor.compress(rest))

    def _store(self, keep: int) -> None:
        """Write the head as raw blocks, all but the last `keep` bytes of it at most."""
        while len(self._head) > keep:
            self._sink.write(_block(_RAW, bytes(self._head[:_BLOCK])))
            del self._head[:_BLOCK]

    def _put(self, data: bytes) -> None:
        """Write what the compressor gave, without the header of its frame."""
        cut = min(self._header_left, len(data))
        self._header_left -= cut
        self._sink.write(data[cut:])
