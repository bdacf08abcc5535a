"""From the versions of Python and git to Debian's, in an order that dpkg agrees with."""

import re
from collections.abc import Collection

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from debship.errors import Misused

_DESCRIBED = re.compile(r"(?P<tag>.+)-(?P<commits>[0-9]+)-g(?P<hash>[0-9a-f]+)(?P<dirty>-dirty)?")
_OF_ALL = frozenset({"release", "releases", "version", "versions"})  # folders of tags


def from_pep440(text: str) -> str:
    """Translate a version of PEP 440 into the upstream part of a Debian version.

    ``~`` sorts before everything, even the end (Policy 5.6.12), so pre-releases take one, and a
    development release of nothing but a release takes two: it precedes the first alpha. Labels
    after ``+`` are compared as dpkg does, which differs from PEP 440 where a number meets a word.

    Args:
        text: the version as the wheel's metadata spells it.

    Returns:
        the upstream part, with an epoch where PEP 440 has one; a revision is still to be added.

    Raises:
        Misused: the text is not a version of PEP 440.
    """
    try:
        version = Version(text)
    except InvalidVersion as error:
        raise Misused(
            f'"{text}" is not a version as Python packages have them (PEP 440)'
        ) from error
    upstream = ".".join(str(number) for number in version.release)
    if version.pre is not None:
        upstream += f"~{version.pre[0]}{version.pre[1]}"
    if version.post is not None:
        upstream += f".post{version.post}"
    if version.dev is not None:
        plain = version.pre is None and version.post is None
        upstream += f"{'~~' if plain else '~'}dev{version.dev}"
    if version.local is not None:
        upstream += f"+{version.local}"
    return f"{version.epoch}:{upstream}" if version.epoch else upstream


def from_git_describe(text: str, names: Collection[str] = ()) -> str:
    """Translate what ``git describe --tags --long --dirty`` prints into an upstream part.

    ``v1.2-0-gab12cd3`` is ``1.2``; five commits later it is ``1.2+5.gab12cd3``, which sorts after
    ``1.2`` and before ``1.2.1``; a changed work tree adds ``.dirty``.

    Args:
        text: what git prints.
        names: as ``from_tag`` has them.

    Raises:
        Misused: the tag is not a version.
    """
    match = _DESCRIBED.fullmatch(text)
    tag = match["tag"] if match else text
    upstream = from_tag(tag, names)
    if match is None:
        return upstream
    extra = [match["commits"], f"g{match['hash']}"] if match["commits"] != "0" else []
    extra += ["dirty"] if match["dirty"] else []
    if not extra:
        return upstream
    return f"{upstream}{'.' if '+' in upstream else '+'}{'.'.join(extra)}"


def from_tag(tag: str, names: Collection[str] = ()) -> str:
    """Translate the name of a tag into an upstream part.

    Args:
        tag: such as ``v1.2``, ``release/v1.2``, ``auth/v1.2`` or ``auth-1.2``; a number in any
            other, such as ``deploy-20241130`` or another application's, is none of a version.
        names: what may stand before the number: the application's, its project's.

    Raises:
        Misused: the tag is not a version.
    """
    ours = {canonicalize_name(one) for one in names}
    try:
        return from_pep440(_number(tag, ours))
    except Misused as error:
        named = "".join(f", {one}-1.2.3" for one in sorted(ours))
        raise Misused(
            f'the git tag "{tag}" is not a version',
            f"tag a release as v1.2.3{named}, or write [app] version in debship.toml",
        ) from error


def _number(tag: str, ours: Collection[str]) -> str:
    """Take from a tag what is ours, or nobody's; a tag of another application stays whole."""
    folders, _, name = tag.rpartition("/")
    if folders and canonicalize_name(folders.rpartition("/")[2]) not in {*_OF_ALL, *ours}:
        return tag
    after = (
        name[dash.end() :]
        for dash in re.finditer("-(?=[vV]?[0-9])", name)
        if canonicalize_name(name[: dash.start()]) in ours
    )
    return next(after, name)
