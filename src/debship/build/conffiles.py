"""Configuration files that come, change, move and go between the last version and this one.

What an earlier package said of files that went away or moved is kept in the later ones: a host
may skip any version. The packages themselves are the memory, so nothing else must be kept.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from debship.config.app import App
from debship.debian.archive import read_archive, read_files
from debship.debian.releases import Release
from debship.errors import Misused, Refused
from debship.model import DebVersion

_HELPER = re.compile(
    r"^dpkg-maintscript-helper (?P<verb>mv|rm)_conffile (?P<old>\S+)(?: (?P<new>/\S+))? \S+ -- ",
    re.MULTILINE,
)
_REMOVED = "remove-on-upgrade "


@dataclass(frozen=True, slots=True)
class Previous:
    """The package that hosts have, as far as the next one must know it.

    Attributes:
        conffiles: that it ships, each with its MD5, as dpkg keeps them.
        gone: those that earlier ones shipped.
        moved: of those that moved, the old and the new path.
    """

    version: DebVersion
    conffiles: tuple[tuple[PurePosixPath, str], ...] = ()
    gone: tuple[PurePosixPath, ...] = ()
    moved: tuple[tuple[PurePosixPath, PurePosixPath], ...] = ()


@dataclass(frozen=True, slots=True)
class Conffiles:
    """What becomes of configuration files when a host gets this package.

    Attributes:
        shipped: in the package.
        gone: removed on upgrade; where an administrator edited one, it is kept beside it.
        moved: pairs of the old and the new path; edits move along.
        changed: shipped with other contents than the last version's.
        unknown: said to have moved, and no version before is known to have shipped it.
    """

    shipped: tuple[PurePosixPath, ...] = ()
    gone: tuple[PurePosixPath, ...] = ()
    moved: tuple[tuple[PurePosixPath, PurePosixPath], ...] = ()
    changed: tuple[PurePosixPath, ...] = ()
    unknown: tuple[PurePosixPath, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines of the control file (deb-conffiles(5))."""
        return (*map(str, self.shipped), *(f"{_REMOVED}{path}" for path in self.gone))

    def lines_for(self, release: Release) -> tuple[str, ...]:
        """Give the lines that a release's dpkg can read."""
        return self.lines if release.removes_conffiles else tuple(map(str, self.shipped))

    def helpers(self, version: DebVersion, release: Release) -> tuple[tuple[str, ...], ...]:
        """Give the words of each call of dpkg-maintscript-helper(1).

        They act on an upgrade from any version below this one: the helper looks by itself
        whether the old file is there and is the package's.
        """
        prior = f"{version}~"
        moves = tuple(("mv_conffile", str(old), str(new), prior) for old, new in self.moved)
        if release.removes_conffiles:
            return moves
        return (*moves, *(("rm_conffile", str(path), prior) for path in self.gone))

    @property
    def notes(self) -> tuple[str, ...]:
        """What who publishes the package should know."""
        return (
            *(f"{old} becomes {new} on upgrade, edits included" for old, new in self.moved),
            *(
                f"{path} is no longer shipped: an upgrade removes it, and keeps one that was "
                f"edited as {path}.dpkg-old"
                for path in self.gone
            ),
            *(
                f"the default of {path} changed: a host on which it was edited asks what to do "
                "(in a roll, it keeps its own)"
                for path in self.changed
            ),
            *(
                f"no earlier version is known to have shipped {path}: is moved_from misspelt?"
                for path in self.unknown
            ),
        )


