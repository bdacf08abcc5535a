"""A suite at one moment: the InRelease that was read, and all that follows from it by hash."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from debship.errors import Failed, Refused
from debship.publish.index import Index
from debship.publish.release import Checksum, Part, Release
from debship.publish.signing import Certificates, verify
from debship.publish.store import Found, Store
from debship.run import Run


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A signed state of a suite.

    Attributes:
        etag: what the store must still have for a commit on top of it.
        modified: what HTTP says of its age, UTC.
        signers: fingerprints of the keys that signed it.
    """

    release: Release
    inrelease: bytes
    etag: str
    modified: datetime
    signers: frozenset[str]

    @property
    def id(self) -> str:
        """The publication's id."""
        return self.id_of(self.inrelease)

    @staticmethod
    def id_of(inrelease: bytes) -> str:
        """Give a publication's id: the hash of its InRelease."""
        return hashlib.sha256(inrelease).hexdigest()


def inrelease_path(suite: str) -> str:
    """Where a suite's commit lies."""
    return f"dists/{suite}/InRelease"


def key_path(suite: str) -> str:
    """Where the public keys of a suite lie."""
    return f"dists/{suite}/key.asc"


def history_path(suite: str, publication: str) -> str:
    """Where an InRelease lies after it was replaced."""
    return f"dists/{suite}/by-hash/SHA256/{publication}"


def by_hash_path(suite: str, path: str, sha256: str) -> str:
    """Where the bytes of an index lie (``path`` is the one in Release)."""
    return f"dists/{suite}/{path.rpartition('/')[0]}/by-hash/SHA256/{sha256}"


def read_snapshot(store: Store, suite: str, ours: Certificates, run: Run) -> Snapshot:
    """Read a suite as it is now, if one of our keys signed it.

    Raises:
        Refused: the suite is not there, or its signature is not ours.
    """
    found = store.read(inrelease_path(suite))
    if found is None:
        raise Refused(
            f"{suite}: an unsigned store: there is no {inrelease_path(suite)}",
            f"debship repo init --suite {suite} ...",
        )
    return opened(found, suite, ours, run)


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


def read_indices(store: Store, release: Release, parts: Iterable[Part]) -> Mapping[Part, Index]:
    """Read indices by the hashes that a Release gives; one it does not name is empty.

    Raises:
        Failed: the store lacks one, or has other bytes under its name.
    """
    return {part: _index(store, release, part) for part in parts}


def _index(store: Store, release: Release, part: Part) -> Index:
    path = f"{part.folder}/Packages.gz"
    checksum = release.files.get(path)
    if checksum is None:
        return Index()
    place = by_hash_path(release.settings.suite, path, checksum.sha256)
    found = store.read(place)
    if found is None or hashlib.sha256(found.data).hexdigest() != checksum.sha256:
        how = "missing" if found is None else "damaged"
        raise Failed(
            f"{place}: it is {how}", f"debship repo verify --suite {release.settings.suite}"
        )
    return Index.unpack(found.data)


def checksums(part: Part, index: Index, packed: bytes) -> dict[str, Checksum]:
    """Say what Release says of an index.

    The uncompressed name must be listed, though it is not written: apt ignores an index without
    a message where only its compressed name is there.
    """
    return {
        f"{part.folder}/Packages": Checksum(index.sha256, index.size),
        f"{part.folder}/Packages.gz": Checksum(hashlib.sha256(packed).hexdigest(), len(packed)),
    }
