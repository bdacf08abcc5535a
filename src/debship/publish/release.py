"""A suite's Release as a value: what it says of itself, and the hashes of its indices."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple, Self

from debship.debian import control
from debship.errors import Failed, Misused
from debship.model import Architecture
from debship.publish import date as dates

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]*")
_FILE = re.compile(r"([0-9a-f]{64}) +([0-9]+) +(\S+)")


class Checksum(NamedTuple):
    """What Release says of one file."""

    sha256: str
    size: int  # bytes


class Part(NamedTuple):
    """One index of a suite."""

    component: str
    architecture: str

    @property
    def folder(self) -> str:
        """Where it lies below ``dists/<suite>``."""
        return f"{self.component}/binary-{self.architecture}"


@dataclass(frozen=True, slots=True)
class Settings:
    """What stays the same from one publication to the next.

    apt refuses a repository whose origin, label, codename or priority changes under it.

    Raises:
        Misused: a value cannot stand in a Release.
    """

    suite: str
    codename: str
    origin: str
    label: str
    components: tuple[str, ...] = ("main",)
    architectures: tuple[str, ...] = ("amd64",)
    not_automatic: bool = False  # apt installs from it only where it is told to
    but_automatic_upgrades: bool = False
    contents: bool = False  # which package installs which path, for apt-file
    xz: bool = False  # beside gzip: a quarter less for hosts to fetch, and slower to publish

    def __post_init__(self) -> None:
        """Check all values."""
        for kind, words in (
            ("suite", (self.suite,)),
            ("codename", (self.codename,)),
            ("component", self.components),
        ):
            for word in words:
                if not _WORD.fullmatch(word) or word == "by-hash":  # which has its meaning to apt
                    raise Misused(f'"{word}" cannot be the name of a {kind}')
        for kind, text in (("origin", self.origin), ("label", self.label)):
            if not text.strip() or not text.isprintable():
                raise Misused(f'"{text}" cannot be the {kind} of a repository')
        for architecture in self.architectures:
            if Architecture(architecture) == "all":
                raise Misused('"all" is in every architecture\'s index; it has none of its own')

    @property
    def parts(self) -> tuple[Part, ...]:
        """All indices of the suite."""
        return tuple(Part(c, a) for c in self.components for a in self.architectures)

    def extended(self, parts: frozenset[Part]) -> Self:
        """Take in the components and architectures of these indices."""
        return replace(
            self,
            components=_with(self.components, {part.component for part in parts}),
            architectures=_with(self.architectures, {part.architecture for part in parts}),
        )


def slug(origin: str, suite: str) -> str:
    """Write origin and suite as a part of a file's name: ``example-production``."""
    return re.sub(r"[^a-z0-9]+", "-", f"{origin} {suite}".lower()).strip("-")


def _with(known: tuple[str, ...], more: set[str]) -> tuple[str, ...]:
    return (*known, *sorted(more - set(known)))


class Release(NamedTuple):
    """One Release file (https://wiki.debian.org/DebianRepository/Format)."""

    settings: Settings
    date: datetime  # UTC, whole seconds
    files: Mapping[str, Checksum]  # by path below dists/<suite>

    @property
    def packed(self) -> tuple[str, ...]:
        """The paths of all that hosts fetch by it; the uncompressed names are only named."""
        return tuple(path for path in self.files if path.endswith((".gz", ".xz")))

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Read one whose signature was verified.

        Raises:
            Failed: it is not a Release that debship wrote.
        """
        try:
            fields = control.fields(text)
            moment = dates.read(fields["date"])
            settings = Settings(
                suite=fields["suite"],
                codename=fields["codename"],
                origin=fields["origin"],
                label=fields["label"],
                components=tuple(fields["components"].split()),
                architectures=tuple(fields["architectures"].split()),
                not_automatic=fields.get("notautomatic") == "yes",
                but_automatic_upgrades=fields.get("butautomaticupgrades") == "yes",
                contents="/Contents-" in fields.get("sha256", ""),
                xz="/Packages.xz" in fields.get("sha256", ""),
            )
        except (KeyError, ValueError, Misused) as error:
            raise Failed(f"its Release cannot be read: {error}") from error
        found = _FILE.findall(fields.get("sha256", ""))
        files = {path: Checksum(sha256, int(size)) for sha256, size, path in found}
        return cls(settings, moment, files)

    def render(self) -> bytes:
        """Write it, with SHA256 alone: apt then asks for by-hash/SHA256 and nothing else."""
        known = self.settings
        lines = [
            f"Origin: {known.origin}",
            f"Label: {known.label}",
            f"Suite: {known.suite}",
            f"Codename: {known.codename}",
            f"Date: {dates.written(self.date)}",
            f"Architectures: {' '.join(known.architectures)}",
            f"Components: {' '.join(known.components)}",
            "Acquire-By-Hash: yes",
            *(["NotAutomatic: yes"] if known.not_automatic else []),
            *(["ButAutomaticUpgrades: yes"] if known.but_automatic_upgrades else []),
            "SHA256:",
            *(
                f" {self.files[path].sha256} {self.files[path].size} {path}"
                for path in sorted(self.files)
            ),
        ]
        return "".join(f"{line}\n" for line in lines).encode()
