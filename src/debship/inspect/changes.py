"""Things with names that came, went, or changed between two packages."""

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from debship.debian.tarball import Member
from debship.inspect.contents import Contents

_LINES = 400  # of a text of which it is shown what changed; difflib's time grows with their square
_COLUMNS = 400


@dataclass(frozen=True, slots=True)
class Change:
    """Something that is in both packages, and not the same.

    Attributes:
        before, after: of a field its value, of a file what of it changed; empty for "contents".
        lines: those that were taken away and added, with - and + before them; for short texts.
    """

    name: str
    before: str = ""
    after: str = ""
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Changes:
    """Things with names that came, went, or changed; each sorted by name."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[Change, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.added or self.removed or self.changed)

    def as_dict(self) -> dict[str, Any]:
        """Give it for machines."""
        changed = [
            {
                key: value
                for key, value in (
                    ("name", change.name),
                    ("before", change.before),
                    ("after", change.after),
                    ("lines", list(change.lines)),
                )
                if value
            }
            for change in self.changed
        ]
        return {"added": list(self.added), "removed": list(self.removed), "changed": changed}


def changed_names(before: Iterable[str], after: Iterable[str]) -> Changes:
    """Tell which names came and which went."""
    one, two = set(before), set(after)
    return Changes(tuple(sorted(two - one)), tuple(sorted(one - two)))


def changed_files(
    before: Contents,
    after: Contents,
    mine: Iterable[str],
    theirs: Iterable[str],
    texts: Callable[[Contents], Mapping[str, str]] | None = None,
) -> Changes:
    """Compare files.

    Args:
        before, after: the packages.
        mine, theirs: the paths in each that are compared.
        texts: gives the texts of those whose lines are to be told, by path.
    """
    names = changed_names(mine, theirs)
    both = sorted({*theirs} & {*mine})
    pairs = ((path, before.files.get(path), after.files.get(path)) for path in both)
    changed = []
    for path, one, two in pairs:
        if one is None or two is None:  # a conffile that is listed and not shipped
            continue
        was, now = _described(one, two)
        if one.sha256 != two.sha256 or was != now:
            lines = changed_lines(texts(before)[path], texts(after)[path]) if texts else ()
            changed.append(Change(path, was, now, lines))
    return Changes(names.added, names.removed, tuple(changed))


def _described(one: Member, two: Member) -> tuple[str, str]:
    """Say what beside its contents changed of a file: kind, target, mode, owner."""
    sides: list[tuple[str, str]] = []
    if one.kind != two.kind or one.link != two.link:
        sides.append((_kind(one), _kind(two)))
    elif one.kind != "2" and one.mode != two.mode:  # the mode of a link means nothing
        sides.append((f"{one.mode:04o}", f"{two.mode:04o}"))
    if one.owner != two.owner:
        sides.append((one.owner, two.owner))
    return " ".join(side[0] for side in sides), " ".join(side[1] for side in sides)


def _kind(member: Member) -> str:
    kinds = {"0": "a file", "1": "a hard link to", "2": "a link to", "5": "a directory"}
    return f"{kinds.get(member.kind, 'a device')} {member.link}".rstrip()


def changed_lines(before: str, after: str) -> tuple[str, ...]:
    """Give the lines that changed of two short texts; none where they are long."""
    one, two = before.splitlines(), after.splitlines()
    if max(len(one), len(two)) > _LINES or max(map(len, (*one, *two)), default=0) > _COLUMNS:
        return ()
    return tuple(_changed(difflib.unified_diff(one, two, n=0, lineterm="")))


def _changed(lines: Iterator[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        if number >= 2 and not line.startswith("@@"):  # the first two name the files
            yield line
