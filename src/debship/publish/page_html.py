"""The page as a file: HTML for people, and its own state inside of it."""

import base64
import functools
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from string import Template
from typing import Any
from urllib.parse import quote

from markupsafe import Markup, escape

from debship.errors import Misused
from debship.model import DebVersion, Size
from debship.publish.page import App, Page, Row, Section
from debship.publish.release import slug
from debship.publish.sources import sources_text
from debship.publish.store import checked
from debship.template_files import directory

_BEGIN, _END = b'<script type="application/json" id="state">', b"</script>"
_TAB = '<a href="#{href}" data-suite="{suite}">{suite}</a>'
_SUITE = """\
<section class="suite" id="{suite}" data-suite="{suite}">
<h2>Add {suite} to a host</h2>
<div class="block">
<pre tabindex="0">sudo tee {file} &gt;/dev/null &lt;&lt;'EOF'
{head}<span class="url">https://WHERE.THIS.PAGE/LIES</span>{tail}EOF
sudo apt-get update
</pre>
<button class="copy" type="button" hidden>Copy</button>
</div>
{packages}{part}
<footer class="soft small">
<p>{suite}: {components} for {architectures}, published {day} {time} UTC</p>
<p>Publication <code>{publication}</code></p>
</footer>
</section>"""
_APPS = """\
<input class="search" type="search" placeholder="Search packages, versions, descriptions" \
aria-label="Search {suite}" autocomplete="off" spellcheck="false" hidden>
<ul class="apps">
{apps}
</ul>
<p class="none soft" hidden>Nothing here fits.</p>"""
_NOTHING = Markup('<p class="soft">Nothing is published here yet.</p>')
_PART = Markup(
    '\n<p class="soft small">The packages that changed last. '
    "<code>apt list</code> on a host shows all of them.</p>"
)
_APP = """\
<li class="app"><details>
<summary>
<span class="name">{name}</span>
<span class="version">{version}</span>
<span class="about">{about}</span>
<time class="day" datetime="{day}">{day}</time>
</summary>
<table class="rows">
{rows}
</table>
</details></li>"""
_ROW = (
    '<tr><td><a href="{href}">{version}</a></td><td>{architecture}</td><td>{component}</td>'
    "<td>{size}</td><td>{day}</td></tr>"
)
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


def render(page: Page) -> bytes:
    """Write the page: the same suites give the same bytes.

    By hand, without Jinja: every publication writes it, and loading an engine would take a tenth
    of its time. Nothing of a package or a suite reaches the page but through ``_filled`` and
    ``_json``.
    """
    sections = [page[suite] for suite in sorted(page)]
    script = (directory() / "index.js").read_text(encoding="utf-8")
    frame = (directory() / "index.html").read_text(encoding="utf-8")
    values = {
        "title": ", ".join(dict.fromkeys(section.origin for section in sections)),
        "digest": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "tabs": _lines(
            _filled(_TAB, href=quote(section.suite), suite=section.suite) for section in sections
        ),
        "suites": _lines(map(_suite, sections)),
        "state": _json({"suites": [_state(section) for section in sections]}),
        "script": Markup(script),  # noqa: S704 - a file of ours
    }
    return Template(frame).substitute({name: escape(it) for name, it in values.items()}).encode()


def _state(section: Section) -> dict[str, Any]:
    return section._asdict()


def _suite(section: Section) -> Markup:
    head, tail = sources_text("\0", section.suite, section.components, section.key).split("\0")
    return _filled(
        _SUITE,
        suite=section.suite,
        file=f"/etc/apt/sources.list.d/{slug(section.origin, section.suite)}.sources",
        head=head,
        tail=tail,
        packages=_filled(_APPS, suite=section.suite, apps=_lines(map(_app, section.apps)))
        if section.apps
        else _NOTHING,
        part=Markup("") if section.whole else _PART,
        components=", ".join(section.components),
        architectures=", ".join(section.architectures),
        day=section.moment[:10],
        time=section.moment[11:16],
        publication=section.publication,
    )


def prepare(page: Page) -> None:
    """Write what the next page will have in common with this one, while others do the work."""
    for section in page.values():
        for app in section.apps:
            _app(app)


@functools.lru_cache(maxsize=2048)
def _app(app: App) -> Markup:
    newest = app.rows[0]
    return _filled(
        _APP,
        name=app.name,
        version=newest.version,
        about=app.summary,
        day=newest.day,
        rows=_lines(map(_line, app.rows)),
    )


def _line(row: Row) -> Markup:
    return _filled(
        _ROW,
        href=quote(row.path),
        version=row.version,
        architecture=row.architecture,
        component=row.component,
        size=str(Size(row.size)),
        day=row.day,
    )


def _lines(some: Iterable[Markup]) -> Markup:
    return Markup("\n").join(some)


def _filled(fragment: str, **values: str) -> Markup:
    """Fill a fragment in; a value that is no Markup is text, and is escaped."""
    text = fragment.format_map({name: _escaped(it) for name, it in values.items()})
    return Markup(text)  # noqa: S704 - each value was escaped


_escaped = functools.lru_cache(maxsize=4096)(escape)  # most of it is said in every row


def _json(value: object) -> Markup:
    """Write JSON that can stand inside of a script element, whatever it says."""
    text = json.dumps(value, sort_keys=True)
    for letter in "<>&'":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)  # noqa: S704 - nothing of it ends a script element or begins one
