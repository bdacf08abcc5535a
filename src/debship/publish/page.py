"""The page for people: what a repository holds, and how a host reads it.

One file, and its own state: the data that it was made from lies inside of it, so that a publisher
renews one suite from the page alone, whatever the number of packages and of other suites. What it
shows is a guide; what hosts believe is signed.
"""

import base64
import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self
from urllib.parse import quote

from debship import templates
from debship.errors import Misused
from debship.model import DebVersion
from debship.publish.index import Key, key_of, place_of
from debship.publish.release import Release
from debship.publish.store import checked

PAGE = "index.html"
_APPS = 1000  # those that changed last are shown
_VERSIONS = 10  # of each, the newest
_STATE = re.compile(rb'<script type="application/json" id="state">(.*?)</script>', re.S)
_SUMMARY = re.compile(rb"^Description:[ \t]*([^\n]*)", re.M | re.I)
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


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


@dataclass(frozen=True, slots=True)
class Section:
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
            _app(name, known.get(name), fresh.get(name, {}), days, today)
            for name in sorted(newest[:_APPS])
        ]
        return replace(
            self,
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


def parse(html: bytes) -> Page | None:
    """Read a page's state; None where it is no page of ours, whatever else it is."""
    try:
        (state,) = _STATE.findall(html)
        sections = [_section(value) for value in json.loads(state)["suites"]]
    except (ValueError, KeyError, TypeError, AttributeError, Misused):
        return None
    return {section.suite: section for section in sections}


def _section(value: Mapping[str, Any]) -> Section:
    return Section(
        suite=_text(value["suite"]),
        publication=_text(value["publication"]),
        moment=_text(value["moment"]),
        origin=_text(value["origin"]),
        components=tuple(map(_text, value["components"])),
        architectures=tuple(map(_text, value["architectures"])),
        key=_text(value["key"]),
        apps=tuple(
            App(_text(name), _text(summary), tuple(map(_row, rows)) or _none())
            for name, summary, rows in value["apps"]
        ),
        whole=value["whole"] is True,
    )


def _row(value: Sequence[object]) -> Row:
    version, architecture, component, size, path, day = value
    if not isinstance(size, int):
        raise ValueError(size)
    row = Row(_text(version), _text(architecture), _text(component), size, _text(path), _text(day))
    if not _DAY.fullmatch(row.day) or not checked(row.path).startswith("pool/"):
        raise ValueError(row)
    DebVersion(row.version)
    return row


def _none() -> tuple[Row, ...]:
    raise ValueError("a package without a file")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(value)
    return value


def render(page: Page) -> bytes:
    """Write the page: the same suites give the same bytes."""
    sections = [page[suite] for suite in sorted(page)]
    script = templates.render("index.js", {})
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    values = {
        "suites": [_shown(section) for section in sections],
        "titles": list(dict.fromkeys(section.origin for section in sections)),
        "state": {"suites": [_state(section) for section in sections]},
        "script": script,
        "digest": digest,
    }
    return templates.render("index.html.j2", values).encode()


def _state(section: Section) -> dict[str, Any]:
    return {name: getattr(section, name) for name in Section.__slots__}


def _shown(section: Section) -> dict[str, Any]:
    words = {
        "url": "\0",
        "suite": section.suite,
        "components": " ".join(section.components),
        "key": section.key.strip(),
    }
    head, tail = templates.render("repository.sources.j2", words).split("\0")
    slug = re.sub(r"[^a-z0-9]+", "-", f"{section.origin} {section.suite}".lower()).strip("-")
    return {
        "section": section,
        "head": head,
        "tail": tail,
        "file": f"/etc/apt/sources.list.d/{slug}.sources",
        "apps": [
            {"name": app.name, "summary": app.summary, "day": app.day, "rows": _rows(app)}
            for app in section.apps
        ],
    }


def _rows(app: App) -> list[dict[str, Any]]:
    return [{**row._asdict(), "href": quote(row.path), "size": _size(row.size)} for row in app.rows]


def _size(count: int) -> str:
    """Give bytes as people read them."""
    amount, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
