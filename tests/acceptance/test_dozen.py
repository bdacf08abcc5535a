"""A dozen applications from the index: built, installed, started, asked, purged."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from foreign import DOZEN, Foreign
from house import House
from uv import find_uv_bin

from debship.run import run

pytestmark = pytest.mark.acceptance

# The day that the locks are of: what the index gets later changes no run of these tests.
DAY = "2026-11-01"


def write(app: Foreign, folder: Path, python: str) -> Path:
    """Write an application's folder: its lock, its debship.toml, its conffiles."""
    folder.mkdir(parents=True)
    compiling = (
        find_uv_bin(),
        "pip",
        "compile",
        "--generate-hashes",
        *("--python", "/usr/bin/python3", "--python-version", python),
        "--exclude-newer",
        DAY,
    )
    (folder / "in.txt").write_text("\n".join(app.wants))
    run([*compiling, "--quiet", "--output-file", app.lock, "in.txt"], cwd=folder)
    if app.builds_with:
        (folder / "build.txt").write_text("\n".join(app.builds_with))
        words = (*compiling, "--quiet", "--output-file", "build-requirements.txt", "build.txt")
        run(words, cwd=folder)
    wanted = re.split(r"[\[<=]", app.wants[0])[0]
    lock = (folder / app.lock).read_text()
    found = re.search(rf'(?m)^(?:name = "{wanted}"\nversion = "|{wanted}==)([^" ]+)', lock)
    assert found, lock[:400]
    tables = (
        f'[app]\nname = "{app.name}"\nsummary = "Application that nobody here wrote"\n'
        'maintainer = "Platform Team <platform@example.com>"\n'
        f'[build]\nrequirement = "{wanted}=={found[1]}"\n{app.build}'
    )
    for number, (path, text) in enumerate(app.configs.items()):
        (folder / f"config{number}").write_text(text)
        tables += f'[[config]]\npath = "{path}"\nsource = "config{number}"\n'
    (folder / "debship.toml").write_text(tables + app.services)
    return folder


@pytest.mark.parametrize("app", DOZEN, ids=lambda app: app.name)
def test_it_is_built_installed_started_answers_and_goes(house: House, app: Foreign) -> None:
    folder = write(app, house.folder / app.name, house.release.python)
    deb = house.build(folder)
    if app.is_linted:
        done = run(["lintian", "--allow-root", "--fail-on", "error,warning", deb], check=False)
        assert done.returncode == 0, done.text
    _live(house, app, deb)


# What differs most from release to release: machine code, and how old it may be.
@pytest.mark.parametrize("name", ["radicale", "glances", "bokeh"])
def test_on_trixie_too(houses: Callable[[str], House], name: str) -> None:
    house = houses("trixie")
    app = next(app for app in DOZEN if app.name == name)
    folder = write(app, house.folder / name, house.release.python)
    deb = house.build(folder, "--release", "trixie")
    assert deb.name.partition("_")[2].partition("_")[0].endswith("~deb13u1")
    _live(house, app, deb)


def _live(house: House, app: Foreign, deb: Path) -> None:
    before = house.files()
    house.install(deb)
    try:
        if app.unit:
            state = house.sh(f"systemctl is-enabled {app.unit}; systemctl is-active {app.unit}")
            assert state.text == "enabled\nactive"
        patient = f"for try in $(seq 300); do ({app.answers}) && exit; sleep 0.1; done; exit 1"
        answered = house.sh(patient, check=False)
        journal = house.sh(f"journalctl --unit '{app.name}*' --output cat | tail -50").text
        assert answered.returncode == 0, f"{answered.stderr.decode()[-500:]}\n{journal}"
        assert house.sh(f"dpkg -V {app.name}").text == ""
    finally:
        house.apt("purge", app.name)
    left = house.files() - before
    assert {path for path in left if not path.startswith(f"/var/lib/{app.name}")} == set()
