"""Machine code in wheels, and the Debian packages that it needs."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from debship.errors import Failed, Refused
from debship.run import Run

_FOUND = re.compile(r"Library (?P<library>\S+) found in ")
_MISSING = re.compile(r"cannot find library (?P<library>\S+) needed by (?P<user>\S+)")

# One source and one binary stanza: dpkg-shlibdeps reads no more of debian/control than that.
_CONTROL = (
    "Source: x\nMaintainer: x <x@localhost>\n\nPackage: x\nArchitecture: any\nDescription: x\n"
)


@dataclass(frozen=True, slots=True)
class Libraries:
    """What machine code needs.

    Attributes:
        relations: to Debian packages, as in Depends.
        names: of the libraries that it asks the loader for, wherever they are.
    """

    relations: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def machine_code(paths: Iterable[Path], interpreter: Path) -> tuple[Path, ...]:
    """Find the programs and shared objects that the interpreter's machine can load.

    Some wheels carry files for other machines as data; those need nothing here.
    """
    own = _identity(interpreter)
    return tuple(path for path in paths if own is not None and _identity(path) == own)


def shared_libraries(files: Iterable[Path], root: Path, folder: Path, run: Run) -> Libraries:
    """Ask dpkg-shlibdeps which packages hold the libraries that machine code needs.

    Args:
        files: ELF files below ``root``.
        root: what will be ``/`` on the hosts; a directory named DEBIAN is made in it, from which
            dpkg-shlibdeps knows what ``$ORIGIN`` of an RPATH means.
        folder: a new one to work in.
        run: the door.

    Raises:
        Refused: a library is in no package that is installed here.
    """
    words = [str(file) for file in sorted(files)]
    if not words:
        return Libraries()
    (root / "DEBIAN").mkdir(exist_ok=True)
    (folder / "debian").mkdir(parents=True)
    (folder / "debian/control").write_text(_CONTROL)
    try:
        done = run(
            ["dpkg-shlibdeps", "-v", "-O", "--ignore-missing-info", "--warnings=0", *words],
            cwd=folder,
            env={"LC_ALL": "C.UTF-8"},
        )
    except Failed as error:
        missing = _MISSING.search(error.message)
        if missing is None:
            raise
        user = missing["user"].removeprefix(str(root))
        raise Refused(
            f"{user} needs {missing['library']}, which is in no package installed here",
            "install the package that holds it, and name it under [build] needs",
        ) from error
    wrote, _, relations = done.text.partition("shlibs:Depends=")
    return Libraries(
        tuple(sorted(part.strip() for part in relations.split(","))) if relations else (),
        tuple(sorted(set(_FOUND.findall(wrote)))),
    )


def _identity(path: Path) -> tuple[bytes, bytes] | None:
    """Give an ELF file's class, byte order and machine (elf(5)); None where it is no such file."""
    with path.open("rb") as file:
        header = file.read(20)
    if header[:4] != b"\x7fELF" or len(header) < 20:
        return None
    order = "little" if header[5] == 1 else "big"
    kind = int.from_bytes(header[16:18], order)  # type: ignore[arg-type]
    return (header[4:6], header[18:20]) if kind in (2, 3) else None  # ET_EXEC, ET_DYN
