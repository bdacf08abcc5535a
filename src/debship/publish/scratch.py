"""Folders that are thrown away, also those of publishers that were killed."""

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from debship.errors import Failed
from debship.run import Run

_MEMORY = Path("/dev/shm")  # noqa: S108 - folders of mode 0700; a secret key never reaches the disk
_NEW, _HELD, _LOCK = "debship-new-", "debship-run-", ".held"
_TIMEOUT = 10.0  # seconds
_MOMENT = 60.0  # seconds; a folder is new for a millisecond


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Make a folder of mode 0700 that goes away; while we live, its lock says that it is ours."""
    new = Path(tempfile.mkdtemp(prefix=_NEW, dir=_place()))
    folder = new.with_name(new.name.replace(_NEW, _HELD))
    with (new / _LOCK).open("xb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        new.rename(folder)  # it is seen by sweep under this name alone: held, or left behind
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def sweep(run: Run) -> int:
    """Take away what killed publishers of this user left here: secret keys, and agents that hold them.

    Returns:
        how many folders.
    """
    count = 0
    for folder in _place().glob(f"{_HELD}*"):
        with contextlib.suppress(OSError), _abandoned(folder):
            with contextlib.suppress(Failed):
                kill = ("gpgconf", "--homedir", folder, "--kill", "all")
                run(kill, check=False, timeout=_TIMEOUT)
            shutil.rmtree(folder, ignore_errors=True)
            count += 1
    for folder in _place().glob(f"{_NEW}*"):  # nothing was put there yet when its maker was killed
        with contextlib.suppress(OSError):
            if time.time() - _ours(folder).st_mtime > _MOMENT:
                shutil.rmtree(folder, ignore_errors=True)
                count += 1
    return count


@contextlib.contextmanager
def _abandoned(folder: Path) -> Iterator[None]:
    """Hold a folder that nobody holds and that is ours.

    Raises:
        OSError: somebody does, or it is not.
    """
    _ours(folder)
    with (folder / _LOCK).open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def _ours(folder: Path) -> os.stat_result:
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise PermissionError(folder)
    return status


def _place() -> Path:
    return _MEMORY if os.access(_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
