"""A build is done twice, under other circumstances, and compared to the last byte."""

import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sample import DATE, Sample

from debship.build.verify import build_again, compare, other_circumstances
from debship.cli.build import command
from debship.debian.releases import Release
from debship.errors import Failed
from debship.model import Deb
from debship.run import Completed, Word

FILE = """\
[app]
name = "tiny"
summary = "Service for tests"
maintainer = "Platform Team <platform@example.com>"
[build]
command = "{python} make.py"
[[service]]
exec = "tiny-web --port 8101"
port = 8101
"""

# Builds the wheel by rewriting one that lies there; it takes the tests' own helper for it.
MAKE = """\
import datetime, os, shutil, sys, time
sys.path[:0] = {path!r}
from pathlib import Path
from sample import make_wheel
seen = {{{seen}}}
shutil.rmtree("dist", ignore_errors=True)
files = {{f"tiny/{{name}}.txt": repr(value) for name, value in seen.items()}}
make_wheel(Path("dist"), "tiny", files=files, scripts=("tiny-web",), requires=("lib_a", "lib_b"))
"""


@pytest.fixture
def project(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    def make(seen: str) -> Path:
        folder = sample.app.directory
        monkeypatch.setenv("SOURCE_DATE_EPOCH", str(DATE))
        (folder / "debship.toml").write_text(FILE.format(python=sys.executable))
        (folder / "make.py").write_text(MAKE.format(path=sys.path, seen=seen))
        return folder

    return make


def _call(*words: object) -> str:
    called = CliRunner().invoke(command, [str(word) for word in words], catch_exceptions=False)
    return called.stdout


@pytest.mark.acceptance
def test_it_is_the_same_bytes_and_says_what_was_otherwise(
    project: Callable[[str], Path], tmp_path: Path
) -> None:
    folder, out = project(""), tmp_path / "out"
    text = _call(folder, "--output", out, "--verify")
    assert text.splitlines()[:3] == [
        "built twice, the same bytes:",
        "  tiny_1.0-1_all.deb",
        "  tiny_1.0-1_all.cdx.json",
    ]
    assert "umask 0077" in text
    assert "a day later" in text
    assert "user nobody" in text
    result = json.loads(_call(folder, "--output", out, "--verify", "--json"))["result"]
    assert sorted(result["verified"]["same"]) == sorted(path.name for path in out.iterdir())


SEEN = {
    "folder": "os.getcwd()",
    "umask": "os.umask(0)",
    "user": "os.getuid()",
    "zone": "time.tzname",
    "locale": "os.environ.get('LC_ALL')",
    "home": "os.path.expanduser('~')",
    "day": "str(datetime.date.today())",
    "nothing": "1",
}


@pytest.mark.acceptance
def test_what_the_build_takes_from_around_it_is_found(
    project: Callable[[str], Path], tmp_path: Path, release: Release
) -> None:
    folder = project(", ".join(f"{name!r}: {value}" for name, value in SEEN.items()))
    with pytest.raises(Failed) as caught:
        _call(folder, "--output", tmp_path / "out", "--verify")
    site = f"data.tar: usr/lib/tiny/lib/python{release.python}/site-packages"
    named = re.findall(rf"  {site}/tiny/(\w+)\.txt: contents", caught.value.message)
    assert set(named) == SEEN.keys() - {"nothing"}
    assert "lib_a" not in caught.value.message


@pytest.mark.acceptance
def test_a_folder_that_does_not_build_by_itself_is_told(
    project: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = project("")
    (tmp_path / "beside.txt").write_text("")
    make = (folder / "make.py").read_text()
    (folder / "make.py").write_text(f"open('../beside.txt')\n{make}")
    with pytest.raises(Failed, match=r"(?s)the second build failed.*beside\.txt") as caught:
        _call(folder, "--output", tmp_path / "out", "--verify")
    assert caught.value.hint
    assert "must build by itself" in caught.value.hint


def test_what_cannot_be_otherwise_is_said(tmp_path: Path) -> None:
    home = {"HOME": "/home/ann"}
    plain = other_circumstances(tmp_path, home, date=None, nobody=False, faketime=False)
    assert plain.words[:2] == ("sh", "-c")
    assert any(told.startswith("the same user") for told in plain.told)
    assert any(told.startswith("the same day") for told in plain.told)
    assert "SOURCE_DATE_EPOCH" not in plain.env
    full = other_circumstances(tmp_path, home, date=7, nobody=True, faketime=True)
    assert (full.words[0], full.user, full.env["SOURCE_DATE_EPOCH"]) == ("setpriv", 65534, "7")
    assert {"user nobody", "a day later", "empty caches"} <= set(full.told)


def test_nothing_that_was_kept_is_served_again(tmp_path: Path) -> None:
    seen = {"HOME": "/home/ann", "DEBSHIP_CACHE": "/var/cache/debship", "UV_CACHE_DIR": "/uv"}
    other = other_circumstances(tmp_path, seen, date=None, nobody=False, faketime=False)
    for name in ("DEBSHIP_CACHE", "UV_CACHE_DIR", "XDG_CACHE_HOME", "HOME", "TMPDIR"):
        assert Path(other.env[name] or "").is_relative_to(tmp_path)
    # The credentials for private indexes are where they were.
    assert other.env["XDG_CONFIG_HOME"] == "/home/ann/.config"
    offline = other_circumstances(
        tmp_path, {**seen, "UV_OFFLINE": "1"}, date=None, nobody=False, faketime=False
    )
    assert offline.env["UV_CACHE_DIR"] == "/uv"


def test_papers_are_compared_too(deb: Deb, tmp_path: Path) -> None:
    for path in deb.path.parent.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    names = sorted(path.name for path in tmp_path.iterdir())
    assert all(not finding.lines for finding in compare(deb.path.parent, tmp_path, names))
    info = tmp_path / "tiny_1.0-1_all.buildinfo"
    info.write_text(info.read_text().replace(" dash (=", " dash (= 9"))
    (tmp_path / "tiny_1.0-1_all.changes").unlink()
    found = {f.name: f.lines for f in compare(deb.path.parent, tmp_path, names) if f.lines}
    assert found["tiny_1.0-1_all.changes"] == ("the second build has none",)
    assert any(line.startswith("+ dash (= 9") for line in found["tiny_1.0-1_all.buildinfo"])
    assert len(found) == 2


def test_nobody_is_lent_what_he_may_not_read(tmp_path: Path) -> None:
    home, folder = tmp_path / "ann", tmp_path / "again"
    for path in (home / ".config/uv", folder, tmp_path / "app"):
        path.mkdir(parents=True)
    for name in (".netrc", ".config/uv/uv.toml"):
        (home / name).write_text(name)
        (home / name).chmod(0o600)
    other = other_circumstances(folder, {"HOME": str(home)}, date=None, nobody=True, faketime=False)
    other = replace(other, user=os.getuid())  # who runs the tests need not be root
    seen: list[tuple[str, int]] = []

    def look(argv: Sequence[Word], **settings: Any) -> Completed:
        env = settings["env"]
        for path in (Path(env["NETRC"]), Path(env["XDG_CONFIG_HOME"], "uv/uv.toml")):
            assert path.is_relative_to(folder)
            seen.append((path.read_text(), path.stat().st_mode & 0o777))
        return Completed((), 0, b"", b"")

    build_again(
        tmp_path / "app", tmp_path / "out", folder, other, options=(), cwd=tmp_path, run=look
    )
    assert seen == [(".netrc", 0o600), (".config/uv/uv.toml", 0o600)]
    assert not [path for path in (folder / "home").rglob("*") if path.is_file()]
