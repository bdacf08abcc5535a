"""The lock: every dependency, each with the hash of what may be downloaded."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from packaging.utils import canonicalize_name

from debship.build.lock_file import lock_table, lock_text, logical_lines, own_parts
from debship.build.uv import Uv
from debship.config.app import App
from debship.config.mistakes import found
from debship.config.toml import read_toml
from debship.errors import Failed, Misused, Refused
from debship.run import Word, without_passwords

Kind = Literal["uv", "pylock", "requirements"]

_PYLOCK = re.compile(r"pylock(\.[^.]+)?\.toml")  # PEP 751
INCLUDE = re.compile(r"(?:-r|--requirement|-c|--constraint)(?:\s+|=)(?P<path>.+)")
_REHASH = {
    "uv": "uv lock (a dependency by path or by git has no hash: publish it as a wheel)",
    "pylock": "uv pip compile --format pylock.toml --output-file {name} {source}",
    "requirements": "uv pip compile --generate-hashes --output-file {name} {source}",
}


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock file of a kind that uv reads."""

    path: Path  # absolute
    kind: Kind
    source: str = "pyproject.toml"  # what it is made from

    @property
    def hint(self) -> str:
        """The command that writes it with hashes."""
        return _REHASH[self.kind].format(name=self.path.name, source=self.source)

    def hint_for(self, python: str) -> str:
        """The command that writes it so that it suits a Python too; its minor version is given."""
        if self.kind == "uv":
            return f'requires-python = ">={python}" in pyproject.toml, then: uv lock'
        return f"{self.hint} --universal --python-version {python}"

    def hint_upgrading(self, pinned: str) -> str:
        """The command that locks another version of ``NAME`` or ``NAME==VERSION``."""
        name = pinned.partition("==")[0]
        command = "uv lock" if self.kind == "uv" else self.hint
        return f"another version of it may have one: {command} --upgrade-package {name}"


def find_lock(app: App, files: frozenset[str]) -> Lock:
    """Take the lock that the application names, or the first of those that there are.

    Raises:
        Refused: there is none; nothing is installed that no lock names.
        Misused: extras or groups are wanted, and a lock of its kind cannot tell them apart.
    """
    lock = _lock(app, files)
    wanted = "extras" if app.build.extras else "groups" if app.build.groups else None
    if wanted and lock.kind == "requirements":
        option = {"extras": "--extra", "groups": "--group"}[wanted]
        raise Misused(
            f"build.{wanted}: {lock.path.name} is one list: nothing in it tells {wanted} apart",
            f"leave {wanted} out, and put them into the list: {lock.hint} {option} NAME",
        )
    if app.build.groups and lock.kind == "pylock" and lock.path.name != "pylock.toml":
        raise Misused(
            f"build.groups: uv reads groups from pylock.toml alone, not from {lock.path.name}",
            "name the file pylock.toml, or lock what is wanted of it and leave groups out",
        )
    return lock


def check_lock(lock: Lock, app: App) -> None:
    """See what can be seen of a lock before anything is run or fetched.

    Raises:
        Refused: something in it has no hash; a uv.lock is not asked, for not all of it is installed.
        Misused: there is no such lock, it includes what is not there, or is of another form.
    """
    check_there(lock)
    if lock.kind == "requirements":
        check_requirements(lock, lock.path)
    elif lock.kind == "pylock":
        _check_pylock(lock, lock.path, app)


def locked(lock: Lock, app: App, folder: Path, uv: Uv) -> Path:
    """Give a file that ``uv pip sync --require-hashes`` reads.

    Args:
        lock: the application's lock.
        app: whose extras and groups a uv.lock is asked for.
        folder: where the export of a uv.lock goes: as pylock.toml, which keeps from which index
            each file comes.
        uv: how uv is run.

    Raises:
        Refused: something in the lock has no hash; the message names the first.
        Misused: there is no such lock, or it has no such extra or group.
    """
    check_lock(lock, app)
    if lock.kind != "uv":
        return lock.path
    exported = folder / "pylock.toml"
    settings = app.build
    words: tuple[Word, ...] = (
        *("export", "--frozen", "--format", "pylock.toml", "--output-file", exported),
        *("--no-emit-project", "--no-default-groups", "--no-header"),
        *(word for extra in settings.extras for word in ("--extra", extra)),
        *(word for group in settings.groups for word in ("--group", group)),
    )
    try:
        uv(*words, cwd=app.directory)
    except Failed:
        _check_parts(lock, app)
        raise
    _check_pylock(lock, exported)
    _check_exported(lock, exported)
    return exported


def identity(lock: Lock, app: App) -> tuple[str, ...]:
    """Give all that decides what ``locked`` names: two builds to which it is the same install the same.

    A project's version is not among it, for it decides nothing.

    Raises:
        Misused: there is no such lock, or it includes what is not there.
    """
    check_there(lock)
    settings = app.build
    words: tuple[str, ...] = (lock.kind, json.dumps([settings.extras, settings.groups]))
    if lock.kind == "requirements":
        return (*words, *all_lines(lock, lock.path))
    project = app.directory / "pyproject.toml"
    if lock.kind == "uv" and project.is_file():
        # Of several projects that share a lock, one is meant; uv's settings may leave some out.
        table = read_toml(project)
        name, settings = (_said(table, *path) for path in (("project", "name"), ("tool", "uv")))
        words += (json.dumps([name, settings], default=str),)
    return (*words, lock_text(lock.path))


def _said(table: dict[str, Any], *path: str) -> Any:
    return next((value for _, value in found(table, *path)), None)


