"""The lock: every dependency, each with the hash of what may be downloaded."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from debship.build.uv import Uv
from debship.config.app import App
from debship.errors import Misused, Refused

Kind = Literal["uv", "pylock", "requirements"]

_PYLOCK = re.compile(r"pylock(\.[^.]+)?\.toml")  # PEP 751
_COMMENT = re.compile(r"(^|\s)#.*$")
INCLUDE = re.compile(r"(?:-r|--requirement|-c|--constraint)(?:\s+|=)(?P<path>.+)")
_REHASH = {
    "uv": "uv lock (a dependency by path or by git has no hash: publish it as a wheel)",
    "pylock": "uv pip compile --format pylock.toml --output-file {name} pyproject.toml",
    "requirements": "uv pip compile --generate-hashes --output-file {name} pyproject.toml",
}


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock file of a kind that uv reads."""

    path: Path  # absolute
    kind: Kind

    @property
    def hint(self) -> str:
        """The command that writes it with hashes."""
        return _REHASH[self.kind].format(name=self.path.name)


def find_lock(app: App, files: frozenset[str]) -> Lock:
    """Take the lock that the application names, or the first of those that there are.

    Raises:
        Refused: there is none; nothing is installed that no lock names.
    """
    if app.build.lock is not None:
        return Lock(app.build.lock, _kind(app.build.lock.name))
    for name in ("uv.lock", "pylock.toml", "requirements.txt"):
        if name in files:
            return Lock(app.directory / name, _kind(name))
    raise Refused(
        f"{app.directory}: there is no uv.lock, pylock.toml or requirements.txt",
        "uv lock (or: uv pip compile --generate-hashes -o requirements.txt pyproject.toml)",
    )


def locked(lock: Lock, app: App, folder: Path, uv: Uv) -> Path:
    """Give a file that ``uv pip sync --require-hashes`` reads.

    Args:
        lock: the application's lock.
        app: whose extras and groups a uv.lock is asked for.
        folder: where the export of a uv.lock goes.
        uv: how uv is run.

    Raises:
        Refused: something in the lock has no hash; the message names the first.
    """
    if not lock.path.is_file():
        raise Misused(f"{lock.path}: there is no such lock", lock.hint)
    if lock.kind == "pylock":
        _check_pylock(lock)
        return lock.path
    if lock.kind == "requirements":
        _check_requirements(lock, lock.path)
        return lock.path
    exported = folder / "requirements.txt"
    settings = app.build
    uv(
        *("export", "--frozen", "--format", "requirements-txt", "--output-file", exported),
        *("--no-emit-project", "--no-default-groups", "--no-header", "--no-annotate"),
        *(word for extra in settings.extras for word in ("--extra", extra)),
        *(word for group in settings.groups for word in ("--group", group)),
        cwd=app.directory,
    )
    _check_requirements(lock, exported)
    return exported


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be installed.

    Attributes:
        path: what ``uv pip sync`` is given.
        lines: everything that it says, that of included files too.
    """

    path: Path
    lines: tuple[str, ...]


def wanted(path: Path) -> Wanted:
    """Read what ``locked`` gave."""
    if _kind(path.name) == "pylock":
        return Wanted(path, tuple(path.read_text().splitlines()))
    return Wanted(path, tuple(_lines(path)))


def _lines(path: Path, seen: frozenset[Path] = frozenset()) -> Iterator[str]:
    for _, line in logical_lines(path.read_text()):
        include = INCLUDE.fullmatch(line)
        if include is None:
            yield line
        elif (inner := path.parent / include["path"]) not in seen:
            yield from _lines(inner, seen | {path, inner})


def _kind(name: str) -> Kind:
    if name == "uv.lock":
        return "uv"
    return "pylock" if _PYLOCK.fullmatch(name) else "requirements"


def _check_requirements(lock: Lock, path: Path, seen: frozenset[Path] = frozenset()) -> None:
    if not path.is_file():
        raise Misused(f"{lock.path}: it includes {path}, which is not there")
    for number, line in logical_lines(path.read_text()):
        include = INCLUDE.fullmatch(line)
        if include is not None:
            inner = path.parent / include["path"]
            if inner not in seen:
                _check_requirements(lock, inner, seen | {path, inner})
        elif "--hash=" not in line and not _is_option(line):
            where = f"{path}:{number}" if path == lock.path or seen else str(lock.path)
            raise Refused(f'{where}: "{line}" has no hash', lock.hint)


def _is_option(line: str) -> bool:
    return line.startswith("-") and not line.startswith(("-e", "--editable"))


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Join continued lines, drop comments; give each with the number of its first line."""
    start, held = 0, ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = _COMMENT.sub("", raw).rstrip()
        start = start or number
        if line.endswith("\\"):
            held += line[:-1] + " "
            continue
        whole = (held + line).strip()
        if whole:
            yield start, whole
        start, held = 0, ""
    if held.strip():
        yield start, held.strip()


def _check_pylock(lock: Lock) -> None:
    try:
        table = tomllib.loads(lock.path.read_text())
    except ValueError as error:
        raise Misused(f"{lock.path}: {error}") from error
    for package in table.get("packages", []):
        name = package.get("name", "a package without a name")
        files = [*package.get("wheels", [])]
        files += [package[key] for key in ("sdist", "archive") if key in package]
        if not files or not all(file.get("hashes") for file in files):
            raise Refused(f'{lock.path}: "{name}" has no hash', lock.hint)
