"""The report as a page: what a browser shows of it, and that it needs nothing from elsewhere."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from test_roll import Rig

from debship.deploy.page import page
from debship.deploy.report import HostReport, Outcome, RollReport

from fakes_fleet import Behaviour

STEPS = ("out", "drained", "installed", "configured", "restarted", "well", "back")
EVIL = "<script>document.title='taken'</script>"


def report(**changes) -> RollReport:
    hosts = tuple(
        HostReport(
            f"h{n}",
            Outcome.CHANGED,
            "1.0-1",
            "1.1-1",
            events=tuple((step, n * 3 + at * 0.4) for at, step in enumerate(STEPS)),
            calls=19,
        )
        for n in range(3)
    )
    last = replace(hosts[2], host="h9", outcome=Outcome.UNTOUCHED, events=(), after=None)
    values = {"stopped": "", "seconds": 9.0, "hosts": (*hosts, last), **changes}
    return RollReport("20260101-aa", "auth", "auth 1.1-1", "1.1-1", **values)


def bars(text: str) -> list[tuple[str, float, float]]:
    found = re.findall(r'<rect class="(\w+)" x="([\d.]+)" y="\d+" width="([\d.]+)"', text)
    return [(kind, float(x), float(width)) for kind, x, width in found]


def test_each_host_has_the_stretches_of_its_time_in_proportion() -> None:
    found = bars(page(report()))
    kinds = ["draining", "installing", "installing", "restarting", "proving", "returning"]
    assert [kind for kind, _, _ in found] == kinds * 3
    first, later = found[0], found[6]
    assert later[1] - first[1] == pytest.approx(3 / 9 * 790, abs=0.2)
    assert first[2] == pytest.approx(0.4 / 9 * 790, abs=0.2)


def test_it_asks_nobody_for_anything() -> None:
    text = page(report())
    assert not re.findall(r"<(script|link|img|iframe)|url\(|@import|https?://", text)


def test_what_others_wrote_is_text() -> None:
    text = page(report(stopped=EVIL, hosts=(replace(report().hosts[0], log=EVIL, host=EVIL),)))
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_a_roll_that_went_back_has_a_page_with_its_reason(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.hosts[0].behaviours["1.1-1"] = Behaviour(healthy=False)
    text = page(rig.deploy())
    assert "the budget is 0" in text
    assert "was not well within" in text
    assert text.count("<g data-host=") == 3


@pytest.mark.acceptance
def test_a_browser_draws_the_picture(tmp_path: Path) -> None:
    (tmp_path / "roll.html").write_text(page(report(stopped=EVIL)))
    options = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'c'}")
    words = ["chromium", *options, "--dump-dom", f"file://{tmp_path}/roll.html"]
    dom = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True).stdout
    assert "<title>auth 1.1-1: roll 20260101-aa</title>" in dom
    picture = tmp_path / "roll.png"
    shot = [*words[:5], "--window-size=1000,700", f"--screenshot={picture}", words[-1]]
    subprocess.run(shot, capture_output=True, timeout=120, check=True)
    assert len(colours(picture)) > 20


def colours(picture: Path) -> set[bytes]:
    """The colours of a picture's bytes, coarsely: an empty page has few."""
    import zlib

    data, found, at = picture.read_bytes(), b"", 8
    while at < len(data):
        size, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        found += data[at + 8 : at + 8 + size] if kind == b"IDAT" else b""
        at += size + 12
    pixels = zlib.decompress(found)
    return {pixels[n : n + 3] for n in range(0, len(pixels) - 3, 997)}
