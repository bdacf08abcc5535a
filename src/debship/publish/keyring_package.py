"""A package that brings hosts the keys of a suite and its .sources, and every later key too."""

import gzip
import hashlib
import io
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from pathlib import Path

from debship.debian.archive_writer import END_OF_TAR, Entry, write_ar, write_tar
from debship.debian.compression import compress_whole
from debship.errors import Misused
from debship.model import DebVersion, PackageName
from debship.publish.release import Settings, slug
from debship.publish.signing import Certificates
from debship.templates import render


@dataclass(frozen=True, slots=True)
class KeyringPackage:
    """What is in it.

    Attributes:
        settings: of the suite.
        keys: those that hosts shall trust.
        url: where hosts read the repository.
        maintainer: ``Name <address>``.
        date: of the publication, UTC; the version and all times follow from it.
    """

    settings: Settings
    keys: Certificates
    url: str
    maintainer: str
    date: datetime

    def __post_init__(self) -> None:
        """Check what goes into control fields.

        Raises:
            Misused: the maintainer is none.
        """
        if not re.fullmatch(r"[^\s<>][^\n<>]* <[^\s<>]+@[^\s<>]+>", self.maintainer):
            raise Misused(f'"{self.maintainer}" is no maintainer', "Name <address@example.com>")

    @property
    def name(self) -> PackageName:
        """``example-production-archive-keyring``."""
        return PackageName(f"{slug(self.settings.origin, self.settings.suite)}-archive-keyring")

    @property
    def version(self) -> DebVersion:
        """``2026.11.24.113005``: a later publication has a higher one."""
        return DebVersion(f"{self.date:%Y.%m.%d.%H%M%S}")

    @property
    def filename(self) -> str:
        """The name that Debian's tools give it."""
        return f"{self.name}_{self.version}_all.deb"

    def write(self, folder: Path) -> Path:
        """Write it; the same keys, suite and date give the same bytes."""
        key = f"usr/share/keyrings/{self.name}.asc"
        values = {
            "name": self.name,
            "version": self.version,
            "maintainer": self.maintainer,
            "origin": self.settings.origin,
            "suite": self.settings.suite,
            "uris": shlex.quote(f"URIs: {self.url}"),
            "suites": shlex.quote(f"Suites: {self.settings.suite}"),
            "components": shlex.quote(f"Components: {' '.join(self.settings.components)}"),
            "keyring": f"/{key}",
            "year": f"{self.date:%Y}",
            "date": format_datetime(self.date),
            "fingerprints": sorted(self.keys.trusted),
        }
        changelog = gzip.compress(render("keyring/changelog.j2", values).encode(), 9, mtime=0)
        files = {
            key: self.keys.armored.strip().encode() + b"\n",
            f"usr/share/doc/{self.name}/changelog.gz": changelog,
            f"usr/share/doc/{self.name}/copyright": render("keyring/copyright.j2", values).encode(),
        }
        data = [Entry(path, 0o644, content) for path, content in files.items()]
        values["size"] = sum(entry.kib for entry in data)
        sums = "".join(
            f"{hashlib.md5(content, usedforsecurity=False).hexdigest()}  {path}\n"
            for path, content in sorted(files.items())
        )
        control = [
            Entry("control", 0o644, render("keyring/control.j2", values).encode()),
            Entry("md5sums", 0o644, sums.encode()),
            Entry("postinst", 0o755, render("keyring/postinst.j2", values).encode()),
            Entry("postrm", 0o755, render("keyring/postrm.j2", values).encode()),
        ]
        path = folder / self.filename
        with path.open("wb") as sink:
            parts = [self._packed([Entry("."), *control]), self._packed(_with_folders(data))]
            mtime = int(self.date.timestamp())
            write_ar(sink, control=parts[0], data=parts[1:], suffix="xz", mtime=mtime)
        return path

    def _packed(self, entries: Sequence[Entry]) -> bytes:
        tar = io.BytesIO()
        write_tar(entries, mtime=int(self.date.timestamp()), sink=tar)
        return compress_whole(tar.getvalue() + END_OF_TAR, "xz")  # every dpkg reads it


def _with_folders(files: Sequence[Entry]) -> list[Entry]:
    """Put each folder before what lies in it."""
    folders = {str(folder) for file in files for folder in Path(file.path).parents}
    entries = {folder: Entry(folder) for folder in folders} | {file.path: file for file in files}
    return [entries[path] for path in sorted(entries, key=lambda path: path.removeprefix("."))]
