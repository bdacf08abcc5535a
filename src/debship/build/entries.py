"""The entries of a lock: where one changed, it alone is installed."""

import datetime
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from debship.build.lock import INCLUDE
from debship.build.lock_file import lock_table, lock_text, logical_lines
from debship.build.origins import PINNED

# An option that names a folder, and not a URL.
_FOLDER = re.compile(r"(?m)^((?:--find-links|-f)[= ]\s*)((?![a-z]+:)\S+)$")


@dataclass(frozen=True, slots=True)
class Entries:
    """A lock that uv installs, part by part.

    Attributes:
        common: what each of them depends on besides itself: the options of a requirements.txt, all
            but the packages of a pylock.toml.
        texts: each, as the lock has it.
        projects: the normalised name of each.
        suffix: of a file that holds some of them.
        beside: the folder of the lock, which its options may name others from.
    """

    common: str
    texts: tuple[str, ...]
    projects: tuple[str, ...]
    suffix: str
    beside: Path

    def written(self, texts: Sequence[str], folder: Path) -> Path:
        """Write a lock of some of them alone."""
        if self.suffix == ".txt":
            path = folder / "requirements.txt"
            options = _FOLDER.sub(lambda m: f"{m[1]}{self.beside / m[2]}", self.common)
            path.write_text("\n".join((options, *texts)) + "\n", "utf-8")
            return path
        import tomli_w

        path = folder / "pylock.toml"
        packages = [json.loads(text) for text in texts]
        path.write_text(tomli_w.dumps({**json.loads(self.common), "packages": packages}), "utf-8")
        return path


def read_entries(path: Path) -> Entries | None:
    """Part a lock into its entries.

    Args:
        path: a requirements.txt or a pylock.toml, as ``uv pip sync`` reads it.

    Returns:
        None where they do not stand for themselves: some are files beside the lock, or in files
        that it includes, or several are of one project.
    """
    found = _of_pylock(path) if path.suffix == ".toml" else _of_requirements(path)
    if found is None or max(Counter(found.projects).values(), default=0) > 1:
        return None
    return found


def _of_requirements(path: Path) -> Entries | None:
    options, lines, names = [], [], []
    for _, line in logical_lines(lock_text(path)):
        if line.startswith("-"):
            if INCLUDE.fullmatch(line):
                return None
            options.append(line)
            continue
        match = PINNED.match(line)
        if match is None or not match["version"]:
            return None
        lines.append(line)
        names.append(canonicalize_name(match["name"]))
    return Entries("\n".join(options), tuple(lines), tuple(names), ".txt", path.parent)


def _of_pylock(path: Path) -> Entries | None:
    table = lock_table(path)
    packages: list[dict[str, Any]] = [_plain(package) for package in table.pop("packages", [])]
    if not all(map(_stands_alone, packages)):
        return None
    names = tuple(canonicalize_name(package["name"]) for package in packages)
    texts = tuple(json.dumps(package, sort_keys=True) for package in packages)
    return Entries(json.dumps(_plain(table), sort_keys=True), texts, names, ".toml", path.parent)


def _plain(table: Any) -> Any:
    """Leave dates out, which JSON does not have and uv asks for with --exclude-newer alone."""
    if isinstance(table, dict):
        plain = {name: _plain(value) for name, value in table.items()}
        return {name: value for name, value in plain.items() if value is not None}
    if isinstance(table, list):
        return [_plain(value) for value in table]
    return None if isinstance(table, datetime.date | datetime.time) else table


def _stands_alone(package: dict[str, Any]) -> bool:
    """Whether all its files are on an index."""
    files = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
    return bool(files) and "name" in package and all("url" in file for file in files)
