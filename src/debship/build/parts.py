"""The package's data as a sequence of parts, each of which is compressed by itself.

The skeleton holds every directory, the interpreter's link and pyvenv.cfg; each installed wheel is
a part; the application is one; the files that debship wrote for it are the last. A wheel's part
depends on the wheel, the prefix and the release, and on nothing else: not on the application's
version, not on its neighbours, not on the clock.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from debship.build.dists import Dist, mode_of
from debship.build.places import folders_above
from debship.build.plan import BuildPlan
from debship.debian.archive_writer import Entry, write_tar
from debship.debian.compression import Compression, Segment, compress


@dataclass(frozen=True, slots=True)
class Part:
    """Entries that are compressed together, without the directories that they lie in."""

    name: str
    mtime: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Packed:
    """A part as it stands in the package, and what control files say of it.

    Attributes:
        segment: its compressed bytes.
        md5s: of each regular file, by its path without a leading slash.
        kib: what the part adds to Installed-Size.
    """

    segment: Segment
    paths: tuple[str, ...]
    md5s: tuple[tuple[str, str], ...]
    kib: int


class _Sink:
    """Hands on what it is given, until it is told to stop."""

    def __init__(self, sink: IO[bytes], stopped: Callable[[], bool]) -> None:
        self._sink, self._stopped = sink, stopped

    def write(self, data: bytes) -> int:
        if self._stopped():
            raise CancelledError
        return self._sink.write(data)


def pack(
    part: Part,
    path: Path,
    compression: Compression,
    level: int,
    stopped: Callable[[], bool] = lambda: False,
) -> Packed:
    """Compress a part.

    Args:
        part: what is packed.
        path: the file that will hold the bytes; memory holds no file of the part in full.
        compression: what the release's dpkg reads.
        level: of the compressor.
        stopped: asked now and then whether the part is still wanted.
    """
    md5s: list[tuple[str, str]] = []

    def write(tar: IO[bytes]) -> None:
        sink = cast("IO[bytes]", _Sink(tar, stopped))
        md5s.extend(write_tar(part.entries, mtime=part.mtime, sink=sink))

    size = sum(entry.size + 1024 for entry in part.entries)  # its header, and what pads it
    return Packed(
        segment=compress(write, path, compression, level, size),
        paths=tuple(entry.path for entry in part.entries),
        md5s=tuple(md5s),
        kib=sum(entry.kib for entry in part.entries),
    )


def wheel_part(
    dist: Dist, compiled: Sequence[str], root: Path, plan: BuildPlan, mtime: int
) -> Part:
    """Make the part of an installed wheel.

    Args:
        dist: what was installed.
        compiled: the bytecode of it, relative to ``root``.
        root: what will be ``/`` on the hosts.
        plan: what is built.
        mtime: of every file, in seconds since 1970.
    """
    prefix = str(plan.prefix).removeprefix("/")
    files = {f"{prefix}/{file}" for file in dist.files}
    entries = []
    for path in sorted(files.union(compiled), key=_beside_its_source):
        here = root / path
        entries.append(Entry(path, mode_of(here), here))
    return Part(dist.name, mtime, tuple(entries))


def _beside_its_source(path: str) -> tuple[str, str, str]:
    """Order a tar so that bytecode follows what it was made of: half of it are the same words."""
    folder, _, name = path.rpartition("/")
    if not folder.endswith("/__pycache__"):
        return folder, name, ""
    return folder.removesuffix("/__pycache__"), f"{name.partition('.')[0]}.py", name


def skeleton(plan: BuildPlan, packed: Iterable[Packed], folders: Iterable[PurePosixPath]) -> Part:
    """Make the part that comes first: the directories of all others, and the interpreter.

    Args:
        plan: what is built.
        packed: the other parts.
        folders: directories that are shipped although they may be empty.
    """
    own = () if plan.serves else interpreter(plan)
    paths = [entry.path for entry in own]
    paths += [path for part in packed for path in part.paths]
    directories = {".", *folders_above(paths)}
    for shipped in folders:
        inner = shipped.relative_to("/")
        directories |= {str(path) for path in (inner, *inner.parents)}
    entries = (*(Entry(path) for path in sorted(directories)), *own)
    return Part("_skeleton", plan.release.date, entries)


def interpreter(plan: BuildPlan) -> tuple[Entry, ...]:
    """Make what a folder is a virtualenv by."""
    prefix = str(plan.prefix).removeprefix("/")
    config = (
        f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {plan.release.python}\n"
    )
    return (
        # Relative, as Policy 10.5 wants links within one top-level directory.
        Entry(f"{prefix}/bin/python", 0o777, target=f"../../../bin/{plan.interpreter.name}"),
        Entry(f"{prefix}/bin/python3", 0o777, target="python"),
        Entry(f"{prefix}/pyvenv.cfg", 0o644, config.encode()),
    )
