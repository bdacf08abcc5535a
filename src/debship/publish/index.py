"""The index of one component and architecture: stanzas as bytes, never parsed and rendered anew.

A Packages.gz is written as several gzip members, which apt reads as one (RFC 1952, 2.2). Where a
member starts is decided by the name of the package that it starts with, so the same stanzas give
the same bytes whatever happened before, and a change touches one member: the others keep their
compressed bytes.
"""

import bisect
import functools
import hashlib
import itertools
import re
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

try:  # half of zlib's time, for what a publication reads is mostly an index
    from isal import isal_zlib as gunzip
except ImportError:  # an architecture that it is not made for
    gunzip = zlib  # type: ignore[misc]

from debship.debian import control, xz_blocks
from debship.errors import Failed

_KEY = re.compile(
    rb"^(Package|Version|Architecture|Filename|SHA256|Size):[ \t]*([^\n]*)", re.M | re.I
)
_NAMES_PER_BLOCK = 64  # on average; some 300 kB of stanzas, packed in 10 ms
_CHUNK = 1 << 16  # bytes, packed
_STANZA = 1024  # bytes, packed; most are shorter
_BEGIN = b"\x1f\x8b\x08" + bytes(6) + b"\x03"  # of a member that ``_pack`` wrote
_XZ_LEVEL = 6


class Key(NamedTuple):
    """What names a stanza."""

    package: str
    version: str
    architecture: str


class Place(NamedTuple):
    """Where a package's file lies, as its stanza says."""

    filename: str
    size: int
    sha256: str


def _fields(stanza: bytes) -> dict[bytes, bytes]:
    return {name.lower(): value.strip() for name, value in _KEY.findall(stanza)}


def key_of(stanza: bytes) -> Key:
    """Read what names a stanza."""
    found = _fields(stanza)
    return Key(
        *(found.get(name, b"").decode() for name in (b"package", b"version", b"architecture"))
    )


def place_of(stanza: bytes) -> Place:
    """Read where a stanza's package lies."""
    found = _fields(stanza)
    return Place(found[b"filename"].decode(), int(found[b"size"]), found[b"sha256"].decode())


class _Block(NamedTuple):
    """A gzip member. What is packed stays packed until it is asked for, and is not kept then.

    An index is five times as long as its members, and new memory takes longer than unpacking.
    """

    first: str  # the name of its first package
    packed: bytes | memoryview
    size: int  # bytes, unpacked
    xz: tuple[bytes, xz_blocks.Record] | None = None

    @property
    def raw(self) -> bytes:
        """Its stanzas, an empty line after each."""
        return _unpacked(self.packed, self.size)

    def stanzas(self) -> Mapping[Key, bytes]:
        return _stanzas(self.raw)


class _Loose(NamedTuple):
    """What will be a block, or a part of one."""

    first: str
    raw: bytes

    def packed(self) -> _Block:
        return _Block(self.first, _pack(self.raw), len(self.raw))


@functools.lru_cache(maxsize=4)  # packages that are published together are often neighbours
def _stanzas(raw: bytes) -> Mapping[Key, bytes]:
    return {key_of(stanza): stanza for stanza in control.paragraphs(raw)}