def read_previous(path: Path, app: App) -> Previous:
    """Read the last package of an application.

    Raises:
        Misused: there is no such file.
        Refused: it is not a sound .deb, or it is another package.
    """
    deb = read_archive(path).deb
    if deb.package != app.name:
        raise Refused(f"{path} is {deb.package}, not {app.name}", "name an earlier package of it")
    control = read_files(path, "control.tar", lambda name: name in ("conffiles", "preinst"))
    lines = control.get("conffiles", b"").decode(errors="replace").splitlines()
    shipped = {line.removeprefix("/") for line in lines if line.startswith("/")}
    contents = read_files(path, "data.tar", lambda name: name in shipped)
    gone = [line.removeprefix(_REMOVED) for line in lines if line.startswith(_REMOVED)]
    calls = list(_HELPER.finditer(control.get("preinst", b"").decode(errors="replace")))
    gone += [call["old"] for call in calls if call["verb"] == "rm"]
    return Previous(
        deb.version,
        tuple((PurePosixPath("/", name), _md5(text)) for name, text in sorted(contents.items())),
        tuple(PurePosixPath(name) for name in sorted(gone)),
        tuple(
            (PurePosixPath(call["old"]), PurePosixPath(call["new"]))
            for call in calls
            if call["verb"] == "mv" and call["new"]
        ),
    )


def compare(app: App, previous: Previous | None) -> Conffiles:
    """Compare an application's configuration files with those that hosts have.

    A file that went is taken for moved where the application says so, or where another that is
    new has the same contents.

    Raises:
        Misused: a source cannot be read.
    """
    contents = {
        config.path: _md5(read_source(config.source))
        for config in app.configs
        if config.source is not None and not config.managed
    }
    declared = [(c.moved_from, c.path) for c in app.configs if c.moved_from is not None]
    shipped = tuple(sorted(contents))
    if previous is None:
        return Conffiles(shipped, moved=tuple(sorted(declared)))
    before = dict(previous.conffiles)
    # What the deploy writes from now on keeps its place.
    kept = {config.path for config in app.configs}
    carried = [(old, new) for old, new in previous.moved if new in contents and old not in kept]
    # Two moves into one place would lose what was edited in one of them.
    told = {path for move in declared for path in move}
    moves = dict([*_moves(before, contents, kept, told), *carried, *declared])
    gone = {*before, *previous.gone} - kept - set(moves)
    # What moved to a place that is no more, is no more.
    gone |= {old for old, new in previous.moved if new in gone and old not in kept}
    known = {*before, *previous.gone, *(old for old, _ in previous.moved)}
    return Conffiles(
        shipped,
        tuple(sorted(gone)),
        tuple(sorted(moves.items())),
        tuple(path for path in shipped if path in before and before[path] != contents[path]),
        tuple(sorted(old for old, _ in declared if old not in known)),
    )


def check_version(version: DebVersion, previous: Previous | None) -> None:
    """See that hosts would take this version for newer than what they have, or for the same.

    Raises:
        Refused: it sorts below the last one.
    """
    if previous is not None and version < previous.version:
        raise Refused(
            f"{version} sorts below {previous.version}, the last version: no host would take it",
            "raise the version; to go back, name it after both, such as "
            f"{previous.version.upstream}+really{version.upstream}, or --allow-older",
        )


def read_source(source: Path) -> bytes:
    """Read a configuration file of the application.

    Raises:
        Misused: it cannot be read.
    """
    try:
        return source.read_bytes()
    except OSError as error:
        raise Misused(f"config: {source}: {error.strerror}") from error


def _moves(
    before: Mapping[PurePosixPath, str],
    now: Mapping[PurePosixPath, str],
    kept: Collection[PurePosixPath],
    told: Collection[PurePosixPath],
) -> Iterable[tuple[PurePosixPath, PurePosixPath]]:
    """Find files that went, and came again elsewhere with the same contents, one for one.

    Those that the application itself says of where they come from or go to have no part in it.
    """
    went = {path: md5 for path, md5 in before.items() if path not in kept and path not in told}
    came = {path: md5 for path, md5 in now.items() if path not in before and path not in told}
    times = Counter(went.values()), Counter(came.values())
    for old, md5 in went.items():
        if md5 != _md5(b"") and times[0][md5] == times[1][md5] == 1:
            yield old, next(new for new, other in came.items() if other == md5)


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
