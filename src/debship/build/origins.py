"""Which file of the lock each installed distribution came from, and its hash."""

import re
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.tags import Tag, parse_tag
from packaging.utils import (
    InvalidWheelFilename,
    canonicalize_name,
    canonicalize_version,
    parse_wheel_filename,
)

from debship.build.dists import Dist
from debship.build.lock import INCLUDE, Lock, included
from debship.build.lock_file import lock_table, lock_text, logical_lines

PINNED = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+)\s*(?:\[[^\]]*\])?\s*(?:==\s*(?P<version>[^\s;]+)|@)"
)
_HASH = re.compile(r"--hash[= ]sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Locked:
    """A file that a lock names.

    Attributes:
        project: normalised (PEP 503).
        version: as the lock spells it; empty where it names a file and no version.
        file: its name; empty where the lock has nothing but hashes.
        sha256: lower-case hexadecimal.
    """

    project: str
    version: str
    file: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Origin:
    """What a distribution was installed from, as far as the lock and its tags tell.

    Attributes:
        file: the wheel's name, or that of the sdist that a wheel was built from; empty where the
            lock has no names.
        sha256: of that file. Several: it was one of these, and the lock does not say which.
    """

    file: str
    sha256: tuple[str, ...]

    @property
    def known(self) -> str | None:
        """The hash, where it is sure."""
        return self.sha256[0] if len(self.sha256) == 1 else None


def origin(dist: Dist, locked: Sequence[Locked]) -> Origin:
    """Find the file that a distribution came from, among those that the lock allowed for it."""
    version = canonicalize_version(
        dist.version
    )  # a lock writes 2024.7.4 where a wheel has 2024.07.04
    mine = [f for f in locked if not f.version or canonicalize_version(f.version) == version]
    wheels = [file for file in mine if file.file.endswith(".whl")]
    sources = [file for file in mine if file.file and file not in wheels]
    tags = frozenset(tag for text in dist.tags for tag in parse_tag(text))
    for candidates in (
        [file for file in wheels if _tags(file.file) == (tags, dist.build)],
        # Some wheels are named anew without their WHEEL file being told.
        mine if len(mine) == 1 else [],
        sources if not wheels else [],
    ):
        if len(candidates) == 1:
            return Origin(candidates[0].file, (candidates[0].sha256,))
    return Origin("", tuple(sorted({file.sha256 for file in mine})))


def locked_files(lock: Lock) -> Iterator[Locked]:
    """Give all files that a lock names.

    A lock that is no TOML, or holds other things than it should, was refused before.
    """
    if lock.kind == "requirements":
        yield from _requirements(lock.path)
        return
    table = lock_table(lock.path)
    for package in table.get("package" if lock.kind == "uv" else "packages", ()):
        files = [*package.get("wheels", ())]
        files += [package[key] for key in ("sdist", "archive") if key in package]
        for file in files:
            digest = _sha256(file)
            if digest:
                name, version = canonicalize_name(package["name"]), package.get("version", "")
                yield Locked(name, version, _file_name(file), digest)


def _sha256(file: Mapping[str, Any]) -> str:
    """Read uv.lock's ``hash = "sha256:..."``, or pylock.toml's ``hashes = {sha256 = ...}``."""
    text = str(file.get("hash", "")).partition("sha256:")[2]
    return text or str(file.get("hashes", {}).get("sha256", ""))


def _file_name(file: Mapping[str, Any]) -> str:
    """Name the file alone: where it lay is its index's affair, and may hold a password."""
    if file.get("name") or file.get("filename"):
        return str(file.get("name") or file.get("filename"))
    where = urllib.parse.urlsplit(str(file.get("url") or file.get("path") or "")).path
    return urllib.parse.unquote(where.rpartition("/")[2])


def _requirements(path: Path, seen: frozenset[Path] = frozenset()) -> Iterator[Locked]:
    for _, line in logical_lines(lock_text(path)):
        include = INCLUDE.fullmatch(line)
        if include is not None:
            inner = included(path, include["path"])
            if inner not in seen:
                yield from _requirements(inner, seen | {path, inner})
        pinned = PINNED.match(line)
        if pinned is not None:
            name, version = canonicalize_name(pinned["name"]), pinned["version"] or ""
            yield from (Locked(name, version, "", digest) for digest in _HASH.findall(line))


def _tags(file: str) -> tuple[frozenset[Tag], str]:
    try:
        _, _, build, tags = parse_wheel_filename(file)
    except InvalidWheelFilename:
        return frozenset(), ""
    return tags, "".join(str(part) for part in build)
