"""What a wheel says of the libraries that are bundled in it (PEP 770)."""

import hashlib
import json
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LIMIT = 16 << 20  # bytes; a wheel of Rust lists some hundred crates in 1 MiB
_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Component:
    """A library that is bundled; empty where the wheel does not say."""

    name: str
    version: str
    purl: str


@dataclass(frozen=True, slots=True)
class Bundled:
    """A bill of materials that a wheel ships.

    Attributes:
        file: relative to the virtualenv.
        sha256: of the file.
        components: what it lists; empty where it is not CycloneDX in JSON.
    """

    file: str
    sha256: str
    components: tuple[Component, ...]


def read_bundled(prefix: Path, files: Sequence[str]) -> tuple[Bundled, ...]:
    """Read the bills of materials of one distribution.

    What a wheel says is taken as far as it has the right form, and never trusted to have it.

    Args:
        prefix: the virtualenv, where it was built.
        files: those below the sboms folder of its dist-info, relative to the virtualenv.
    """
    return tuple(_bundled(prefix / file, file) for file in files)


def _bundled(path: Path, file: str) -> Bundled:
    content = path.read_bytes()
    components: tuple[Component, ...] = ()
    if posixpath.splitext(file)[1] == ".json" and len(content) <= _LIMIT:
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            document = None
        if isinstance(document, dict) and document.get("bomFormat") == "CycloneDX":
            found = dict.fromkeys(_components(document, _DEPTH))
            components = tuple(sorted(found, key=lambda c: (c.name, c.version, c.purl)))
    return Bundled(file, hashlib.sha256(content).hexdigest(), components)


def _components(node: dict[str, Any], depth: int) -> Iterator[Component]:
    inner = node.get("components")
    for entry in inner if isinstance(inner, list) and depth else ():
        if not isinstance(entry, dict):
            continue
        name, version, purl = (entry.get(key) for key in ("name", "version", "purl"))
        if isinstance(name, str) and name:
            yield Component(
                name,
                version if isinstance(version, str) else "",
                purl if isinstance(purl, str) and purl.startswith("pkg:") else "",
            )
        yield from _components(entry, depth - 1)
