"""Whether a suite is whole: every signature, every hash, every file in the pool."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from debship.errors import Failed
from debship.publish.index import Index, place_of
from debship.publish.release import Part
from debship.publish.snapshot import Snapshot, by_hash_path, checksums, read_indices
from debship.publish.store import Store


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was looked at, and what is wrong with it."""

    packages: int
    size: int  # bytes in the pool that the suite names
    problems: tuple[str, ...]


def verify_suite(store: Store, snapshot: Snapshot, say: Callable[[str], None]) -> Verdict:
    """Check all that a snapshot names; its signature was checked when it was read."""
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
    say(f"checking {len(files)} packages")
    problems += _pool_problems(store, files)
    return Verdict(len(files), sum(size for size, _ in files.values()), tuple(problems))


def _index_problems(store: Store, snapshot: Snapshot, part: Part, index: Index) -> Iterator[str]:
    release, suite = snapshot.release, snapshot.release.settings.suite
    path = f"{part.folder}/Packages.gz"
    packed = store.read(by_hash_path(suite, path, release.files[path].sha256))
    data = packed.data if packed else b""
    expected = checksums(part, index, data)[f"{part.folder}/Packages"]
    if release.files.get(f"{part.folder}/Packages") != expected:
        yield f"dists/{suite}/{part.folder}/Packages: Release gives another hash"
    keys = [key for key, _ in index.stanzas()]
    if keys != sorted(set(keys)):
        yield f"dists/{suite}/{path}: its stanzas are doubled or out of order"
    canonical = store.read(f"dists/{suite}/{path}")
    if (
        canonical is None
        or hashlib.sha256(canonical.data).digest() != hashlib.sha256(data).digest()
    ):
        yield f"dists/{suite}/{path}: it is not the published index (clients without by-hash fail)"


def _pool_problems(store: Store, files: dict[str, tuple[int, str]]) -> Iterator[str]:
    sizes = {entry.path: entry.size for entry in store.list("pool/")}
    for path, (size, sha256) in sorted(files.items()):
        if path not in sizes:
            yield f"{path}: it is missing"
        elif sizes[path] != size or store.sha256(path) != sha256:
            yield f"{path}: it has other bytes than were published"
