"""A store in a directory: flock for the condition, a temporary file and rename for the bytes."""

import contextlib
import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from debship.errors import Failed
from debship.publish.store import (
    Condition,
    Conflict,
    Entry,
    Found,
    IfAbsent,
    IfMatch,
    Sent,
    Written,
    checked,
)

_LOCK = ".debship.lock"
_TEMPORARY = ".debship.tmp"
_CHUNK = 1 << 20  # bytes


class DirectoryStore:
    """Files below a directory, which a web server may serve as they are.

    The lock is the kernel's: it goes with the process that holds it, so none is ever stale.
    Temporary files of publishers that were killed are taken away by the next one.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._swept = False

    def expect(self, paths: Iterable[str]) -> None:
        """Wait until it is asked for: it is near."""

    def read(self, path: str) -> Found | None:
        """Read a file."""
        with _errors(path):
            try:
                with self._at(path).open("rb") as file:
                    data, status = file.read(), os.fstat(file.fileno())
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                return None
        sha256 = hashlib.sha256(data).hexdigest()
        return Found(data, sha256, _modified(status), sha256)

    def write(
        self,
        path: str,
        data: bytes | Path,
        condition: Condition = None,
        sent: Sent | None = None,
        same_as: str | None = None,
    ) -> Written:
        """Write a file beside, then put it in its place under the lock."""
        target = self._at(path)
        with _errors(path):
            if isinstance(condition, IfAbsent) and target.exists():
                raise Conflict(path)
            if same_as and isinstance(data, bytes) and self._share(same_as, target, condition):
                sha256 = hashlib.sha256(data).hexdigest()
                return Written(sha256, sha256)
            with self._temporary() as (file, temporary):
                etag = _copy(data, file, sent)
                with self._locked():
                    self._meet(target, condition)
                    self._make(target.parent)
                    temporary.replace(target)
                    _sync(target.parent)
        return Written(etag, etag)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """Walk the files below the last slash of the prefix."""
        folder = prefix.rpartition("/")[0]
        base = self._at(folder) if folder else self._root
        with _errors(prefix):
            for file in sorted(_files(base), key=lambda file: file.as_posix()):
                path = file.relative_to(self._root).as_posix()
                if path.startswith(prefix) and not path.startswith("."):
                    with contextlib.suppress(FileNotFoundError):
                        status = file.stat()
                        yield Entry(path, status.st_size, _modified(status))

    def delete(self, path: str) -> None:
        """Take a file away, and the folders that it leaves empty."""
        target = self._at(path)
        if not target.parent.resolve().is_relative_to(self._root.resolve()):
            raise Failed(f"{path}: a link leads out of the store, and nothing is deleted there")
        with _errors(path), self._locked():
            target.unlink(missing_ok=True)
            for folder in target.parents:
                if folder == self._root or not folder.is_dir() or any(folder.iterdir()):
                    break
                folder.rmdir()

    def sha256(self, path: str) -> str | None:
        """Hash a file."""
        with _errors(path), contextlib.suppress(FileNotFoundError), self._at(path).open("rb") as it:
            return hashlib.file_digest(it, "sha256").hexdigest()
        return None

    def now(self) -> datetime | None:
        """Have no clock but this machine's."""
        return None

    def sweep(self, before: datetime) -> None:
        """Have nothing to do: the first write of every publisher sweeps."""

    def _at(self, path: str) -> Path:
        return self._root / checked(path)

    def _meet(self, target: Path, condition: Condition) -> None:
        if isinstance(condition, IfAbsent) and target.exists():
            raise Conflict(target.name)
        if isinstance(condition, IfMatch):
            there = hashlib.sha256(target.read_bytes()).hexdigest() if target.exists() else None
            if there != condition.etag:
                raise Conflict(target.name)

    def _share(self, same_as: str, target: Path, condition: Condition) -> bool:
        """Give a file another name, where the file system can; a file is never changed in place.

        It is as old as its last name: hosts ask a web server for what changed since (HTTP's
        If-Modified-Since), and it may have been written before the publication that it is of.
        """
        temporary = self._root / _TEMPORARY / secrets.token_hex(8)
        with self._locked():
            self._meet(target, condition)
            self._make(temporary.parent)
            self._make(target.parent)
            try:
                os.link(self._at(same_as), temporary)
            except OSError:
                return False
            try:
                os.utime(temporary)
                temporary.replace(target)
                _sync(target.parent)
            finally:  # rename(2) leaves it where both names were of one file before
                temporary.unlink(missing_ok=True)
        return True

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._make(self._root)
        with (self._root / _LOCK).open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[tuple[BinaryIO, Path]]:
        """Open a file that its own flock protects from being swept while we live."""
        folder = self._root / _TEMPORARY
        path = folder / secrets.token_hex(8)
        with self._locked():
            self._make(folder)
            if not self._swept:
                _sweep(folder)
                self._swept = True
            file = path.open("xb")
            fcntl.flock(file, fcntl.LOCK_EX)
        try:
            with file:
                os.fchmod(file.fileno(), 0o644)  # a web server reads it, whatever our umask is
                yield file, path
        finally:
            path.unlink(missing_ok=True)

    def _make(self, folder: Path) -> None:
        """Make a folder and those above it, each of them on the disk before what lies in it."""
        if folder.is_dir():
            return
        self._make(folder.parent)
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            folder.chmod(0o755)
            _sync(folder.parent)


def _copy(data: bytes | Path, file: BinaryIO, sent: Sent | None) -> str:
    digest = hashlib.sha256()
    if isinstance(data, bytes):
        digest.update(data)
        file.write(data)
    else:
        with data.open("rb") as source:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                file.write(chunk)
                if sent:
                    sent(len(chunk))
    file.flush()
    os.fsync(file.fileno())
    return digest.hexdigest()


def _modified(status: os.stat_result) -> datetime:
    return datetime.fromtimestamp(status.st_mtime, UTC)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sweep(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("ab") as file, contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)


def _files(base: Path) -> Iterator[Path]:
    """Give all files below a folder, through links too, as hosts reach them.

    Raises:
        OSError: a folder cannot be read: who is not told of a suite would take what it names away.
    """

    def failed(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # that went meanwhile
            raise error

    for folder, inner, names in os.walk(base, onerror=failed, followlinks=True):
        here = os.path.realpath(folder)
        inner[:] = [name for name in inner if not _leads_back(Path(folder, name), here)]
        for name in names:
            yield Path(folder, name)


def _leads_back(folder: Path, here: str) -> bool:
    """Whether a link leads to where it lies in."""
    return folder.is_symlink() and Path(here).is_relative_to(folder.resolve())


@contextlib.contextmanager
def _errors(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Failed(f"{error.filename or path}: {error.strerror}") from error
