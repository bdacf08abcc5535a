"""What is wrong with a file, all of it at once, each with its path and in our words."""

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from debship.errors import Misused

Loc = tuple[str | int, ...]
_LOGIN = re.compile(r"//[^/@\s]*@")


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong: where in the file, and what."""

    loc: Loc
    says: str

    def __str__(self) -> str:
        """Give the path as the file would spell it, and what is wrong there."""
        return f"{dotted(self.loc)}: {self.says}" if self.loc else self.says


def dotted(loc: Loc) -> str:
    """``("config", 0, "path")`` is ``config[0].path``; the first of a list is 0."""
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _bare(part) else json.dumps(part))
    return text


def raise_all(path: Path, mistakes: Sequence[Mistake], *, inside: Loc = ()) -> None:
    """Show every mistake of a file, if there is any.

    Args:
        path: the file.
        mistakes: what is wrong; of two at one place only the first is shown.
        inside: the table that the paths are relative to, such as ``tool.debship``.

    Raises:
        Misused: there is a mistake.
    """
    first = {mistake.loc: mistake for mistake in reversed(mistakes)}
    kept = [mistake for mistake in dict.fromkeys(mistakes) if first[mistake.loc] is mistake]
    if kept:
        lines = (f"{path.name}: {Mistake((*inside, *m.loc), m.says)}" for m in kept)
        raise Misused("\n".join(lines), f"the file is {path}")


def found(table: object, *path: str) -> Iterator[tuple[Loc, Any]]:
    """Give what stands at a path of what was read, valid or not, each with its place.

    Args:
        table: what was read.
        path: keys; ``*`` stands for every key of a table or every item of a list.
    """
    if not path:
        yield (), table
        return
    head, *rest = path
    for part, value in _children(table, head):
        for loc, leaf in found(value, *rest):
            yield (part, *loc), leaf


def repeated(places: Iterable[tuple[Loc, Any]]) -> Iterator[Mistake]:
    """Find what stands at more than one place."""
    seen: set[str] = set()
    for loc, value in places:
        if isinstance(value, str):
            if value in seen:
                yield Mistake(loc, f"{quoted(value)} was given before")
            seen.add(value)


def quoted(value: object) -> str:
    """Show a value as the file would, in brief."""
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if isinstance(value, str):
        return json.dumps(_LOGIN.sub("//[hidden]@", value), ensure_ascii=False)
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return str(value)  # a date or a time


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Name the nearest word, or all of them."""
    near = difflib.get_close_matches(word, known, n=1)
    if near:
        return f'did you mean "{near[0]}"?'
    return f"known: {', '.join(known)}"


def _children(table: object, head: str) -> Iterator[tuple[str | int, Any]]:
    if isinstance(table, Mapping):
        yield from table.items() if head == "*" else ((k, v) for k, v in table.items() if k == head)
    elif isinstance(table, list) and head == "*":
        yield from enumerate(table)


def _bare(part: str) -> bool:
    return bool(part) and all(c.isascii() and (c.isalnum() or c in "_-") for c in part)
