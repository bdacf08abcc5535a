"""What a lock file says, seen to have the form that whoever reads it counts on."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from debship.config.mistakes import found
from debship.errors import Misused

_COMMENT = re.compile(r"(^|\s)#.*$")
_KEYS = ("packages", "package")  # of pylock.toml, and of uv.lock


def lock_text(path: Path) -> str:
    """Read a lock.

    Raises:
        Misused: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_bytes().decode().replace("\r\n", "\n")
    except OSError as error:
        raise Misused(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise Misused(f"{path}:{line}: not UTF-8", "write it anew as UTF-8") from error


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


def lock_table(path: Path) -> dict[str, Any]:
    """Read a pylock.toml or a uv.lock.

    Raises:
        Misused: it is no TOML, or not of the form of a lock; the message says where.
    """
    try:
        table = tomllib.loads(lock_text(path))
    except tomllib.TOMLDecodeError as error:
        raise Misused(f"{path}: {error}") from error
    for where, expected, value in _amiss(table):
        got = type(value).__name__
        raise Misused(f"{path}: {where}: expected {expected}, got {got}", "lock anew")
    return table


def own_parts(path: Path) -> tuple[list[str], list[str]]:
    """Give the extras and the groups that a uv.lock knows of the project itself.

    Raises:
        Misused: as ``lock_table``.
    """
    own = [
        package
        for package in lock_table(path).get("package", [])
        if {"virtual", "editable"} & set(package.get("source", {}))  # all else is of an index
    ]
    extras = [str(name) for _, name in found(own, "*", "metadata", "provides-extras", "*")]
    extras += _keys(own, "optional-dependencies")
    groups = [*_keys(own, "metadata", "requires-dev"), *_keys(own, "dev-dependencies")]
    return sorted(set(extras)), sorted(set(groups))


def _keys(packages: list[dict[str, Any]], *path: str) -> list[str]:
    tables = (table for _, table in found(packages, "*", *path) if isinstance(table, dict))
    return [key for table in tables for key in table]


def _amiss(table: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Give what is of another form: where, what was expected, what is there."""
    for key in ("extras", "dependency-groups"):
        if not _is_list(table.get(key, []), str):
            yield key, "a list of strings", table[key]
    for key in _KEYS:
        packages = table.get(key, [])
        if not _is_list(packages, dict):
            yield key, "a list of tables", packages
            continue
        for number, package in enumerate(packages):
            for inner, expected, value in _amiss_of(package):
                yield f"{key}[{number}].{inner}", expected, value


def _amiss_of(package: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    if not isinstance(package.get("name"), str):
        yield "name", "a string", package.get("name")
    for key in ("version", "marker"):
        if not isinstance(package.get(key, ""), str):
            yield key, "a string", package[key]
    wheels = package.get("wheels", [])
    if not _is_list(wheels, dict):
        yield "wheels", "a list of tables", wheels
        return
    if not _is_list(package.get("resolution-markers", []), str):
        yield "resolution-markers", "a list of strings", package["resolution-markers"]
    for key in ("sdist", "archive", "source"):
        if not isinstance(package.get(key, {}), dict):
            yield key, "a table", package[key]
    files = [*wheels, package.get("sdist", {}), package.get("archive", {})]
    for file in files:
        if isinstance(file, dict) and not isinstance(file.get("hashes", {}), dict):
            yield "hashes", "a table", file["hashes"]


def _is_list(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(item, kind) for item in value)
