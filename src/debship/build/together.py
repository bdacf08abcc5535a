"""Files that appear in a folder together, or not at all."""

import contextlib
import errno
import fcntl
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from debship.build.scratch import sweep
from debship.errors import Refused

HIDDEN = ".debship-"  # how names begin of what has not appeared yet


class Together:
    """Files that are written, and not there yet.

    Args:
        folder: where they will be.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._hidden: dict[str, Path] = {}
        self._held: list[int] = []

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[tuple[Path, BinaryIO]]:
        """Write the file that will bear a name; give where it is until then, and what writes it."""
        descriptor, hidden = _held_file(f"{HIDDEN}{name}.", self._folder)
        self._hidden[name] = Path(hidden)
        self._held.append(os.dup(descriptor))  # until the end: others sweep what nobody holds
        with open(descriptor, "wb") as sink:  # noqa: PTH123 - a descriptor has no Path
            yield Path(hidden), sink
            sink.flush()
            os.fchmod(sink.fileno(), 0o644)

    def appear(self, names: Sequence[str]) -> None:
        """Let all appear, in this order; where one cannot, those before it go again."""
        check_free(self._folder, names)
        done: list[Path] = []
        try:
            for name in names:
                self._hidden[name].replace(self._folder / name)
                done.append(self._folder / name)
                del self._hidden[name]
        except BaseException:
            for path in done:
                path.unlink(missing_ok=True)
            raise

    def forget(self) -> None:
        """Take away what has not appeared."""
        for path in self._hidden.values():
            path.unlink(missing_ok=True)
        for descriptor in self._held:
            os.close(descriptor)


@contextlib.contextmanager
def together(folder: Path) -> Iterator[Together]:
    """Give a place for files; those that were not let appear are gone at the end.

    What a build that was killed left hidden there goes at the start. Nobody waits for the disk, as
    dpkg-deb does not: after a power cut the build is run again, which gives the same bytes.
    """
    with made(folder):
        sweep(folder, f"{HIDDEN}*")
        files = Together(folder)
        try:
            yield files
        finally:
            files.forget()


@contextlib.contextmanager
def made(folder: Path) -> Iterator[None]:
    """Make a folder, and those above it; what is empty of them where it ends badly goes again."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # something lies there by now
            for path in new:
                path.rmdir()
        raise


def check_folder(folder: Path) -> None:
    """See that files can be written to a folder, or that it can be made; nothing of that stays.

    Raises:
        Refused: neither.
    """
    there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    try:
        with tempfile.TemporaryDirectory(prefix=HIDDEN, dir=there):
            pass
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise  # told with the room that there is
        why = _amiss(there) or f"nothing can be made there: {error.strerror}"
        place = folder if folder == there else f"{folder}: {there}"
        raise Refused(f"{place}: {why}", "--output names the folder for packages") from error


def check_free(folder: Path, names: Iterable[str]) -> None:
    """See that files can take their places.

    Raises:
        Refused: a folder lies at one.
    """
    for name in names:
        if (folder / name).is_dir() and not (folder / name).is_symlink():
            raise Refused(f"{folder / name}: a folder lies where the file goes", "move it away")


def _amiss(path: Path) -> str | None:
    if path.is_symlink() and not path.exists():
        return "it is a link that leads nowhere"
    return None if path.is_dir() else "it is no folder"


def _held_file(prefix: str, folder: Path) -> tuple[int, str]:
    while True:
        folder.mkdir(parents=True, exist_ok=True)  # a build that ends badly may take it away
        descriptor, path = tempfile.mkstemp(prefix=prefix, dir=folder)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.path.lexists(path):
            return descriptor, path
        os.close(descriptor)  # another build swept it before it was held
