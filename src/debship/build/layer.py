"""A layer: a distribution as it stands in a package, and the form in which it is kept."""

import json
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass

from debship.build.cache import Entry
from debship.build.dists import Dist
from debship.build.libraries import Libraries
from debship.build.origins import Origin
from debship.build.parts import Packed
from debship.debian.compression import Segment
from debship.debian.xz_blocks import Record
from debship.frozen import from_json, to_json

_NO_ORIGIN = Origin("", ())


@dataclass(frozen=True, slots=True)
class Layer:
    """A distribution as it stands in a package.

    Attributes:
        code: whether machine code is in it.
        libraries: what that needs.
        origin: what it was installed from.
        near: the files of other distributions that bear the names of such libraries.
        made_with: the Debian packages that it would be another without, with their versions.
    """

    dist: Dist
    packed: Packed
    code: bool
    libraries: Libraries
    origin: Origin = _NO_ORIGIN
    near: tuple[str, ...] = ()
    made_with: tuple[tuple[str, str], ...] = ()


def near(layer: Layer, dists: Iterable[Dist]) -> tuple[str, ...]:
    """Find the files of other distributions that bear the names of libraries that it needs."""
    wanted = frozenset(layer.libraries.names)
    if not wanted:
        return ()
    return tuple(
        file
        for dist in dists
        if dist.name != layer.dist.name
        for file in dist.files
        if posixpath.basename(file) in wanted
    )


def frozen(layer: Layer) -> bytes:
    """Write all of it but its blocks."""
    packed = layer.packed
    facts = {
        "dist": to_json(layer.dist),
        "libraries": to_json(layer.libraries),
        "code": layer.code,
        "origin": to_json(layer.origin),
        "near": layer.near,
        "made_with": layer.made_with,
        "md5s": packed.md5s,
        "kib": packed.kib,
        "records": packed.segment.records,
    }
    return json.dumps(facts).encode()


def thawed(entry: Entry) -> Layer:
    """Read what ``frozen`` wrote, with the blocks that were kept beside it."""
    facts = json.loads(entry.facts)
    md5s = tuple((path, md5) for path, md5 in facts["md5s"])
    return Layer(
        dist=from_json(Dist, facts["dist"]),
        packed=Packed(
            segment=Segment(entry.blocks, tuple(Record(*it) for it in facts["records"])),
            paths=tuple(path for path, _ in md5s),  # a distribution is files alone
            md5s=md5s,
            kib=facts["kib"],
        ),
        code=facts["code"],
        libraries=from_json(Libraries, facts["libraries"]),
        origin=from_json(Origin, facts["origin"]),
        near=tuple(facts["near"]),
        made_with=tuple((name, version) for name, version in facts["made_with"]),
    )


def scripts(layers: Iterable[Layer]) -> frozenset[str]:
    """Give what a service may start with."""
    files = (file for layer in layers for file in layer.dist.files)
    installed = (file.removeprefix("bin/") for file in files if file.startswith("bin/"))
    return frozenset({*installed, "python", "python3"})
