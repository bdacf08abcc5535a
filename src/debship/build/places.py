"""Where the files of a package lie: no two at one place, and none where a folder has to be."""

from collections.abc import Collection, Iterable

from debship.errors import Refused

_WAY_OUT = "give one of them another path"


def folders_above(paths: Iterable[str]) -> set[str]:
    """Give the folders that files lie in, and those that these lie in; paths are relative."""
    folders: set[str] = set()
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return folders


def check_places(paths: Iterable[str], before: Collection[str] = ()) -> None:
    """See that dpkg can unpack what a package holds.

    Args:
        paths: of all its files and links, and of what is written beside them later; without a
            leading slash.
        before: configuration files of earlier versions, which are gone from this one.

    Raises:
        Refused: two are at one place, or one is where another needs a folder; both are named.
    """
    files: set[str] = set()
    for path in paths:
        if "\n" in path:
            raise Refused(f"{path!r}: dpkg takes no name with a line break", "give it another name")
        if path in files:
            raise Refused(f"/{path} is in the package twice", _WAY_OUT)
        files.add(path)
    for outer, inner in _nested(files, files):
        raise Refused(f"/{outer} is a file of the package, and /{inner} would lie in it", _WAY_OUT)
    for outer, inner in _nested(before, files):
        raise Refused(
            f"/{outer} is a file where hosts have an earlier version, and /{inner} would lie in it",
            "give the new one another path",
        )
    for outer, inner in _nested(files, before):
        raise Refused(
            f"/{outer} is a folder where hosts have an earlier version: /{inner} lies in it",
            "give the new one another path",
        )


def _nested(outside: Collection[str], inside: Collection[str]) -> list[tuple[str, str]]:
    """Give files that others lie in, each with the first of those."""
    found = sorted(folders_above(inside).intersection(outside))
    return [(o, min(i for i in inside if i.startswith(f"{o}/"))) for o in found]


def check_taken(paths: Iterable[str], taken: Collection[str]) -> None:
    """See that a package writes over nothing of the system.

    dpkg refuses two packages that have one file, but not where one says /bin and the other
    /usr/bin, which are the same on hosts: it would put ours in the place of /bin/ls.

    Args:
        paths: absolute.
        taken: files of Debian's packages.

    Raises:
        Refused: one is there.
    """
    for path in paths:
        if not {path, path.removeprefix("/usr"), f"/usr{path}"}.isdisjoint(taken):
            raise Refused(f"{path} is Debian's own, on every host", "call it otherwise")
