"""Roots that are kept: which there are, who uses them, and taking away what nobody does."""

import contextlib
import fcntl
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

UNUSED = 30 * 24 * 3600  # seconds; a root that nobody used for so long goes when another is made
_GOING = ".going"


@dataclass(frozen=True, slots=True)
class KeptRoot:
    """A root.

    Attributes:
        used: when it was last asked for, in seconds since 1970.
    """

    path: Path
    used: float


def use(root: Path) -> None:
    """Say that a root is used by this process, until it ends.

    The lock that says so is let go by the kernel, with the process: nobody else knows when the last
    overlay on a root is gone.
    """
    mark = _mark(root)
    with contextlib.suppress(OSError):  # a cache that may only be read
        while True:
            descriptor = os.open(mark, os.O_RDWR | os.O_CREAT, 0o644)
            os.utime(descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            if mark.exists() and mark.stat().st_ino == os.fstat(descriptor).st_ino:
                return
            os.close(descriptor)  # it was taken away, with the root, while we waited


def kept_roots(cache: Path) -> tuple[KeptRoot, ...]:
    """Give the roots of a cache, the one that was not used for longest first."""
    found = [
        KeptRoot(path, _used(path))
        for path in cache.glob("*-*")
        if path.is_dir() and not path.suffix
    ]
    return tuple(sorted(found, key=lambda root: (root.used, root.path)))


def sweep(cache: Path, remove: Callable[[Path], None], *, unused: float = UNUSED) -> None:
    """Take away the roots that nobody used for so long before the last use of any, and nobody uses.

    Args:
        cache: the folder that keeps roots.
        remove: removes a folder in which a namespace wrote.
        unused: seconds; 0 takes away all that nobody uses now.
    """
    for dead in cache.glob(f"*{_GOING}"):
        remove(dead)
    roots = kept_roots(cache)
    newest = max((root.used for root in roots), default=0.0)
    mounted = Path("/proc/self/mountinfo").read_text()
    for root in roots:
        # A host of the lab outlives the process that booted it; its overlay names the root.
        if newest - root.used < unused or str(root.path) in mounted:
            continue
        with _mark(root.path).open("w") as mark:
            try:
                fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            going = root.path.with_name(f"{root.path.name}{_GOING}")
            root.path.rename(going)
            _mark(root.path).unlink()
            remove(going)


def _mark(root: Path) -> Path:
    return root.with_name(f"{root.name}.used")


def _used(root: Path) -> float:
    mark = _mark(root)
    return (mark if mark.exists() else root).stat().st_mtime
