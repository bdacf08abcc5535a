"""What an image must know of a .deb."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from debship.debian.archive import read_archive, read_files
from debship.debian.releases import Release, release_of_python
from debship.errors import Refused
from debship.image.unit import Unit, parse
from debship.model import Deb

_UNIT = re.compile(r"(?:usr/)?lib/systemd/system/[A-Za-z0-9:_.-]+@?\.(?:service|socket)")
_INSTANCE = re.compile(r"%([%i])")
_PYTHON = re.compile(r"(?:^|[\s,|])python(?P<minor>3\.[0-9]+)(?:-minimal)?(?=$|[\s,|(:])")


@dataclass(frozen=True, slots=True)
class Contents:
    """A package, the services in it, and its configuration.

    Attributes:
        units: of each service the text of its .service, and that of its .socket if there is one.
        dependencies: the package that holds them in the split layout; None where it has all.
        python: the minor version that it depends on; None where it depends on none.
        conffiles: absolute paths.
        date: seconds since 1970 that the package was built as of.
    """

    deb: Deb
    dependencies: Deb | None
    python: str | None
    units: Mapping[str, tuple[str, str | None]]
    conffiles: tuple[str, ...]
    date: int

    def service(self, name: str | None) -> Unit:
        """Find the service that the image is to run.

        Args:
            name: as the user says it; None takes the only one, or the one that bears the
                package's name.

        Raises:
            Refused: there is none of that name, or it is not clear which, or it cannot run in a
                container.
        """
        known = self.units
        wanted = name or (next(iter(known)) if len(known) == 1 else str(self.deb.package))
        if wanted in known:
            return parse(wanted, *known[wanted])
        if not known:
            raise Refused(
                f"{self.deb.path} has no service; an image needs one to run",
                "[[service]] in debship.toml says what starts it",
            )
        if name is None:
            raise Refused(f"{self.deb.path} has several services", f"--service {min(known)}")
        raise Refused(
            f'{self.deb.path} has no service "{name}"', f"it has: {', '.join(sorted(known))}"
        )

    @property
    def release(self) -> Release:
        """The release whose own Python it needs.

        Raises:
            Refused: it needs none, or one of no release.
        """
        found = release_of_python(self.python) if self.python else None
        if found is None:
            needs = f"needs Python {self.python}" if self.python else "depends on no python3.X"
            raise Refused(
                f"{self.deb.path} {needs}, so its release is not known",
                "name an image of its release: --base IMAGE",
            )
        return found


def read_contents(path: Path) -> Contents:
    """Read and check a package.

    Raises:
        Misused: there is no such file.
        Refused: it is not a sound .deb, or the package of its dependencies does not lie beside it.
    """
    archive = read_archive(path)
    depends = archive.fields.get("depends", "")
    python = _PYTHON.search(depends)
    return Contents(
        deb=archive.deb,
        dependencies=_dependencies(archive.deb, depends),
        python=python["minor"] if python else None,
        units=dict(_units(path)),
        conffiles=tuple(_conffiles(path)),
        date=_date(path),
    )


def _dependencies(deb: Deb, depends: str) -> Deb | None:
    """Find the package that no archive has yet: a build of the split layout writes it too."""
    name = re.search(rf"{re.escape(deb.package)}-deps-[0-9a-f]{{8}}(?= |,|$)", depends)
    if name is None:
        return None
    for beside in sorted(deb.path.parent.glob(f"{name[0]}_*.deb")):
        return read_archive(beside).deb
    raise Refused(
        f"{deb.path} needs {name[0]}, which does not lie beside it",
        f"put {name[0]}_*.deb into {deb.path.parent}: debship build writes both",
    )


def _units(path: Path) -> Iterator[tuple[str, tuple[str, str | None]]]:
    files = read_files(path, "data.tar", lambda name: bool(_UNIT.fullmatch(name)))
    texts = dict[str, str]()
    for name, content in sorted(files.items()):
        try:
            texts[PurePosixPath(name).name] = content.decode()
        except UnicodeDecodeError as error:
            raise Refused(f"{path}: {name} is not UTF-8") from error
    for file, text in texts.items():
        stem, _, kind = file.rpartition(".")
        if kind == "socket":
            continue
        socket = texts.get(f"{stem}.socket")
        if stem.endswith("@"):  # a container is one instance
            yield stem.removesuffix("@"), (_INSTANCE.sub(_first, text), socket)
        else:
            yield stem, (text, socket)


def _first(specifier: re.Match[str]) -> str:
    return "1" if specifier[1] == "i" else specifier[0]


def _conffiles(path: Path) -> Iterator[str]:
    files = read_files(path, "control.tar", lambda name: name == "conffiles")
    for line in files.get("conffiles", b"").decode(errors="replace").splitlines():
        if line.startswith("/"):  # others are flags, such as remove-on-upgrade (deb-conffiles(5))
            yield line


def _date(path: Path) -> int:
    """The time in the first member's header (ar(5)): dpkg-deb writes SOURCE_DATE_EPOCH there."""
    with path.open("rb") as file:
        return int(file.read(68)[24:36])
