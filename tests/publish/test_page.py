"""The page for people, in its bytes and in a real browser."""

import html
import json
import re
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from debship.errors import Failed
from debship.publish.history import rollback
from debship.publish.page import Section, days_of
from debship.publish.page_html import parse, render
from debship.publish.paths import PAGE
from debship.publish.promotion import Wish, promote
from debship.publish.recipe import publish
from debship.publish.release import Release
from debship.publish.suite import init
from debship.run import run
from publishing import served, settings

HOSTILE = '</script></pre><img src=x onerror="document.title=1">&amp;\u2028"\''
DATE = datetime(2026, 5, 1, 12, tzinfo=UTC)


def stanza(package: str, version: str, summary: str = "A package", arch: str = "amd64") -> bytes:
    return (
        f"Package: {package}\nVersion: {version}\nArchitecture: {arch}\nDescription: {summary}\n"
        f"Filename: pool/main/p/{package}_{version}_{arch}.deb\nSize: 1234567\nSHA256: {'0' * 64}\n"
    ).encode()


def section(*stanzas: bytes, days=None, date: datetime = DATE) -> Section:
    release = Release(settings(), date, {})
    return Section.of(release, "f" * 64, "KEY\n", stanzas, days or {})


def shown(publisher) -> dict[str, list[str]]:
    page = parse(publisher.store.read(PAGE).data)
    return {
        suite: [
            f"{app.name} {row.version} {row.architecture}" for app in it.apps for row in app.rows
        ]
        for suite, it in page.items()
    }


def test_it_is_written_as_it_was(golden) -> None:
    some = [
        stanza("auth", "1.0"),
        stanza("auth", "1.1~rc1+b2", "Signs people in"),
        stanza("web", "2"),
    ]
    page = {"production": section(*some), "staging": section()._replace(suite="staging")}
    text = render(page).decode()
    golden("publish/index.html", text)
    assert parse(text.encode()) == page
    assert render(parse(text.encode())) == text.encode()


def test_what_packages_say_of_themselves_stays_text() -> None:
    page = {"production": section(stanza("auth", "1.0", HOSTILE))._replace(origin=HOSTILE)}
    text = render(page).decode()
    assert "<img" not in text
    assert text.count("</script>") == 2
    assert parse(text.encode()) == page
    assert html.escape(HOSTILE.strip(), quote=False)[:20] in text


def test_nothing_is_fetched_from_elsewhere() -> None:
    text = render({"production": section(stanza("auth", "1.0"))}).decode()
    links = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert links == ["#production", "pool/main/p/auth_1.0_amd64.deb"]
    assert "default-src 'none'" in text
    assert "@import" not in text
    assert "url(" not in text


@pytest.mark.parametrize(
    "change",
    [
        {"v": 1},
        {"suites": [{}]},
        {"suites": [{"suite": 1}]},
        {"suites": None},
        ["x"],
    ],
)
def test_what_is_no_page_of_ours_is_made_anew(change) -> None:
    text = f'<script type="application/json" id="state">{json.dumps(change)}</script>'
    assert parse(text.encode()) is None
    assert parse(b"<html>") is None
    assert parse(b"") is None


@pytest.mark.parametrize(
    "row",
    [
        ["1", "amd64", "main", 1, "pool/x.deb", "yesterday"],
        ["1", "amd64", "main", "1", "pool/x.deb", "2026-01-01"],
        ["1", "amd64", "main", 1, "javascript:alert(1)", "2026-01-01"],
        ["1", "amd64", "main", 1, "pool/../x.deb", "2026-01-01"],
        ["<", "amd64", "main", 1, "pool/x.deb", "2026-01-01"],
        ["1", "amd64", "main", 1, "pool/x.deb"],
    ],
)
def test_a_row_that_cannot_be_is_no_page(row) -> None:
    good = render({"production": section(stanza("auth", "1.0"))}).decode()
    state = json.loads(re.search(r'id="state">(.*?)</script>', good)[1])
    state["suites"][0]["apps"][0][2] = [row]
    text = f'<script type="application/json" id="state">{json.dumps(state)}</script>'
    assert parse(text.encode()) is None


steps = st.lists(
    st.lists(
        st.tuples(st.sampled_from("abcde"), st.integers(1, 30), st.sampled_from(["i386", "all"])),
        min_size=1,
        max_size=6,
    ),
    min_size=1,
    max_size=8,
)


