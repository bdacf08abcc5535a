"""Building once more, under other circumstances, and comparing every byte."""

import difflib
import filecmp
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from debship.errors import Failed
from debship.inspect.contents import read_contents
from debship.inspect.exact import exact_differences
from debship.run import Run

_NOBODY = 65534
_AS_NOBODY = ("setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups")
_UMASK = 'umask 0077 && exec "$@"'
_ZONE = "XXX-13:45"  # POSIX's way of naming one: no tzdata is asked for it
_MANY = 40  # lines of what differs in one file


@dataclass(frozen=True, slots=True)
class Circumstances:
    """How the second build is run.

    Attributes:
        words: what stands before the command.
        env: what is set, or taken away, in its environment.
        user: the number of the user that it runs as; None: the same.
        lent: files of this user that another may not read: where each is, and where it is put.
        told: in which ways it differs from the first, and in which it could not; for people.
    """

    words: tuple[str, ...]
    env: Mapping[str, str | None]
    user: int | None
    lent: tuple[tuple[Path, Path], ...]
    told: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """A file of the build, and where the second one differs; nowhere, as it should be."""

    name: str
    lines: tuple[str, ...]


def other_circumstances(
    folder: Path,
    environment: Mapping[str, str],
    *,
    date: int | None,
    nobody: bool,
    faketime: bool,
) -> Circumstances:
    """Decide how the second build will differ.

    Nothing that the first has kept is served to it: its caches are empty ones.

    Args:
        folder: an empty one, for its home, its temporary files and its caches.
        environment: of the first build.
        date: SOURCE_DATE_EPOCH that the first was given or took from git.
        nobody: whether it may be another user's.
        faketime: whether the clock can be turned.
    """
    home = Path(environment.get("HOME") or "/")
    env: dict[str, str | None] = {
        "HOME": str(folder / "home"),
        "USER": "somebody",
        "LOGNAME": "somebody",
        "TMPDIR": str(folder / ("a-longer-path-for-temporary-files" * 3)),
        "DEBSHIP_CACHE": str(folder / "cache"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "UV_CACHE_DIR": str(folder / "uv-cache"),
        "TZ": _ZONE,
        "LC_ALL": "C",
        "LANG": "C",
        "LANGUAGE": "tr",
        "PYTHONHASHSEED": "4321",
        "PYTHONPYCACHEPREFIX": str(folder / "pycache"),
        # Which index is asked, and with which password, is the same user's to say.
        "XDG_CONFIG_HOME": environment.get("XDG_CONFIG_HOME") or str(home / ".config"),
        "NETRC": environment.get("NETRC") or str(home / ".netrc"),
    }
    lent: list[tuple[Path, Path]] = []
    if nobody:
        lent = [
            (Path(env["NETRC"] or ""), folder / "home/.netrc"),
            (Path(env["XDG_CONFIG_HOME"] or "", "uv/uv.toml"), folder / "home/.config/uv/uv.toml"),
        ]
        env |= {"XDG_CONFIG_HOME": str(folder / "home/.config"), "NETRC": str(lent[0][1])}
    if date is not None:
        env["SOURCE_DATE_EPOCH"] = str(date)
    told = ["another folder", "another home", "umask 0077", "time zone +13:45", "locale C"]
    if environment.get("UV_OFFLINE"):
        env["UV_CACHE_DIR"] = environment.get("UV_CACHE_DIR")
        told.append("debship's cache empty, uv's the same (UV_OFFLINE)")
    else:
        told.append("empty caches")
    words = ["sh", "-c", _UMASK, "sh"]
    if nobody:
        words = [*_AS_NOBODY, *words]
        told.append("user nobody")
    else:
        told.append(
            "the same user (nobody builds where root does, without clean roots or --previous)"
        )
    if faketime:
        words += ["faketime", "--exclude-monotonic", "-f", "+1d"]
        told.append("a day later")
    else:
        told.append("the same day (apt-get install faketime changes it)")
    return Circumstances(tuple(words), env, _NOBODY if nobody else None, tuple(lent), tuple(told))


def can_be_nobody(run: Run) -> bool:
    """See whether this process may become nobody, and whether debship runs then."""
    if os.geteuid() != 0:
        return False
    try:
        words = [*_AS_NOBODY, sys.executable, "-c", "import debship.build.recipe"]
        return run(words, cwd=Path("/"), check=False).returncode == 0
    except Failed:
        return False


def build_again(
    source: Path,
    output: Path,
    folder: Path,
    circumstances: Circumstances,
    *,
    options: Sequence[str],
    cwd: Path,
    run: Run,
) -> Path:
    """Build a copy of the application, by a process of its own.

    Args:
        source: the application's folder.
        output: where the first build is; left out of the copy where it lies in it.
        folder: that the circumstances were made for.
        circumstances: how it is run.
        options: of ``debship build``.
        cwd: what relative paths among them are relative to.
        run: the door.

    Returns:
        the folder of what was built.

    Raises:
        Failed: it could not be built there.
    """
    copy, built = folder / "copy of the project", folder / "built"
    shutil.copytree(
        source, copy, symlinks=True, copy_function=shutil.copy, ignore=_left_out(output)
    )
    for name in ("HOME", "TMPDIR"):
        Path(circumstances.env[name] or "").mkdir()
    _lend(circumstances.lent)
    if circumstances.user is not None:
        _give(folder, circumstances.user)
    command = (sys.executable, "-m", "debship", "build", str(copy), "--output", str(built))
    try:
        run([*circumstances.words, *command, *options], cwd=cwd, env=circumstances.env)
    except Failed as error:
        raise Failed(
            f"the second build failed\n{error.message}",
            f"it is of a copy of {source}, which must build by itself; it had "
            + ", ".join(circumstances.told),
        ) from error
    finally:
        for _, there in circumstances.lent:
            there.unlink(missing_ok=True)
    return built


def compare(first: Path, second: Path, names: Sequence[str]) -> tuple[Finding, ...]:
    """Compare the files of two builds, by name, byte by byte; packages down to the file in them."""
    return tuple(Finding(name, tuple(_differing(first / name, second / name))) for name in names)


def _differing(one: Path, two: Path) -> Iterator[str]:
    if not two.is_file():
        yield "the second build has none"
        return
    if filecmp.cmp(one, two, shallow=False):
        return
    if one.suffix == ".deb":
        lines = exact_differences(read_contents(one), read_contents(two))
        yield from _few(lines or ("the same contents, compressed or dated another way",))
        return
    before, after = (path.read_text(errors="replace").splitlines() for path in (one, two))
    changed = list(difflib.unified_diff(before, after, n=0, lineterm=""))[2:]
    yield from _few([line for line in changed if not line.startswith("@@")])


def _few(lines: Sequence[str]) -> Iterator[str]:
    yield from lines[:_MANY]
    if len(lines) > _MANY:
        yield f"and {len(lines) - _MANY} more"


def _left_out(output: Path) -> Callable[[str, list[str]], list[str]]:
    """Leave out what was built, virtualenvs, and what is neither file, folder nor link."""

    def ignore(folder: str, names: list[str]) -> list[str]:
        paths = [Path(folder, name) for name in names]
        return [
            path.name
            for path in paths
            if path == output
            or (path / "pyvenv.cfg").is_file()
            or not any(kind(path.lstat().st_mode) for kind in _COPIED)
        ]

    return ignore


_COPIED = (stat.S_ISREG, stat.S_ISDIR, stat.S_ISLNK)


def _lend(files: Iterable[tuple[Path, Path]]) -> None:
    """Copy those that there are, for their next owner alone."""
    for mine, there in files:
        if mine.is_file():
            there.parent.mkdir(parents=True, exist_ok=True)
            there.touch(0o600)
            shutil.copyfile(mine, there)


def _give(folder: Path, user: int) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, user, follow_symlinks=False)
