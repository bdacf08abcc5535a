"""Where what lies in a repository; nothing else, so that reading can begin before all is loaded."""

from collections.abc import Iterable

PAGE = "index.html"


def inrelease_path(suite: str) -> str:
    """Where a suite's commit lies."""
    return f"dists/{suite}/InRelease"


def release_path(suite: str) -> str:
    """Where a suite's Release lies for mirrors that read no InRelease."""
    return f"dists/{suite}/Release"


def key_path(suite: str) -> str:
    """Where the public keys of a suite lie."""
    return f"dists/{suite}/key.asc"


def history_path(suite: str, publication: str) -> str:
    """Where an InRelease lies after it was replaced."""
    return f"dists/{suite}/by-hash/SHA256/{publication}"


def by_hash_path(suite: str, path: str, sha256: str) -> str:
    """Where the bytes of an index lie (``path`` is the one in Release)."""
    return f"dists/{suite}/{path.rpartition('/')[0]}/by-hash/SHA256/{sha256}"


def likely_indices(suite: str, component: str, architectures: Iterable[str]) -> tuple[str, ...]:
    """Guess which indices a publication of such packages wants, where mirrors read them.

    What is for all is most often for amd64 alone.
    """
    names = sorted({name if name != "all" else "amd64" for name in architectures})
    return tuple(f"dists/{suite}/{component}/binary-{name}/Packages.gz" for name in names)
