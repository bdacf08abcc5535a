"""Which package installs which path, for apt-file: one file for each component and architecture.

It says what the newest version of each package installs, for that is what a host would get.
"""

import gzip
import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from debship.debian import control
from debship.debian.archive import read_whole
from debship.errors import Failed
from debship.model import DebVersion
from debship.publish.index import Index, place_of
from debship.publish.paths import by_hash_path
from debship.publish.release import Checksum, Part, Release
from debship.publish.scratch import scratch
from debship.publish.store import Store

_LEVEL = 6
_LINE = re.compile(r"^(.*?)[ \t]+([^ \t\n]+)$", re.M)


def contents_path(part: Part) -> str:
    """Where it lies below ``dists/<suite>``; packed, ``.gz`` follows."""
    return f"{part.component}/Contents-{part.architecture}"


@dataclass(frozen=True, slots=True)
class Contents:
    """Paths, and of each the packages that install it, as ``section/name``."""

    owners: Mapping[str, frozenset[str]]

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Read one that ``render`` gave."""
        found = _LINE.findall(text.decode(errors="surrogateescape"))
        return cls({path: frozenset(names.split(",")) for path, names in found})

    def render(self) -> bytes:
        """Write it: a path, blanks, and names between commas, in order."""
        lines = (
            f"{path:<60} {','.join(sorted(self.owners[path]))}\n" for path in sorted(self.owners)
        )
        return "".join(lines).encode(errors="surrogateescape")

    def replaced(self, package: str, section: str, paths: Iterable[str]) -> Self:
        """Let a package install these paths, and no others."""
        owners = {
            path: frozenset(name for name in names if name.rpartition("/")[2] != package)
            for path, names in self.owners.items()
        }
        named = f"{section}/{package}" if section else package
        for path in paths:
            owners[path] = owners.get(path, frozenset()) | {named}
        return type(self)({path: names for path, names in owners.items() if names})


def refreshed(
    store: Store,
    release: Release | None,
    indices: Mapping[Part, Index],
    packages: Collection[str] | None,
    local: Mapping[str, Path],
) -> dict[str, bytes]:
    """Give the Contents of some indices, by their paths.

    Args:
        store: where the pool lies.
        release: the one before, whose Contents are taken up.
        indices: as they will be.
        packages: those that changed; None: all are read anew, from the pool.
        local: files that are here, by their places in the pool.

    Raises:
        Failed: a package is not in the pool.
    """
    found = {}
    for part, index in indices.items():
        contents = _before(store, release, part) if packages is not None else None
        wanted = packages if contents else {key.package for key, _ in index.stanzas()}
        contents = contents or Contents({})
        for package in sorted(wanted or ()):
            stanzas = index.of(package)
            newest = max(stanzas, key=lambda key: DebVersion(key.version), default=None)
            if newest is not None:
                fields = control.fields(stanzas[newest])
                paths = _paths(store, place_of(stanzas[newest]).filename, local)
                contents = contents.replaced(package, fields.get("section", ""), paths)
        found[contents_path(part)] = contents.render()
    return found


def packed(files: Mapping[str, bytes]) -> tuple[dict[str, bytes], dict[str, Checksum]]:
    """Compress them; give what is written, and what Release says of both forms.

    apt-file ignores one whose uncompressed name is not listed.
    """
    written = {f"{path}.gz": gzip.compress(text, _LEVEL, mtime=0) for path, text in files.items()}
    both = {**files, **written}
    sums = {it: Checksum(hashlib.sha256(data).hexdigest(), len(data)) for it, data in both.items()}
    return written, sums


def _before(store: Store, release: Release | None, part: Part) -> Contents | None:
    path = f"{contents_path(part)}.gz"
    if release is None or path not in release.files:
        return None
    sha256 = release.files[path].sha256
    found = store.read(by_hash_path(release.settings.suite, path, sha256))
    if found is None or hashlib.sha256(found.data).hexdigest() != sha256:
        return None  # it is made anew
    return Contents.parse(gzip.decompress(found.data))


def _paths(store: Store, place: str, local: Mapping[str, Path]) -> list[str]:
    if place in local:
        return _installed(local[place])
    found = store.read(place)
    if found is None:
        raise Failed(f"{place}: it is gone from the pool", "debship repo verify says what else is")
    with scratch() as folder:
        file = folder / "package.deb"
        file.write_bytes(found.data)
        return _installed(file)


def _installed(path: Path) -> list[str]:
    members = read_whole(path, lambda name: False).data
    names = (member.name.removeprefix("./") for member in members if member.kind in "012")
    return [name for name in names if name and "\n" not in name]
