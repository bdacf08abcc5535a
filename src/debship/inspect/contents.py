"""What is inside a .deb."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from debship.debian.archive import read_whole
from debship.debian.tarball import Member
from debship.inspect.units import UNIT, Unit, read_unit
from debship.inspect.wheels import PAPERS, Distribution, python_of, read_distributions
from debship.model import Deb

SCRIPTS = ("preinst", "postinst", "prerm", "postrm", "config")
_PYTHON = re.compile(r"(?:^|[\s,|])python(3\.[0-9]+)(?:-minimal)?(?=$|[\s,|(:])")
_OWN_FIELDS = ("package", "version", "architecture")
_UNIT_LIMIT = 1 << 18  # bytes of a unit file that are looked into


@dataclass(frozen=True, slots=True)
class Contents:
    """A package that was found sound, and what it says; nothing of it is believed.

    Attributes:
        fields: of its control file, by lower-case name.
        control: the members of control.tar by name; scripts, conffiles, md5sums, triggers.
        files: what it installs, by path without a leading slash; directories included.
        conffiles: absolute paths; such as are to be taken away are not among them.
        python: the minor version of Python that it is made for; None where it holds no modules.
    """

    deb: Deb
    fields: Mapping[str, str]
    control: Mapping[str, Member]
    files: Mapping[str, Member]
    conffiles: tuple[str, ...]
    units: tuple[Unit, ...]
    distributions: tuple[Distribution, ...]
    python: str | None

    @property
    def depends(self) -> tuple[str, ...]:
        """The relations in Depends and Pre-Depends."""
        text = ",".join(self.fields.get(name, "") for name in ("pre-depends", "depends"))
        relations = (" ".join(relation.split()) for relation in text.split(","))
        return tuple(dict.fromkeys(relation for relation in relations if relation))

    @property
    def scripts(self) -> tuple[str, ...]:
        """The maintainer scripts that it has; all of them run as root."""
        return tuple(name for name in SCRIPTS if name in self.control)

    def as_dict(self) -> dict[str, Any]:
        """Give what is to be known of it, for machines."""
        deb = self.deb
        shown = {name: text for name, text in self.fields.items() if name not in _OWN_FIELDS}
        return {
            "package": str(deb.package),
            "version": str(deb.version),
            "architecture": str(deb.architecture),
            "size": deb.size,
            "sha256": deb.sha256,
            "fields": shown,
            "python": self.python,
            "files": sum(member.kind != "5" for member in self.files.values()),
            "units": [
                {
                    "name": unit.name,
                    "path": f"/{unit.path}",
                    "commands": list(unit.commands),
                    "user": unit.user,
                    "ports": list(unit.ports),
                    "schedule": list(unit.schedule),
                }
                for unit in self.units
            ],
            "conffiles": list(self.conffiles),
            "scripts": {name: self.control[name].sha256 for name in self.scripts},
            "distributions": [
                {
                    "name": dist.name,
                    "version": dist.version,
                    "license": dist.license,
                    "tags": list(dist.tags),
                    "files": len(dist.files),
                    "size": dist.size,
                }
                for dist in self.distributions
            ],
        }


def read_contents(path: Path) -> Contents:
    """Read a package.

    Raises:
        Misused: there is no such file.
        Refused: it is no sound .deb, or there is more in it than one wants in memory.
    """
    whole = read_whole(path, _looked_into)
    files = {_plain(member.name): member for member in whole.data}
    control = {_plain(member.name): member for member in whole.control if member.kind == "0"}
    fields = whole.archive.fields
    depends = _PYTHON.search(fields.get("depends", ""))
    return Contents(
        deb=whole.archive.deb,
        fields=fields,
        control=control,
        files=files,
        conffiles=_conffiles(control.get("conffiles")),
        units=tuple(
            read_unit(name, member.content[:_UNIT_LIMIT], member.sha256)
            for name, member in sorted(files.items())
            if member.kind == "0" and UNIT.fullmatch(name)
        ),
        distributions=read_distributions(files),
        python=python_of(files) or (depends[1] if depends else None),
    )


def _looked_into(name: str) -> bool:
    return bool(PAPERS.fullmatch(name) or UNIT.fullmatch(name))


def _plain(name: str) -> str:
    """Give a member's path without ``./`` before it and ``/`` after it."""
    path = str(PurePosixPath(name))
    return path if path != "." else ""


def _conffiles(member: Member | None) -> tuple[str, ...]:
    """Read the list; lines with a flag, such as remove-on-upgrade, name no file of the package."""
    text = member.content.decode(errors="replace") if member else ""
    return tuple(line.strip() for line in text.splitlines() if line.startswith("/"))