@dataclass(frozen=True)
class Index:
    """All stanzas, sorted by name, version and architecture as text."""

    blocks: tuple[_Block, ...] = ()

    @classmethod
    def unpack(cls, data: bytes, size: int | None = None, xz: bytes = b"") -> Self:
        """Read an index that ``files`` gave, and whose hashes were checked.

        Args:
            data: the Packages.gz.
            size: of it as Packages, in bytes, where it is known; it is read faster then.
            xz: the Packages.xz of the same stanzas, where there is one.
        """
        blocks = _blocks(data, size)
        known = xz_blocks.split(xz) if xz else []
        if [block.size for block in blocks] == [record.content for _, record in known]:
            blocks = tuple(block._replace(xz=one) for block, one in zip(blocks, known, strict=True))
        return cls(blocks)

    def files(self, *, xz: bool = False) -> dict[str, bytes]:
        """Give it as the files that hosts fetch: Packages.gz, and Packages.xz where it is wanted."""
        packed = b"".join(block.packed for block in self.blocks) or _pack(b"")
        return {"Packages.gz": packed, **({"Packages.xz": self._xz()} if xz else {})}

    def _xz(self) -> bytes:
        packed = [block.xz or xz_blocks.packed_block(block.raw, _XZ_LEVEL) for block in self.blocks]
        closing = xz_blocks.closing([record for _, record in packed])
        return b"".join((xz_blocks.opening(), *(data for data, _ in packed), closing))

    @functools.cached_property
    def size(self) -> int:
        """Its size as Packages, in bytes."""
        return sum(block.size for block in self.blocks)

    @functools.cached_property
    def sha256(self) -> str:
        """The hash of it as Packages."""
        digest = hashlib.sha256()
        for block in self.blocks:
            digest.update(block.raw)
        return digest.hexdigest()

    def stanzas(self) -> Iterator[tuple[Key, bytes]]:
        """Give all of them in order."""
        for block in self.blocks:
            yield from block.stanzas().items()

    def of(self, package: str) -> dict[Key, bytes]:
        """Give those of one package."""
        if not self.blocks:
            return {}
        block = self.blocks[self._holding(package)]
        return {key: stanza for key, stanza in block.stanzas().items() if key.package == package}

    def changed(self, add: Mapping[Key, bytes], drop: Collection[Key] = ()) -> "Index":
        """Give an index with these stanzas more and those less; other stanzas keep their bytes."""
        touched: dict[int, dict[Key, bytes]] = {}
        for key in (*add, *drop):
            at = self._holding(key.package)
            if at not in touched:
                touched[at] = dict(self.blocks[at].stanzas()) if self.blocks else {}
        for key, stanza in add.items():
            touched[self._holding(key.package)][key] = stanza
        for key in drop:
            touched[self._holding(key.package)].pop(key, None)
        blocks: list[_Block | _Loose] = []
        for at in range(max(len(self.blocks), 1)):
            fresh: Iterable[_Block | _Loose] = self.blocks[at : at + 1]
            for block in _split(touched[at]) if at in touched else fresh:
                if blocks and not _starts_block(block.first):
                    before = blocks.pop()
                    block = _Loose(before.first, before.raw + block.raw)  # noqa: PLW2901
                blocks.append(block)
        return Index(tuple(it.packed() if isinstance(it, _Loose) else it for it in blocks))

    def _holding(self, package: str) -> int:
        at = bisect.bisect_right(self._firsts, package) - 1
        return max(at, 0)

    @functools.cached_property
    def _firsts(self) -> list[str]:
        return [block.first for block in self.blocks]


def _split(stanzas: Mapping[Key, bytes]) -> Iterator[_Loose]:
    """Cut sorted stanzas before each package whose name starts a member."""
    pieces: list[bytes] = []
    first = last = ""
    for key in sorted(stanzas):
        if key.package != last:
            if pieces and _starts_block(key.package):
                yield _Loose(first, b"".join(pieces))
                pieces = []
            first, last = (first if pieces else key.package), key.package
        pieces += (stanzas[key], b"\n")
    if pieces:
        yield _Loose(first, b"".join(pieces))


def _starts_block(package: str) -> bool:
    return zlib.crc32(package.encode()) % _NAMES_PER_BLOCK == 0


def _pack(raw: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)  # a gzip member, its time 0
    return packer.compress(raw) + packer.flush()


def _blocks(data: bytes, size: int | None) -> tuple[_Block, ...]:
    """Find each gzip member.

    Those that we write begin with the same bytes, and each ends with its size (RFC 1952, 2.3.1),
    so only its first stanza need be unpacked. Bytes that only look like a beginning, and what
    others wrote, are found out by the size of all: then all are unpacked in order.
    """
    view = memoryview(data)
    starts = [found.start() for found in re.finditer(re.escape(_BEGIN), data)]
    members = [view[at:end] for at, end in itertools.pairwise([*starts, len(data)])]
    sizes = [int.from_bytes(member[-4:], "little") for member in members]
    try:
        if starts[:1] == [0] and sum(sizes) == size:
            return tuple(
                _Block(_first(member), member, long)
                for member, long in zip(members, sizes, strict=True)
                if long
            )
    except (ValueError, gunzip.error):  # type: ignore[misc] # a class, whatever its stub says
        pass
    return tuple(_blocks_in_order(view))


def _first(member: memoryview) -> str:
    """Read the name of a member's first package."""
    unpacker, raw = gunzip.decompressobj(wbits=31), b""
    for at in range(0, len(member), _STANZA):
        raw += unpacker.decompress(member[at : at + _STANZA])
        if b"\n\n" in raw:
            return _name(raw)
    raise ValueError("no stanza ends in it")


def _name(raw: bytes) -> str:
    return key_of(raw[: raw.find(b"\n\n") + 1]).package


def _unpacked(member: bytes | memoryview, size: int) -> bytes:
    raw: bytes = gunzip.decompress(member, wbits=31, bufsize=size)
    if len(raw) != size:
        raise Failed("an index holds other members than its size told: it was written by others")
    return raw


def _blocks_in_order(view: memoryview) -> Iterator[_Block]:
    start = 0
    while start < len(view):
        unpacker = gunzip.decompressobj(wbits=31)
        at, pieces = start, []
        while at < len(view) and not unpacker.eof:
            pieces.append(unpacker.decompress(view[at : at + _CHUNK]))
            at += len(view[at : at + _CHUNK])
        if not unpacker.eof:
            raise Failed("an index ends before its gzip member does: it was written by others")
        at -= len(unpacker.unused_data)
        raw = b"".join(pieces)
        if raw:
            yield _Block(_name(raw), view[start:at], len(raw))
        start = at
