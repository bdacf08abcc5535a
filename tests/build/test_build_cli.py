import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from sample import DATE, Sample

from debship.cli.build import command
from debship.cli.cache import command as cache
from debship.cli.main import cli as main
from debship.errors import Misused, Refused
from debship.publish.store.directory import DirectoryStore
from debship.run import run
from publishing import gpg_home

pytestmark = pytest.mark.slow

FILE = """\
[app]
name = "tiny"
summary = "Tiny service"
maintainer = "Platform Team <platform@example.com>"
[build]
wheel = "dist/*.whl"
[[config]]
path = "/etc/mycompany/tiny/tiny.conf"
source = "tiny.conf"
[[config]]
path = "/etc/mycompany/tiny/secrets.env"
managed = "deploy"
[[service]]
exec = "tiny-web --port 8101"
port = 8101
[[service]]
name = "tiny-job"
exec = "tiny-job"
kind = "timer"
schedule = "daily"
"""


@pytest.fixture
def folder(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(DATE))
    (sample.app.directory / "debship.toml").write_text(FILE)
    return sample.app.directory


def _call(*words: object, command=command) -> str:
    called = CliRunner().invoke(command, [str(word) for word in words], catch_exceptions=False)
    assert called.exit_code == 0
    return called.stdout


def test_it_prints_where_the_package_is(folder: Path, deb, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert _call(folder, "--output", out, "--level", 3) == f"{out}/tiny_1.0-1_all.deb\n"
    assert (out / "tiny_1.0-1_all.deb").read_bytes() == deb.path.read_bytes()
    result = json.loads(_call(folder, "--output", out, "--level", 3, "--json"))["result"][
        "packages"
    ]
    assert [(entry["version"], entry["sha256"]) for entry in result] == [("1.0-1", deb.sha256)]
    papers = {Path(path).name for path in result[0]["papers"]}
    assert papers == {path.name for path in out.iterdir()} - {deb.path.name}


def test_a_plan_is_printed_and_nothing_is_done(folder: Path, release) -> None:
    before = sorted(folder.rglob("*"))
    text = _call(folder, "--plan")
    for line in (
        f"interpreter            /usr/bin/python{release.python}",
        "units                  tiny.service: tiny-web --port 8101",
        "units                  tiny-job.timer: tiny-job",
        "conffiles              /etc/mycompany/tiny/tiny.conf",
        "written by the deploy  /etc/mycompany/tiny/secrets.env",
    ):
        assert line in text.splitlines()
    [planned] = json.loads(_call(folder, "--plan", "--json"))["result"]["packages"]
    assert planned["user"] == "_tiny"
    assert sorted(folder.rglob("*")) == before


def test_a_refusal_reaches_the_user(folder: Path) -> None:
    (folder / "requirements.txt").write_text("flask\n")
    with pytest.raises(Refused, match=r'requirements\.txt:1: "flask" has no hash'):
        _call(folder)


def test_the_cache_is_shown_bounded_and_cleared(folder: Path, cache_folder: Path) -> None:
    _call(folder, "--level", "3")
    shown = json.loads(_call("--json", command=cache))["result"]
    assert shown["folder"] == f"{cache_folder}/layers"
    assert shown["entries"] >= 3
    assert shown["size"] > 1000
    rows = dict(
        line.split(maxsplit=1) for line in _call("--limit", "5M", command=cache).splitlines()
    )
    assert rows["limit"] == "5.0 MiB"
    assert "entries  0" in _call("--clear", command=cache).splitlines()
    assert "limit    5.0 MiB" in _call(command=cache).splitlines()
    with pytest.raises(Misused, match='"much" is not a size'):
        _call("--limit", "much", command=cache)


def test_what_hosts_have_is_compared_with(folder: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    _call(folder, "--output", old)
    text = FILE.replace('path = "/etc/mycompany/tiny/tiny.conf"', 'path = "/etc/tiny/tiny.conf"')
    (folder / "debship.toml").write_text(
        text.replace('name = "tiny"', 'name = "tiny"\nversion = "2.0-1"')
    )
    deb = old / "tiny_1.0-1_all.deb"
    shown = _call(folder, "--plan", "--previous", deb).splitlines()
    assert "previous               1.0-1" in shown
    assert (
        "conffiles change       /etc/mycompany/tiny/tiny.conf becomes /etc/tiny/tiny.conf on "
        "upgrade, edits included" in shown
    )
    _call(folder, "--output", tmp_path / "new", "--previous", deb)
    preinst = run(["dpkg-deb", "-I", tmp_path / "new/tiny_2.0-1_all.deb", "preinst"]).text
    assert "mv_conffile /etc/mycompany/tiny/tiny.conf /etc/tiny/tiny.conf '2.0-1~'" in preinst


def test_a_version_below_the_one_that_hosts_have_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "debship.toml").write_text(FILE.replace("[build]", 'version = "2.0-1"\n[build]'))
    _call(folder, "--output", tmp_path / "old")
    (folder / "debship.toml").write_text(FILE)
    words = (
        folder,
        "--output",
        tmp_path / "new",
        "--previous",
        tmp_path / "old/tiny_2.0-1_all.deb",
    )
    with pytest.raises(Refused, match=r"1\.0-1 sorts below 2\.0-1, the last version"):
        _call(*words)
    assert not (tmp_path / "new").exists()
    assert _call(*words, "--allow-older").endswith("tiny_1.0-1_all.deb\n")


@pytest.fixture(scope="module")
def home():
    with gpg_home(1) as home:
        yield home


def test_the_newest_of_a_suite_is_what_hosts_have(
    folder: Path, tmp_path: Path, home, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    for name, value in home.env.items():
        monkeypatch.setenv(name, value)
    where = ("--store", store, "--suite", "stable")
    _debship("repo", "init", *where)
    with pytest.raises(Refused, match="stable: it has no tiny for"):
        _call(folder, "--store", store, "--previous", "stable")
    for version in ("3.0-1", "4.0-1~deb13u1"):
        (folder / "debship.toml").write_text(
            FILE.replace("[build]", f'version = "{version}"\n[build]')
        )
        _call(folder, "--output", tmp_path / "old")
    _debship("publish", *where, *sorted((tmp_path / "old").glob("*.deb")))
    monkeypatch.setenv("DEBSHIP_STORE", str(store))
    monkeypatch.setenv("DEBSHIP_PREVIOUS", "stable")
    assert "previous               3.0-1" in _call(folder, "--plan").splitlines()
    asked, read = [], DirectoryStore.read
    monkeypatch.setattr(
        DirectoryStore, "read", lambda it, path: asked.append(path) or read(it, path)
    )
    both = ("--release", "bookworm", "--release", "noble")
    plan = _call(folder, "--plan", *both).splitlines()
    assert plan.count("previous               3.0-1") == 2
    assert len([path for path in asked if path.startswith("pool/")]) == 1


def _debship(*words: object) -> None:
    called = CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)
    assert called.exit_code == 0, called.output


def test_the_slowest_steps_are_named_at_the_end(folder: Path) -> None:
    called = CliRunner().invoke(command, [str(folder), "--level", "3", "-v"])
    told = [line for line in called.stderr.splitlines() if "of all: " in line]
    assert 2 <= len(told) <= 5
    assert called.stderr.splitlines()[-len(told) :] == told
    seconds = [float(line.split("s")[0]) for line in told]
    assert seconds == sorted(seconds, reverse=True)
