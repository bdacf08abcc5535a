"""What an ELF file asks the loader for (elf(5)), read from its section headers as objdump does."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path

_DYNAMIC, _DYNSYM, _VERNEED, _VERSYM = 6, 11, 0x6FFFFFFE, 0x6FFFFFFF  # types of sections
_NEEDED, _RPATH, _RUNPATH = 1, 15, 29  # tags of a dynamic section
_UNVERSIONED = 2  # the versions below it are local and global, which have no name


class Unreadable(Exception):
    """It is not laid out as linkers do it."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What it asks for.

    Attributes:
        libraries: their sonames, in its order.
        paths: where they are looked for first, ``$ORIGIN`` as it stands.
        symbols: that it does not define: ``name@VERSION``, or ``name@Base``.
    """

    libraries: tuple[str, ...]
    paths: tuple[str, ...]
    symbols: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Section:
    kind: int
    start: int
    size: int
    link: int


def identity(path: Path) -> tuple[bytes, bytes] | None:
    """Give an ELF file's class, byte order and machine; None where it is none that is loaded."""
    with path.open("rb") as file:
        header = file.read(20)
    if header[:4] != b"\x7fELF" or len(header) < 20:
        return None
    order = "little" if header[5] == 1 else "big"
    kind = int.from_bytes(header[16:18], order)  # type: ignore[arg-type]
    return (header[4:6], header[18:20]) if kind in (2, 3) else None  # ET_EXEC, ET_DYN


def read_needs(path: Path) -> Needs:
    """Read what a program or a shared object asks for.

    Raises:
        Unreadable: it has no section headers, or they do not fit together.
    """
    try:
        # Mapped: of hundreds of megabytes, a few pages are looked at.
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            return _needs(data, wide=data[4] == 2, order="<" if data[5] == 1 else ">")
    except (struct.error, IndexError, KeyError, ValueError) as error:
        raise Unreadable(str(path)) from error


def _needs(data: mmap, *, wide: bool, order: str) -> Needs:
    sections = tuple(_sections(data, wide=wide, order=order))
    by_kind = {section.kind: section for section in sections}
    if _DYNAMIC not in by_kind or _DYNSYM not in by_kind:
        raise ValueError("it is linked statically, or stripped of its headers")
    dynamic, symbols = by_kind[_DYNAMIC], by_kind[_DYNSYM]
    found: dict[int, list[str]] = {_NEEDED: [], _RPATH: [], _RUNPATH: []}
    for tag, value in struct.iter_unpack(order + ("qQ" if wide else "iI"), _bytes(data, dynamic)):
        if tag == 0:
            break
        if tag in found:
            found[tag].append(_text(data, sections[dynamic.link].start + value))
    paths = (found[_RUNPATH] or found[_RPATH])[-1:]
    return Needs(
        tuple(found[_NEEDED]),
        tuple(path for path in ":".join(paths).split(":") if path),
        frozenset(_undefined(data, sections, symbols, by_kind, wide=wide, order=order)),
    )


def _sections(data: mmap, *, wide: bool, order: str) -> Iterator[_Section]:
    offset = struct.unpack_from(order + ("Q" if wide else "I"), data, 0x28 if wide else 0x20)[0]
    size, count = struct.unpack_from(order + "HH", data, 0x3A if wide else 0x2E)
    if not offset or not count:
        raise ValueError("it has no section headers")
    form = order + ("IIQQQQIIQQ" if wide else "10I")
    for number in range(count):
        _, kind, _, _, start, length, link, *_ = struct.unpack_from(
            form, data, offset + number * size
        )
        yield _Section(kind, start, length, link)


def _undefined(
    data: mmap,
    sections: tuple[_Section, ...],
    symbols: _Section,
    by_kind: dict[int, _Section],
    *,
    wide: bool,
    order: str,
) -> Iterator[str]:
    strings = sections[symbols.link].start
    versions = _versions(data, sections, by_kind.get(_VERNEED), order)
    told = _bytes(data, by_kind[_VERSYM]) if _VERSYM in by_kind else b""
    numbers = [number & 0x7FFF for (number,) in struct.iter_unpack(order + "H", told)]
    form = order + ("IBBHQQ" if wide else "IIIBBH")
    for place, fields in enumerate(struct.iter_unpack(form, _bytes(data, symbols))):
        name, section = fields[0], fields[3 if wide else 5]
        if section or not name:
            continue
        number = numbers[place] if numbers else 0
        version = versions[number] if number >= _UNVERSIONED else "Base"
        yield f"{_text(data, strings + name)}@{version}"


def _versions(
    data: mmap, sections: tuple[_Section, ...], needed: _Section | None, order: str
) -> dict[int, str]:
    """Give the names of the versions of other libraries' symbols, by their numbers here."""
    found: dict[int, str] = {}
    entry = needed.start if needed else 0
    while needed:
        _, count, _, first, following = struct.unpack_from(order + "HHIII", data, entry)
        inner = entry + first
        for _ in range(count):
            _, _, number, name, step = struct.unpack_from(order + "IHHII", data, inner)
            found[number & 0x7FFF] = _text(data, sections[needed.link].start + name)
            inner += step
        if not following:
            break
        entry += following
    return found


def _bytes(data: mmap, section: _Section) -> bytes:
    return data[section.start : section.start + section.size]


def _text(data: mmap, start: int) -> str:
    end = data.find(b"\0", start)
    if end < 0:
        raise ValueError("a name has no end")
    return data[start:end].decode()
