"""Machine code in wheels, and the Debian packages that it needs."""

import contextlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from debship.build.dists import is_shared_object
from debship.build.elf import identity
from debship.build.symbols import NotPlain, SystemLibraries
from debship.errors import Failed, Refused
from debship.run import Completed, Run, Word, failure

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
    own = identity(interpreter)
    return tuple(path for path in paths if own is not None and identity(path) == own)


def foreign_code(paths: Iterable[Path]) -> Path | None:
    """Find a shared object, where the interpreter's machine can load none of them."""
    return next((path for path in paths if is_shared_object(path.name) and identity(path)), None)


def shared_libraries(
    files: Iterable[Path],
    root: Path,
    folder: Path,
    run: Run,
    *,
    system: SystemLibraries,
    beside: Iterable[Path] = (),
    ignored: Collection[str] = (),
) -> Libraries:
    """Find which packages hold the libraries that machine code needs; dpkg-shlibdeps knows best.

    A library that another wheel brings, where the loader would not look, is taken as found: Python
    code loads it first.

    Args:
        files: ELF files below ``root``.
        root: what will be ``/`` on the hosts; a directory named DEBIAN is made in it, from which
            dpkg-shlibdeps knows what ``$ORIGIN`` of an RPATH means.
        folder: a new one to work in.
        run: the door.
        system: answers what is plain, and gives the same answers.
        beside: the other files of the package, some of which may be such libraries.
        ignored: sonames that may be in no package; nothing depends on them.

    Raises:
        Refused: a library is in no package that is installed here.
    """
    code = sorted(files)
    if not code:
        return Libraries()
    with contextlib.suppress(NotPlain):
        return Libraries(*system.needed_by(code, root))
    (root / "DEBIAN").mkdir(exist_ok=True)
    (folder / "debian").mkdir(parents=True)
    (folder / "debian/control").write_text(_CONTROL)
    done = _shlibdeps(code, folder, run)
    if done.returncode != 0:
        # A link by the library's name is all that dpkg-shlibdeps asks for: what is in no package
        # adds no relation, and any file of the same machine will do.
        stand_in = {path.name: path for path in (*beside, *code)}
        stand_in |= dict.fromkeys(ignored, code[0])
        _stand_in(_missing(done, root), stand_in, folder / "found")
        done = _shlibdeps(code, folder, run, f"-l{folder / 'found'}")
    if done.returncode != 0:
        raise Failed(failure(done))
    wrote, _, relations = done.text.partition("shlibs:Depends=")
    return Libraries(
        tuple(sorted(part.strip() for part in relations.split(","))) if relations else (),
        tuple(sorted(set(_FOUND.findall(wrote)))),
    )


def _shlibdeps(code: Sequence[Path], folder: Path, run: Run, *options: Word) -> Completed:
    words = ("dpkg-shlibdeps", "-v", "-O", "--ignore-missing-info", "--warnings=0", *options, *code)
    return run(words, cwd=folder, env={"LC_ALL": "C.UTF-8"}, check=False)


def _missing(done: Completed, root: Path) -> Mapping[str, str]:
    """Give each library that was not found, with the file that needs it.

    Raises:
        Failed: dpkg-shlibdeps complains of something else.
    """
    found = list(_MISSING.finditer(done.stderr.decode(errors="replace")))
    if not found:
        raise Failed(failure(done))
    return {match["library"]: match["user"].removeprefix(str(root)) for match in found}


def _stand_in(missing: Mapping[str, str], known: Mapping[str, Path], folder: Path) -> None:
    folder.mkdir()
    for library, user in missing.items():
        if library not in known:
            raise Refused(
                f"{user} needs {library}, which is in no package installed here",
                "install the package that holds it, and name it under [build] needs; one that "
                f'comes to the hosts by another way: [build] ignore_libraries = ["{library}"]',
            )
        (folder / library).symlink_to(known[library])