@examples(max_examples=20, deadline=None)
@given(steps)
def test_however_it_came_about_it_is_the_same(history) -> None:
    growing, days, everything = section(), {}, []
    for day, some in enumerate(history):
        release = Release(settings(), DATE + timedelta(days=day), {})
        fresh = [stanza(name, f"{v}", f"{name} {v}", arch) for name, v, arch in some]
        new = [text for text in fresh if text not in everything]
        growing = growing.extended(release, f"{day}", new, days)
        everything += new
        days = {**days, **days_of({"production": growing})}
        for text in new:
            path = text.decode().split("Filename: ")[1].split("\n")[0]
            days.setdefault(path, release.date.date().isoformat())
        assert render({"production": growing}) == render(
            {"production": Section.of(release, f"{day}", "KEY\n", everything, days)}
        )


def test_of_very_many_those_that_changed_last_are_shown() -> None:
    old = [stanza(f"old{number}", "1") for number in range(500)]
    growing = section(*old)
    assert growing.whole
    later = Release(settings(), DATE + timedelta(days=1), {})
    growing = growing.extended(later, "x", [stanza("new", "1")], {})
    assert (len(growing.apps), growing.whole) == (500, False)
    assert "new" in [app.name for app in growing.apps]
    assert b"The packages that changed last" in render({"production": growing})


class TestLife:
    def test_every_publication_is_shown(self, publisher, memory, debs) -> None:
        init(publisher, settings("staging"))
        first = publish(publisher, "staging", [debs(version="1.0")]).publication
        publish(publisher, "staging", [debs(version="1.1"), debs("doc", "1", "all")])
        promote(publisher, [Wish("auth", "1.0")], source="staging", target="production")
        assert shown(publisher) == {
            "production": ["auth 1.0 amd64"],
            "staging": ["auth 1.1 amd64", "auth 1.0 amd64", "doc 1 all"],
        }
        grown = memory.read(PAGE).data
        memory.delete(PAGE)
        publish(publisher, "staging", [debs(version="1.1")])
        assert memory.read(PAGE).data == grown
        rollback(publisher, "staging", first.id)
        assert shown(publisher)["staging"] == ["auth 1.0 amd64"]

    def test_a_page_that_fails_is_no_failed_publication(self, publisher, memory, debs) -> None:
        said = []

        def full(path: str) -> None:
            if path == PAGE:
                raise Failed("no space left")

        memory.before_write = full
        loud = publisher._replace(say=said.append)
        assert publish(loud, "production", [debs()]).publication.changed
        assert "no space left" in said[-1]
        memory.before_write = lambda path: None
        publish(publisher, "production", [debs("web")])
        assert shown(publisher) == {"production": ["auth 1.0 amd64", "web 1.0 amd64"]}

    def test_a_suite_that_cannot_be_read_does_not_hide_the_others(self, publisher, memory, debs):
        init(publisher, settings("broken"))
        memory.write("dists/broken/InRelease", b"nothing")
        memory.delete(PAGE)
        publish(publisher, "production", [debs()])
        assert shown(publisher) == {"production": ["auth 1.0 amd64"]}

    def test_a_page_that_somebody_else_wrote_is_not_kept(self, publisher, memory, debs) -> None:
        memory.write(PAGE, b"hello")
        publish(publisher, "production", [debs()])
        assert shown(publisher) == {"production": ["auth 1.0 amd64"]}


