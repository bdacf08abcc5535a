"""The page as a file: HTML for people, and its own state inside of it."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from debship.errors import Misused
from debship.model import DebVersion, Size
from debship.publish.page import App, Page, Row, Section
from debship.publish.release import slug
from debship.publish.store import checked

_BEGIN, _END = b'<script type="application/json" id="state">', b"</script>"
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def parse(html: bytes) -> Page | None:
    """Read a page's state; None where it is no page of ours, whatever else it is."""
    try:
        _, state = html.split(_BEGIN)
        sections = [_section(value) for value in json.loads(state.partition(_END)[0])["suites"]]
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


def prepare() -> None:
    """Make ready what a page is rendered with, while others wait for a store."""
    from debship import templates  # it takes a while to load, and who renders no page needs it not

    templates.prepare("index.html.j2")


def render(page: Page) -> bytes:
    """Write the page: the same suites give the same bytes."""
    from debship import templates

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
    from debship import templates

    words = {
        "url": "\0",
        "suite": section.suite,
        "components": " ".join(section.components),
        "key": section.key.strip(),
    }
    head, tail = templates.render("repository.sources.j2", words).split("\0")
    return {
        "section": section,
        "head": head,
        "tail": tail,
        "file": f"/etc/apt/sources.list.d/{slug(section.origin, section.suite)}.sources",
        "apps": [
            (app.name, app.summary, app.rows[0].version, app.rows[0].day, _rows(app))
            for app in section.apps
        ],
    }


def _rows(app: App) -> list[tuple[str, ...]]:
    return [
        (
            quote(row.path),
            row.version,
            row.architecture,
            row.component,
            str(Size(row.size)),
            row.day,
        )
        for row in app.rows
    ]
