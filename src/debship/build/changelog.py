"""The changelog of a package (deb-changelog(5), Policy 4.4)."""

import datetime
import email.utils
import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from debship.build.history import Change
from debship.build.package import Package
from debship.build.plan import with_revision
from debship.errors import Misused
from debship.model import DebVersion
from debship.templates import render

_ENTRY = re.compile(r"(?P<name>[a-z0-9][a-z0-9+.-]+) \((?P<version>[^ ()]+)\) [^;\n]+; ")
_SUBJECTS = 50  # at most of a version


@dataclass(frozen=True, slots=True)
class Entry:
    """What is told of one version."""

    version: DebVersion
    lines: tuple[str, ...]
    date: str


def changelog(package: Package) -> str:
    """Write the changelog: the application's own where it is Debian's, else from git's tags.

    Raises:
        Misused: the application's own cannot be read.
    """
    plan = package.plan
    own = read_own(plan.app.changelog)
    match = _ENTRY.match(own)
    if match and match["version"] == str(package.version):
        return own
    values = {"package": package, "plan": plan, "entries": _entries(package, alone=bool(match))}
    text = render("package/changelog", values, overrides=plan.app.build.templates)
    return f"{text}\n{own}" if match else text


def upstream_changelog(package: Package) -> str | None:
    """Give the application's own changelog where it is not one of Debian's (Policy 12.7)."""
    own = read_own(package.plan.app.changelog)
    return own if own and not _ENTRY.match(own) else None


def read_own(path: Path | None) -> str:
    """Read the changelog that an application has; empty where it has none.

    Raises:
        Misused: it cannot be read.
    """
    if path is None:
        return ""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise Misused(f"app.changelog: {path}: {why}") from error


def _entries(package: Package, *, alone: bool) -> tuple[Entry, ...]:
    """Give the entries, newest first; ``alone``: none but that of this version."""
    plan = package.plan
    history = [*plan.history]
    here = f"{package.version.epoch}:" if package.version.epoch else ""
    upstream = f"{here}{package.version.upstream}"
    subjects: list[str] = []
    while history and history[0].upstream in (None, upstream):
        subjects += history.pop(0).subjects
    now = _date(package.date)
    first = Entry(package.version, _lines(subjects) or _built_from(package), now)
    older = () if alone else tuple(_entry(change, package) for change in history)
    return (first, *(entry for entry in older if entry.version < package.version))


def _entry(change: Change, package: Package) -> Entry:
    version = with_revision(change.upstream or "", package.plan.app, package.plan.release)
    date = _date(min(change.date, package.date))
    return Entry(version, _lines(change.subjects) or ("  * New version.",), date)


def _lines(subjects: Iterable[str]) -> tuple[str, ...]:
    shown = list(dict.fromkeys(subject for subject in subjects if subject))
    more = len(shown) - _SUBJECTS
    if more > 0:
        shown[_SUBJECTS:] = [f"And {more} more."]
    wrapped = (
        textwrap.wrap(
            subject,
            78,
            initial_indent="  * ",
            subsequent_indent="    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for subject in shown
    )
    return tuple(line for lines in wrapped for line in lines)


def _date(seconds: int) -> str:
    return email.utils.format_datetime(datetime.datetime.fromtimestamp(seconds, datetime.UTC))


def _built_from(package: Package) -> tuple[str, ...]:
    return (
        "  * Built from:",
        *(f"    - {dist.name} {dist.version}" for dist in package.dists),
    )