# Looks at the page as a person does, from a page of the same origin; writes down what it sees.
LOOKING = """<!doctype html><body><pre id="seen"></pre><script>
const widths = [360, 1200], seen = {};
const frame = (width) => new Promise((done) => {
  const it = document.createElement("iframe");
  it.style = `width: ${width}px; height: 900px; border: 0`;
  it.onload = () => done(it);
  it.src = "index.html";
  document.body.append(it);
});
const visible = (page, query) => [...page.querySelectorAll(query)].filter((it) => it.checkVisibility());
(async () => {
  for (const width of widths) {
    const it = await frame(width), page = it.contentDocument;
    const look = seen[width] = {};
    look.wide = page.documentElement.scrollWidth;
    look.source = page.querySelector("pre").textContent;
    look.tabs = visible(page, "nav a").map((tab) => tab.textContent);
    look.suites = visible(page, ".suite").map((suite) => suite.dataset.suite);
    look.names = visible(page, ".name").map((name) => name.textContent);
    look.title = page.title;
    const search = visible(page, ".search")[0];
    search.value = "EVIL 1.0";
    search.dispatchEvent(new Event("input"));
    look.found = visible(page, ".name").map((name) => name.textContent);
    search.value = "nothing like it";
    search.dispatchEvent(new Event("input"));
    look.none = visible(page, ".none").length;
    search.value = "";
    search.dispatchEvent(new Event("input"));
    visible(page, "summary")[0].click();
    look.links = visible(page, ".rows a").map((link) => link.href);
    it.contentWindow.location.hash = "staging";
    await new Promise((done) => setTimeout(done, 50));
    look.then = visible(page, ".suite").map((suite) => suite.dataset.suite);
  }
  document.getElementById("seen").textContent = JSON.stringify(seen);
})();
</script>"""


def chromium(*words: str) -> str:
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
    return run(["chromium", *options, *words], timeout=120).text


def corner(picture: Path) -> tuple[int, ...]:
    """Read the first pixel of a PNG; no filter changes it (PNG specification, 9.2)."""
    data = picture.read_bytes()
    at = data.index(b"IDAT") + 4
    return tuple(zlib.decompressobj().decompress(data[at:], 4)[1:4])


@pytest.mark.acceptance
def test_a_browser_shows_it(publisher, memory, debs, tmp_path) -> None:
    evil = "Homepage: javascript:document.title=1\n"
    publish(
        publisher, "production", [debs("evil", more=evil), debs("auth"), debs(version="0.9~rc1")]
    )
    init(publisher, settings("staging"))
    data = memory.read(PAGE).data.replace(b"a package for tests", html.escape(HOSTILE).encode())
    (tmp_path / PAGE).write_bytes(data)
    (tmp_path / "looking.html").write_text(LOOKING)
    with served(tmp_path) as (url, asked):
        dom = chromium("--virtual-time-budget=5000", "--dump-dom", f"{url}/looking.html")
        seen = json.loads(html.unescape(re.search(r'id="seen">(.*?)</pre>', dom, re.S)[1]))
        colours = {}
        for name, scheme in (("light", "1"), ("dark", "0")):
            picture = tmp_path / f"{name}.png"
            chromium(
                f"--blink-settings=preferredColorScheme={scheme}",
                "--window-size=800,600",
                f"--screenshot={picture}",
                f"{url}/{PAGE}",
            )
            colours[name] = corner(picture)
    for width, look in seen.items():
        assert look["wide"] <= int(width)
        assert f"\nURIs: {url}\nSuites: production\n" in look["source"]
        assert look["source"].startswith(
            "sudo tee /etc/apt/sources.list.d/example-production.sources"
        )
        assert look["tabs"] == ["production", "staging"]
        assert (look["suites"], look["then"]) == (["production"], ["staging"])
        assert look["names"] == ["auth", "evil"]
        assert look["title"] == "Example: Debian packages"
        assert (look["found"], look["none"]) == (["evil"], 1)
        assert look["links"][0] == f"{url}/pool/main/a/auth/auth_1.0_amd64.deb"
    assert min(colours["light"]) > 200
    assert max(colours["dark"]) < 60
    assert {path.split("?")[0] for path in asked} <= {f"/{PAGE}", "/looking.html", "/favicon.ico"}


@pytest.mark.acceptance
def test_the_block_to_copy_is_what_apt_wants(publisher, memory, debs, tmp_path) -> None:
    publish(publisher, "production", [debs()])
    for path, (data, _) in memory.objects.items():
        file = tmp_path / "repository" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    from debship.publish.check import Wanted, check

    text = html.unescape(
        re.search(r"<pre[^>]*>(.*?)</pre>", (tmp_path / "repository" / PAGE).read_text(), re.S)[1]
    )
    sources = text.split("<<'EOF'\n")[1].split("EOF\n")[0]
    url = (tmp_path / "repository").as_uri()
    sources = re.sub(r'<span class="url">.*?</span>', url, sources)
    check(sources, [Wanted("auth", "1.0", "amd64")], run)
