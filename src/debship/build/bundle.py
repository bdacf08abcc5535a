"""A package with its parts, ready to be written."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, cast

from debship.build.control import control_tar
from debship.build.files import template_part
from debship.build.maintainer_scripts import config_folders
from debship.build.package import Package
from debship.build.parts import Packed, Part, interpreter, pack, skeleton
from debship.build.places import check_places
from debship.debian.archive_writer import END_OF_TAR, write_ar
from debship.debian.checksums import Checksums, Summing
from debship.debian.compression import Segment, compress, joined
from debship.model import Deb

_LEVEL = 9


@dataclass(frozen=True, slots=True)
class Bundle:
    """One package.

    Attributes:
        parts: all that is in it, in this order.
        control: its compressed control.tar.
        folder: for what is made of it.
    """

    package: Package
    parts: tuple[Packed, ...]
    control: bytes
    folder: Path

    def deb(self, output: Path, sums: Checksums) -> Deb:
        """Say what it is, once it is written."""
        package = self.package
        name, version, architecture = package.plan.app.name, package.version, package.architecture
        deb = Deb(output, name, version, architecture, sums.size, sums.sha256)
        return Deb(output / deb.filename, name, version, architecture, sums.size, sums.sha256)

    @property
    def filename(self) -> str:
        """The name of its file."""
        return self.deb(Path(), Checksums("", 0, "", "", "")).filename

    def write(self, sink: BinaryIO) -> Checksums:
        """Write it."""
        plan = self.package.plan
        suffix = plan.release.compression
        segments = [*(part.segment for part in self.parts), self._end()]
        summing = Summing(sink)
        write_ar(
            cast("BinaryIO", summing),
            control=self.control,
            data=tuple(joined(segments, suffix)),
            suffix=suffix,
            mtime=self.package.date,
        )
        return summing.sums(self.filename)

    def _end(self) -> Segment:
        def write(tar: IO[bytes]) -> None:
            tar.write(END_OF_TAR)

        compression = self.package.plan.release.compression
        return compress(write, self.folder / "_end.part", compression, _LEVEL)


def bundle(
    package: Package, packed: Sequence[Packed], folder: Path, *, more: Sequence[Part] = ()
) -> Bundle:
    """Put a package together.

    Args:
        package: what it is.
        packed: its layers.
        folder: a new one, for what is made here.
        more: what else is in it, besides what is written for every package.

    Raises:
        Misused: a file of the application cannot be read.
        Refused: dpkg could not unpack it, for two files are in each other's way.
    """
    folder.mkdir()
    plan = package.plan
    here = (*more, template_part(package))
    _check_places(package, packed, here)

    def packed_here(part: Part) -> Packed:
        return pack(part, folder / f"{part.name}.part", plan.release.compression, _LEVEL)

    parts = [*packed, *(packed_here(part) for part in here)]
    first = packed_here(skeleton(plan, parts, config_folders(plan)))
    everything = (first, *parts)
    return Bundle(package, everything, control_tar(package, everything), folder)


def _check_places(package: Package, packed: Sequence[Packed], here: Sequence[Part]) -> None:
    plan, conffiles = package.plan, package.conffiles
    paths = [entry.path for part in here for entry in part.entries]
    paths += [path for part in packed for path in part.paths]
    paths += [entry.path for entry in interpreter(plan) if not plan.serves]
    # What the deploy writes is no file of the package, and has a place all the same.
    paths += [_inner(config.path) for config in plan.app.configs if config.managed]
    before = (*conffiles.gone, *(old for old, _ in conffiles.moved))
    check_places(paths, [_inner(path) for path in before])


def _inner(path: PurePosixPath) -> str:
    return str(path).removeprefix("/")
