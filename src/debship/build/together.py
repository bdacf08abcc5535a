"""Files that appear in a folder together, or not at all."""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from debship.build.scratch import sweep

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
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder, f"{HIDDEN}*")
    files = Together(folder)
    try:
        yield files
    finally:
        files.forget()


def _held_file(prefix: str, folder: Path) -> tuple[int, str]:
    while True:
        descriptor, path = tempfile.mkstemp(prefix=prefix, dir=folder)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.path.lexists(path):
            return descriptor, path
        os.close(descriptor)  # another build swept it before it was held