def check_there(lock: Lock) -> None:
    """See that the lock exists.

    Raises:
        Misused: it does not.
    """
    if not lock.path.is_file():
        raise Misused(f"{lock.path}: there is no such lock", lock.hint)


def selection(lock: Lock, app: App) -> tuple[Word, ...]:
    """Give the words by which ``uv pip sync`` takes the wanted part of a pylock.toml.

    Without groups, those of its default-groups are taken (PEP 751).
    """
    if lock.kind != "pylock":
        return ()
    extras = (word for extra in app.build.extras for word in ("--extra", extra))
    return (*extras, *(word for group in app.build.groups for word in ("--group", group)))


def check_requirements(lock: Lock, path: Path, seen: frozenset[Path] = frozenset()) -> None:
    """See that each line of a requirements.txt, and of those that it includes, has a hash.

    Raises:
        Refused: one has none; the message names it.
        Misused: an included file is not there.
    """
    if not path.is_file():
        raise Misused(f"{lock.path}: it includes {path}, which is not there")
    for number, line in logical_lines(lock_text(path)):
        include = INCLUDE.fullmatch(line)
        if include is not None:
            inner = included(path, include["path"])
            if inner not in seen:
                check_requirements(lock, inner, seen | {path, inner})
        elif "--hash=" not in line and not _is_option(line):
            shown = without_passwords(line)
            raise Refused(f'{path}:{number}: "{shown}" has no hash', lock.hint)


def included(path: Path, other: str) -> Path:
    """Give the file that a line of a requirements.txt includes.

    Raises:
        Misused: it is none of this machine; the message hides who logs in there.
    """
    if "://" in other:
        raise Misused(
            f"{path}: it includes {without_passwords(other)}, which may be another tomorrow",
            "put the file beside this one, and include that",
        )
    return path.parent / other


def _lock(app: App, files: frozenset[str]) -> Lock:
    if app.build.lock is not None:
        return Lock(app.build.lock, _kind(app.build.lock.name))
    for name in ("uv.lock", "pylock.toml", "requirements.txt"):
        if name in files:
            return Lock(app.directory / name, _kind(name))
    raise Refused(
        f"{app.directory}: there is no uv.lock, pylock.toml or requirements.txt",
        "uv lock (or: uv pip compile --generate-hashes -o requirements.txt pyproject.toml)",
    )


def all_lines(lock: Lock, path: Path, seen: frozenset[Path] = frozenset()) -> Iterator[str]:
    """Give the lines of a requirements.txt, those of included files in their place.

    Raises:
        Misused: an included file is not there, or lies elsewhere.
    """
    if not path.is_file():
        raise Misused(f"{lock.path}: it includes {path}, which is not there")
    for _, line in logical_lines(lock_text(path)):
        include = INCLUDE.fullmatch(line)
        if include is None:
            yield line
        elif (inner := included(path, include["path"])) not in seen:
            yield from all_lines(lock, inner, seen | {path, inner})


def _kind(name: str) -> Kind:
    if name == "uv.lock":
        return "uv"
    return "pylock" if _PYLOCK.fullmatch(name) else "requirements"


def _is_option(line: str) -> bool:
    return line.startswith("-") and not line.startswith(("-e", "--editable"))


def _check_pylock(lock: Lock, path: Path, app: App | None = None) -> None:
    """See that every file in it has a hash, and that it knows the extras and groups wanted."""
    table = pylock_table(lock, path)
    if app is not None:
        _check_known(lock, "extras", app.build.extras, table.get("extras", []))
        _check_known(lock, "groups", app.build.groups, table.get("dependency-groups", []))


def pylock_table(lock: Lock, path: Path) -> dict[str, Any]:
    """Read a pylock.toml, which may be made of another lock.

    Raises:
        Misused: it is not of the form of a lock.
        Refused: a file in it has no hash.
    """
    table = lock_table(path)
    for key in ("lock-version", "created-by"):
        if not isinstance(table.get(key), str):
            raise Misused(f"{lock.path}: it has no {key}, as PEP 751 asks for", lock.hint)
    for package in table.get("packages", []):
        files = [*package.get("wheels", [])]
        files += [package[key] for key in ("sdist", "archive") if key in package]
        if not files or not all(file.get("hashes") for file in files):
            raise Refused(f'{lock.path}: "{package["name"]}" has no hash', lock.hint)
    return table


def _check_exported(lock: Lock, exported: Path) -> None:
    """See that the hashes are the lock's: of a local file, the export has what it hashes to now."""
    unhashed = {
        (package["name"], package.get("version"))
        for package in lock_table(lock.path).get("package", [])
        if not all("hash" in file for file in package.get("wheels", []))
    }
    for package in lock_table(exported).get("packages", []):
        if (package["name"], package.get("version")) in unhashed:
            raise Refused(f'{lock.path}: "{package["name"]}" has no hash', lock.hint)


def _check_parts(lock: Lock, app: App) -> None:
    """See that a uv.lock knows the extras and groups wanted."""
    extras, groups = own_parts(lock.path)
    _check_known(lock, "extras", app.build.extras, extras)
    _check_known(lock, "groups", app.build.groups, groups)


def _check_known(lock: Lock, kind: str, wanted: Sequence[str], known: Sequence[str]) -> None:
    for name in wanted:
        if canonicalize_name(name) not in {canonicalize_name(other) for other in known}:
            there = f"it has {', '.join(known)}" if known else f"it has no {kind} at all"
            raise Misused(f'build.{kind}: {lock.path.name} has no "{name}"; {there}')
