"""Where a build works, and what a build that was killed left there."""

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "debship-build-"


@contextlib.contextmanager
def scratch_folder(parent: Path | None = None, *, prefix: str = _PREFIX) -> Iterator[Path]:
    """Give a folder that is gone at the end; those of builds that were killed go at the start.

    A build holds a lock on its folder, and the kernel takes the lock from the dead.

    Args:
        parent: where it is made; None: where temporary files go.
        prefix: of its name; what else bears it there, and nobody holds, is swept.
    """
    parent = (parent or Path(tempfile.gettempdir())).resolve()
    sweep(parent, f"{prefix}*")
    with contextlib.ExitStack() as stack:
        yield _made(parent, prefix, stack)


def _made(parent: Path, prefix: str, stack: contextlib.ExitStack) -> Path:
    """Make a folder and hold it; another build may sweep it before it is held."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        with contextlib.suppress(FileNotFoundError), contextlib.ExitStack() as made:
            made.callback(shutil.rmtree, folder, ignore_errors=True)
            made.enter_context(held(folder))
            folder.stat()
            stack.push(made.pop_all())
            return folder


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a file or a folder: as long as this process lives, no other build sweeps it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def sweep(folder: Path, pattern: str) -> None:
    """Take away what nobody holds, of those of our own files and folders that a pattern names."""
    for path in folder.glob(pattern):
        with contextlib.suppress(OSError):  # held by a build that runs, or gone meanwhile
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found = os.fstat(descriptor)
                if found.st_uid != os.geteuid():
                    continue
                if stat.S_ISDIR(found.st_mode):
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()
            finally:
                os.close(descriptor)
