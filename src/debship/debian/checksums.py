"""The three checksums that Debian's control files of an upload list."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Checksums:
    """A file, as deb-changes(5) and deb-buildinfo(5) list it.

    Attributes:
        name: of the file, without a folder.
        size: bytes.
        md5, sha1, sha256: lower-case hexadecimal. Only the last is worth believing; the others
            are required fields.
    """

    name: str
    size: int
    md5: str
    sha1: str
    sha256: str


def checksums_of(name: str, content: bytes) -> Checksums:
    """Take the checksums of bytes."""
    return Checksums(
        name,
        len(content),
        hashlib.md5(content, usedforsecurity=False).hexdigest(),
        hashlib.sha1(content, usedforsecurity=False).hexdigest(),
        hashlib.sha256(content).hexdigest(),
    )


def checksums_of_file(name: str, path: Path) -> Checksums:
    """Take the checksums of a file: side by side, for each of them takes its time."""

    def digest(algorithm: str) -> str:
        with path.open("rb") as file:
            return hashlib.file_digest(file, algorithm).hexdigest()

    with ThreadPoolExecutor(3) as pool:
        md5, sha1, sha256 = pool.map(digest, ("md5", "sha1", "sha256"))
    return Checksums(name, path.stat().st_size, md5, sha1, sha256)
