"""A suite at one moment: the InRelease that was read, and all that follows from it by hash."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from debship.errors import Failed, Refused
from debship.publish.index import Index
from debship.publish.paths import by_hash_path, inrelease_path
from debship.publish.release import Checksum, Part, Release
from debship.publish.signing import Certificates, verify
from debship.publish.store import Found, Store
from debship.publish.together import pair, together
from debship.run import Run

Beside = Mapping[str, Found | None]


class Snapshot(NamedTuple):
    """A signed state of a suite.

    Attributes:
        etag: what the store must still have for a commit on top of it.
        modified: what HTTP says of its age, UTC.
        signers: fingerprints of the keys that signed it.
        beside: what was read in the same moment, by path. It may be of another publication: an
            index is believed only where it has the hash that the Release gives.
    """

    release: Release
    inrelease: bytes
    etag: str
    modified: datetime
    signers: frozenset[str]
    beside: Beside = MappingProxyType({})

    @property
    def id(self) -> str:
        """The publication's id."""
        return self.id_of(self.inrelease)

    @staticmethod
    def id_of(inrelease: bytes) -> str:
        """Give a publication's id: the hash of its InRelease."""
        return hashlib.sha256(inrelease).hexdigest()


def suites(store: Store) -> tuple[str, ...]:
    """Find all suites of a repository."""
    paths = (entry.path.split("/") for entry in store.list("dists/"))
    return tuple(parts[1] for parts in paths if len(parts) == 3 and parts[2] == "InRelease")


def read_snapshot(
    store: Store, suite: str, ours: Certificates, run: Run, beside: Sequence[str] = ()
) -> Snapshot:
    """Read a suite as it is now, if one of our keys signed it.

    Args:
        store: where it lies.
        suite: which one.
        ours: the keys whose signature counts.
        run: the door to gpg.
        beside: paths that are read at the same time, for what is likely to follow.

    Raises:
        Refused: the suite is not there, or its signature is not ours.
    """
    path = inrelease_path(suite)

    def look() -> Snapshot:
        found = store.read(path)
        if found is None:
            raise Refused(
                f"{suite}: an unsigned store: there is no {path}",
                f"debship repo init --suite {suite} ... makes it; else look at --suite and --store",
            )
        return opened(found, suite, ours, run)

    snapshot, read = pair(look, partial(read_all, store, beside))
    return snapshot._replace(beside=read)


def read_all(store: Store, paths: Iterable[str]) -> dict[str, Found | None]:
    """Read several objects at the same time."""
    wanted = list(dict.fromkeys(paths))
    found = together(partial(store.read, path) for path in wanted)
    return dict(zip(wanted, found, strict=True))


def opened(found: Found, suite: str, ours: Certificates, run: Run) -> Snapshot:
    """Check an InRelease and read it."""
    try:
        verified = verify(found.data, ours, run)
        release = Release.parse(verified.text)
    except Refused as error:
        raise Refused(
            f"{inrelease_path(suite)}: {error.message}",
            "name the key that signs this suite; if nobody of yours wrote it, the store was "
            "written to by somebody else",
        ) from error
    except Failed as error:
        raise Failed(f"{inrelease_path(suite)}: {error.message}") from error
    if release.settings.suite != suite:
        raise Refused(f"{inrelease_path(suite)}: it is of suite {release.settings.suite}")
    return Snapshot(release, found.data, found.etag, found.modified, verified.signers)


def read_beside(store: Store, before: Snapshot, parts: Iterable[Part]) -> Beside:
    """Read what hosts fetch of these indices, where mirrors read it, as far as it was not read yet.

    It is what will be written anew after the commit, so it must be known; where it is in step with
    the Release it need not be read by its hash.
    """
    release = before.release
    folders = {part.folder for part in parts} | {
        part.component for part in parts if release.settings.contents
    }
    paths = (it for it in release.packed if it.rpartition("/")[0] in folders)
    names = [f"dists/{release.settings.suite}/{path}" for path in paths]
    return {**before.beside, **read_all(store, [it for it in names if it not in before.beside])}


def read_indices(
    store: Store, release: Release, parts: Iterable[Part], beside: Beside | None = None
) -> Mapping[Part, Index]:
    """Read indices by the hashes that a Release gives; one it does not name is empty.

    Args:
        store: where they lie.
        release: what names them.
        parts: which of them.
        beside: what was read already and may be one of them.

    Raises:
        Failed: the store lacks one, or has other bytes under its name.
    """
    wanted = list(dict.fromkeys(parts))
    found = together(partial(_index, store, release, part, beside or {}) for part in wanted)
    return dict(zip(wanted, found, strict=True))


def _index(store: Store, release: Release, part: Part, beside: Beside) -> Index:
    if f"{part.folder}/Packages.gz" not in release.files:
        return Index()
    packed = read_file(store, release, f"{part.folder}/Packages.gz", beside)
    plain, xz = (release.files.get(f"{part.folder}/Packages{end}") for end in ("", ".xz"))
    return Index.unpack(
        packed,
        plain.size if plain else None,
        read_file(store, release, f"{part.folder}/Packages.xz", beside) if xz else b"",
    )


def read_file(store: Store, release: Release, path: str, beside: Beside) -> bytes:
    """Read a file by the hash that a Release gives; see ``read_indices``."""
    suite, checksum = release.settings.suite, release.files[path]
    near = beside.get(f"dists/{suite}/{path}")
    if near is not None and _is(near, checksum):
        return near.data
    place = by_hash_path(suite, path, checksum.sha256)
    found = store.read(place)
    if found is None or not _is(found, checksum):
        how = "missing" if found is None else "damaged"
        raise Failed(f"{place}: it is {how}", f"debship repo verify --suite {suite}")
    return found.data


def _is(found: Found, checksum: Checksum) -> bool:
    return found.sha256 == checksum.sha256


def checksums(part: Part, index: Index, files: Mapping[str, bytes]) -> dict[str, Checksum]:
    """Say what Release says of an index.

    The uncompressed name must be listed, though it is not written: apt ignores an index without
    a message where only its compressed names are there.
    """
    found = {
        f"{part.folder}/{name}": Checksum(hashlib.sha256(data).hexdigest(), len(data))
        for name, data in files.items()
    }
    return {f"{part.folder}/Packages": Checksum(index.sha256, index.size), **found}
