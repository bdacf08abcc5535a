"""What builds wheels, such as setuptools: downloaded like all else, by its hash or not at all."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from debship.build.lock import Lock, all_lines, check_requirements, check_there, pylock_table
from debship.build.lock_file import lock_table
from debship.config.app import App

FILE = "build-requirements.txt"
_PINNED = re.compile(r"[A-Za-z0-9][\w.-]*\s*(\[[^]]*\])?\s*(==|@\s*\w+://).*--hash=")
_SELECTS = re.compile(r"\b(extras?|dependency_groups)\b")


class _Pin(NamedTuple):
    name: str
    version: str | None
    marker: str
    hashes: Collection[str]


def find_backends(app: App, files: frozenset[str]) -> Path | None:
    """Take the file that the application names, or the one that lies there.

    Returns:
        a requirements.txt with hashes; None where the lock itself has to name them.
    """
    if app.build.backends is not None:
        return app.build.backends
    return app.directory / FILE if FILE in files else None


def trusted_backends(named: Path | None, lock: Lock, folder: Path) -> Path:
    """Give a file that ``uv --build-constraints`` reads: what it does not name builds no wheel.

    Args:
        named: a requirements.txt of its own; None: all that the lock names, whichever group or
            extra it is in.
        lock: the application's.
        folder: where what is made of the lock goes.

    Raises:
        Misused: the lock is not of the form of one.
        Refused: something in it has no hash.
    """
    if named is not None:
        check_requirements(Lock(named, "requirements", named.with_suffix(".in").name), named)
        return named
    check_there(lock)
    if lock.kind == "requirements":
        # A path is no constraint, and uv would fetch or build what options and includes name.
        pinned = filter(_PINNED.match, all_lines(lock, lock.path))
        text = "".join(f"{line}\n" for line in pinned)
    elif lock.kind == "uv":
        text = "".join(_lines(_locked_by_uv(lock_table(lock.path))))
    else:
        text = "".join(_lines(_locked(pylock_table(lock, lock.path))))
    path = folder / FILE
    path.write_text(text, "utf-8")
    return path


def naming(backend: str, lock: Lock, named: Path | None, python: str) -> str:
    """Say how to name a backend with its hash.

    Args:
        backend: what a wheel is built with.
        lock: the application's.
        named: the file that names backends; None: the lock does.
        python: minor version of the release's Python; the oldest that the file has to suit.
    """
    if named is None and lock.kind == "uv":
        return f"uv add --group build {backend} (or name its hash in {FILE})"
    compiling = f"uv pip compile --universal --python-version {python} --generate-hashes"
    if named is None:
        return f"echo {backend} | {compiling} --output-file {FILE} -"
    source = named.with_suffix(".in").name
    return (
        f"write {backend} into {source}, beside all else that builds wheels; then: "
        f"{compiling} --output-file {named.name} {source}"
    )


def _locked(table: Mapping[str, Any]) -> Iterator[_Pin]:
    """Read a pylock.toml (PEP 751)."""
    for package in table.get("packages", []):
        files = [*package.get("wheels", [])]
        files += [package[key] for key in ("sdist", "archive") if key in package]
        hashes = {f"{kind}:{text}" for file in files for kind, text in file["hashes"].items()}
        yield _Pin(package["name"], package.get("version"), package.get("marker", ""), hashes)


def _locked_by_uv(table: Mapping[str, Any]) -> Iterator[_Pin]:
    """Read a uv.lock as it is: an export would be asked which of several groups that conflict."""
    for package in table.get("package", []):
        files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        hashes = {file["hash"] for file in files if "hash" in file}
        marker = " or ".join(f"({marker})" for marker in package.get("resolution-markers", []))
        yield _Pin(package["name"], package.get("version"), marker, hashes)


def _lines(pins: Iterable[_Pin]) -> Iterator[str]:
    for pin in pins:
        if pin.version is None or not pin.hashes:
            continue  # by path or by git: nothing that could be downloaded by its hash
        # Markers that ask for extras and groups mean nothing in a requirements.txt.
        marker = "" if _SELECTS.search(pin.marker) else pin.marker
        words = "".join(f" --hash={digest}" for digest in sorted(pin.hashes))
        yield f"{pin.name}=={pin.version}{' ; ' if marker else ''}{marker}{words}\n"
