"""Which package installs which path, for apt-file: one file for each component and architecture.

It says what the newest version of each package installs, for that is what a host would get.
"""

import gzip
import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self

from debship.debian import control
from debship.debian.archive import read_whole
from debship.errors import Failed
from debship.model import DebVersion
from debship.publish.index import Index, place_of
from debship.publish.release import Checksum, Part, Release
from debship.publish.scratch import scratch
from debship.publish.snapshot import Beside, read_file
from debship.publish.store import Store
from debship.publish.together import together

_LEVEL = 6
Installed = tuple[str, Sequence[str]]  # a package's section, and its paths
_LINE = re.compile(r"^(.*?)[ \t]+([^ \t\n]+)$", re.M)


def contents_path(part: Part) -> str:
    """Where it lies below ``dists/<suite>``; packed, ``.gz`` follows."""
    return f"{part.component}/Contents-{part.architecture}"


class Contents(NamedTuple):
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

    def replaced(self, installed: Mapping[str, Installed]) -> Self:
        """Let packages, by their names, install these paths and no others."""
        owners = {
            path: frozenset(name for name in names if name.rpartition("/")[2] not in installed)
            for path, names in self.owners.items()
        }
        for package, (section, paths) in installed.items():
            named = frozenset([f"{section}/{package}" if section else package])
            for path in paths:
                owners[path] = owners.get(path, frozenset()) | named
        return type(self)({path: names for path, names in owners.items() if names})


def refreshed(
    store: Store,
    release: Release | None,
    indices: Mapping[Part, Index],
    packages: Collection[str],
    local: Mapping[str, Path],
    *,
    beside: Beside | None = None,
) -> dict[str, bytes]:
    """Give the Contents of some indices, by their paths.

    Args:
        store: where the pool lies.
        release: whose Contents are taken up; what it has none of is read anew, from the pool.
        indices: as they will be.
        packages: those in which they differ from the release's.
        local: files that are here, by their places in the pool.
        beside: what was read already and may be one of the release's.

    Raises:
        Failed: a package is not in the pool.
    """
    before = together(partial(_before, store, release, part, beside or {}) for part in indices)
    newest: dict[Part, dict[str, bytes | None]] = {}
    for (part, index), known in zip(indices.items(), before, strict=True):
        names = packages if known else {key.package for key, _ in index.stanzas()}
        newest[part] = {name: _newest(index, name) for name in sorted(names)}
    stanzas = (it for some in newest.values() for it in some.values() if it is not None)
    places = list(dict.fromkeys(place_of(stanza).filename for stanza in stanzas))
    read = together(partial(_paths, store, place, local) for place in places)
    paths = dict(zip(places, read, strict=True))
    found = {}
    for (part, some), known in zip(newest.items(), before, strict=True):
        installed = {
            name: (_section(stanza), paths[place_of(stanza).filename]) if stanza else ("", ())
            for name, stanza in some.items()
        }
        found[contents_path(part)] = (known or Contents({})).replaced(installed).render()
    return found


def _newest(index: Index, package: str) -> bytes | None:
    stanzas = index.of(package)
    key = max(stanzas, key=lambda key: DebVersion(key.version), default=None)
    return stanzas[key] if key else None


def _section(stanza: bytes) -> str:
    return control.fields(stanza).get("section", "")


def packed(files: Mapping[str, bytes]) -> tuple[dict[str, bytes], dict[str, Checksum]]:
    """Compress them; give what is written, and what Release says of both forms.

    apt-file ignores one whose uncompressed name is not listed.
    """
    written = {f"{path}.gz": gzip.compress(text, _LEVEL, mtime=0) for path, text in files.items()}
    both = {**files, **written}
    sums = {it: Checksum(hashlib.sha256(data).hexdigest(), len(data)) for it, data in both.items()}
    return written, sums


def _before(store: Store, release: Release | None, part: Part, beside: Beside) -> Contents | None:
    path = f"{contents_path(part)}.gz"
    if release is None or path not in release.files:
        return None
    try:
        return Contents.parse(gzip.decompress(read_file(store, release, path, beside)))
    except Failed:
        return None  # it is made anew


def _paths(store: Store, place: str, local: Mapping[str, Path]) -> Sequence[str]:
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
