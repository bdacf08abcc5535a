"""The page for people: what a repository holds, and how a host reads it.

One file, and its own state: the data that it was made from lies inside of it, so that a publisher
renews one suite from the page alone, whatever the number of packages and of other suites. What it
shows is a guide; what hosts believe is signed.
"""

import itertools
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Self

from debship.model import DebVersion
from debship.publish.index import Key, key_of, place_of
from debship.publish.release import Release

_APPS = 500  # those that changed last are shown; it is written with every publication
_VERSIONS = 10  # of each, the newest
_SUMMARY = re.compile(rb"^Description:[ \t]*([^\n]*)", re.M | re.I)


class Row(NamedTuple):
    """One file of a package."""

    version: str
    architecture: str
    component: str
    size: int  # bytes
    path: str
    day: str  # when it came into the pool: 2026-11-24, UTC


class App(NamedTuple):
    """A package: what its newest version says of it, and its files, the newest first."""

    name: str
    summary: str
    rows: tuple[Row, ...]

    @property
    def day(self) -> str:
        """When it changed last."""
        return max(row.day for row in self.rows)


class Section(NamedTuple):
    """A suite as the page shows it.

    Attributes:
        publication: the id of what is shown.
        moment: its Date.
        key: the public keys that hosts shall trust, armored.
        whole: whether all packages are shown.
    """

    suite: str
    publication: str
    moment: str
    origin: str
    components: tuple[str, ...]
    architectures: tuple[str, ...]
    key: str
    apps: tuple[App, ...]
    whole: bool

    @classmethod
    def of(
        cls,
        release: Release,
        publication: str,
        key: str,
        stanzas: Iterable[bytes],
        days: Mapping[str, str],
    ) -> Self:
        """Make a suite's section anew.

        Args:
            release: of the suite.
            publication: its id.
            key: see the attribute.
            stanzas: all that are listed; one may come twice.
            days: when a file came into the pool, by its path.
        """
        settings = release.settings
        blank = cls(
            settings.suite, "", "", settings.origin, (), (), key.strip() + "\n", (), whole=True
        )
        return blank.extended(release, publication, stanzas, days)

    def extended(
        self,
        release: Release,
        publication: str,
        stanzas: Iterable[bytes],
        days: Mapping[str, str],
    ) -> Self:
        """Show the next publication: these stanzas more, and nothing less."""
        today = release.date.date().isoformat()
        known = {app.name: app for app in self.apps}
        fresh: dict[str, dict[Key, bytes]] = {}
        for stanza in stanzas:
            key = key_of(stanza)
            fresh.setdefault(key.package, {})[key] = stanza
        newest = sorted(
            {*known, *fresh},
            key=lambda name: (
                *_latest(known.get(name), fresh.get(name, {}).values(), days, today),
                name,
            ),
        )
        apps = [
            _app(name, known.get(name), fresh[name], days, today) if name in fresh else known[name]
            for name in sorted(newest[:_APPS])
        ]
        return self._replace(
            publication=publication,
            moment=f"{release.date:%Y-%m-%dT%H:%M:%SZ}",
            components=release.settings.components,
            architectures=release.settings.architectures,
            apps=tuple(apps),
            whole=self.whole and len(newest) <= _APPS,
        )


Page = Mapping[str, Section]


def _latest(
    app: App | None, stanzas: Iterable[bytes], days: Mapping[str, str], today: str
) -> tuple[int]:
    found = [days.get(place_of(stanza).filename, today) for stanza in stanzas]
    return (-int(max([*found, *([app.day] if app else [])]).replace("-", "")),)


def _app(
    name: str, app: App | None, fresh: Mapping[Key, bytes], days: Mapping[str, str], today: str
) -> App:
    rows = {(row.version, row.architecture, row.component): row for row in app.rows} if app else {}
    summaries: dict[Row, str] = {}
    for key, stanza in fresh.items():
        place = place_of(stanza)
        day = days.get(place.filename, today)
        component = place.filename.split("/")[1]
        row = Row(key.version, key.architecture, component, place.size, place.filename, day)
        rows[row[:3]] = row
        found = _SUMMARY.search(stanza)
        summaries[row] = found[1].decode(errors="replace").strip() if found else ""
    ordered = sorted(rows.values(), key=lambda row: row[1:])
    ordered.sort(key=lambda row: DebVersion(row.version), reverse=True)
    versions = itertools.groupby(ordered, key=lambda row: row.version)
    kept = tuple(row for _, some in itertools.islice(versions, _VERSIONS) for row in some)
    summary = summaries.get(kept[0], app.summary if app else "")
    return App(name, summary, kept)


def days_of(page: Page) -> dict[str, str]:
    """Give the days that a page knows, by path."""
    apps = (app for section in page.values() for app in section.apps)
    return {row.path: row.day for app in apps for row in app.rows}
