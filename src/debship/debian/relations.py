"""Relations between packages, as Depends has them (Policy 7.1)."""

import re
from collections.abc import Iterable

from debship.model import DebVersion

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
