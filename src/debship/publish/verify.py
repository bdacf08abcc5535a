"""Whether a suite is whole: every signature, every hash, every file in the pool."""

import hashlib
import lzma
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from debship.errors import Failed
from debship.publish.index import Index, place_of
from debship.publish.paths import by_hash_path
from debship.publish.release import Part
from debship.publish.snapshot import Snapshot, read_indices
from debship.publish.store import Found, Store
from debship.publish.together import together


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was looked at, and what is wrong with it."""

    packages: int
    size: int  # bytes in the pool that the suite names
    problems: tuple[str, ...]


def verify_suite(
    store: Store, snapshot: Snapshot, say: Callable[[str], None], *, deep: bool = False
) -> Verdict:
    """Check all that a snapshot names; its signature was checked when it was read.

    Args:
        store: where it lies.
        snapshot: of the suite.
        say: hears what is being done.
        deep: read all packages again, also from a store that keeps their hashes beside them.
    """
    release = snapshot.release
    files: dict[str, tuple[int, str]] = {}
    problems: list[str] = []
    for part in release.settings.parts:
        say(f"checking {part.folder}")
        try:
            index = read_indices(store, release, [part])[part]
        except Failed as error:
            problems.append(error.message)
            continue
        problems += _index_problems(store, snapshot, part, index)
        for _, stanza in index.stanzas():
            place = place_of(stanza)
            files[place.filename] = (place.size, place.sha256)
    problems += _contents_problems(store, snapshot)
    say(f"checking {len(files)} packages")
    problems += _pool_problems(store, files, deep=deep)
    return Verdict(len(files), sum(size for size, _ in files.values()), tuple(problems))


def _contents_problems(store: Store, snapshot: Snapshot) -> Iterator[str]:
    release, suite = snapshot.release, snapshot.release.settings.suite
    for path in (it for it in release.packed if "/Contents-" in it):
        sha256 = release.files[path].sha256
        found = _read(store, by_hash_path(suite, path, sha256))
        if isinstance(found, Failed):
            yield found.message
        elif found is None or found.sha256 != sha256:
            yield f"dists/{suite}/{path}: it is missing or damaged"


def _index_problems(store: Store, snapshot: Snapshot, part: Part, index: Index) -> Iterator[str]:
    release, suite = snapshot.release, snapshot.release.settings.suite
    plain = f"{part.folder}/Packages"
    if release.files.get(plain) != (index.sha256, index.size):
        yield f"dists/{suite}/{plain}: Release gives another hash"
    keys = [key for key, _ in index.stanzas()]
    if keys != sorted(set(keys)):
        yield f"dists/{suite}/{plain}: its stanzas are doubled or out of order"
    for path in release.packed:
        if path.rpartition("/")[0] != part.folder:
            continue
        canonical = _read(store, f"dists/{suite}/{path}")
        if isinstance(canonical, Failed):
            yield canonical.message
        elif canonical is None or canonical.sha256 != release.files[path].sha256:
            yield f"dists/{suite}/{path}: it is not the published index (clients without by-hash fail)"
        elif path.endswith(".xz") and not _holds(canonical.data, index):
            yield f"dists/{suite}/{path}: it does not hold what Packages.gz does"


def _holds(xz: bytes, index: Index) -> bool:
    return hashlib.sha256(lzma.decompress(xz)).hexdigest() == index.sha256


def _pool_problems(store: Store, files: dict[str, tuple[int, str]], *, deep: bool) -> Iterator[str]:
    sizes = {entry.path: entry.size for entry in store.list("pool/")}
    alike = [path for path, (size, _) in files.items() if sizes.get(path) == size]
    hashes = dict(
        zip(
            alike,
            together(partial(_sha256, store, path, deep=deep) for path in alike),
            strict=True,
        )
    )
    for path, (_, sha256) in sorted(files.items()):
        has = hashes.get(path)
        if path not in sizes:
            yield f"{path}: it is missing"
        elif isinstance(has, Failed):
            yield has.message
        elif has != sha256:
            yield f"{path}: it has other bytes than were published"


def _sha256(store: Store, path: str, *, deep: bool) -> str | Failed | None:
    found = _read(store, path) if deep else None
    if isinstance(found, Failed):
        return found
    try:
        return found.sha256 if found else store.sha256(path)
    except Failed as error:
        return error


def _read(store: Store, path: str) -> Found | Failed | None:
    """Read a file; where it cannot be read, that is what is wrong with it, and others are looked at."""
    try:
        return store.read(path)
    except Failed as error:
        return error
