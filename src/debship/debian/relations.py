"""Relations between packages, as Depends has them (Policy 7.1)."""

import re
from collections.abc import Iterable, Mapping

from debship.model import DebVersion

_FIELDS = (
    *("Depends", "Pre-Depends", "Recommends", "Suggests", "Enhances"),
    *("Conflicts", "Breaks", "Replaces", "Provides"),
)
# What both dpkg and apt read. Of older forms both take "<", ">" and a version alone; apt takes fewer
# than three characters in parentheses for an error, and dies of names without an end.
_ONE = re.compile(
    r"\s*(?P<name>[A-Za-z0-9][A-Za-z0-9+._-]{0,254})(?::[a-z0-9-]{1,64})?"
    r"(?:\s*\((?=[^)]{3})\s*(?P<how><<|<=|=|>=|>>|<|>)?"
    r"\s*(?:[0-9]{1,10}:)?[0-9][A-Za-z0-9.+~:-]{0,254}(?<!-)\s*\))?\s*"
)
_AT_LEAST = re.compile(r"(?P<name>[^\s(|]+) \(>= (?P<version>[^\s)]+)\)")


def strongest(relations: Iterable[str]) -> tuple[str, ...]:
    """Leave out what others imply, as dpkg-shlibdeps does: of two ``>=`` the lower, and doubles.

    Args:
        relations: each one element of a Depends, such as ``libc6 (>= 2.34)``.

    Returns:
        them, sorted.
    """
    least: dict[str, DebVersion] = {}
    rest = set()
    for relation in relations:
        match = _AT_LEAST.fullmatch(relation)
        if match is None:
            rest.add(relation)
            continue
        name, version = match["name"], DebVersion(match["version"])
        least[name] = max(version, least.get(name, version))
    bare = {relation for relation in rest if relation in least}
    return tuple(sorted({*(rest - bare), *(f"{n} (>= {v})" for n, v in least.items())}))


def unreadable(fields: Mapping[str, str]) -> str | None:
    """Find a relation that dpkg or apt cannot read: one in an index, and no host reads the rest.

    Args:
        fields: of a control paragraph, by lower-case name.

    Returns:
        what is wrong, or None.
    """
    for name in _FIELDS:
        value = fields.get(name.lower(), "")
        for relation in value.split(",") if value.strip() else ():
            if not _is_readable(relation, alternatives=name != "Provides"):
                shown = relation.strip()
                shown = f"{shown[:60]}..." if len(shown) > 60 else shown
                return f"{name} has {shown!r}, which is no relation that dpkg and apt read"
    return None


def _is_readable(relation: str, *, alternatives: bool) -> bool:
    found = [_ONE.fullmatch(one) for one in relation.split("|")]
    if alternatives:
        return all(found)
    return len(found) == 1 and found[0] is not None and found[0]["how"] in {None, "="}
