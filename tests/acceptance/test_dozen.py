"""A dozen applications from the index: built, installed, started, asked, purged."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from examples.rehearsal import Rehearsal
from foreign import DOZEN, Foreign
from uv import find_uv_bin

from debship.debian.releases import Release, this_machine
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
        "--python",
        python,
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


class House:
    """One host, and the folder that applications are built in."""

    def __init__(self, stage: Rehearsal, release: Release) -> None:
        self.stage, self.release = stage, release

    def build(self, app: Foreign) -> Path:
        python = f"/usr/bin/python{self.release.python}"
        folder = write(app, self.stage.folder / app.name, python)
        built = self.stage.debship("build", folder, "--output", self.stage.folder / "packages")
        return Path(built.text.splitlines()[0])

    def sh(self, line: str, *, check: bool = True):
        return self.stage.enter(self.stage.hosts[0], "sh", "-c", line, check=check)

    def install(self, deb: Path) -> None:
        self.stage.enter(
            self.stage.hosts[0], "sh", "-c", f"cat > /tmp/{deb.name}", stdin=deb.read_bytes()
        )
        self.sh(f"DEBIAN_FRONTEND=noninteractive apt-get -qy install /tmp/{deb.name}")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("dozen")
    stage = Rehearsal(folder, name=f"dozen{folder.parent.name.rpartition('-')[2]}")
    release = this_machine(Path("/etc/os-release").read_text())
    try:
        stage.up("--hosts", "1", "--package", f"libpython{release.python}")
        yield House(stage, release)
    finally:
        stage.down()


@pytest.mark.parametrize("app", DOZEN, ids=lambda app: app.name)
def test_it_is_built_installed_started_answers_and_goes(house: House, app: Foreign) -> None:
    deb = house.build(app)
    house.install(deb)
    name = app.name
    try:
        if app.unit or f"{name}.service" in house.sh("systemctl list-units --plain").text:
            unit = app.unit or f"{name}.service"
            assert house.sh(f"systemctl is-enabled {unit}").text == "enabled"
        answered = house.sh(
            f"for try in $(seq 150); do ({app.answers}) && exit; sleep 0.1; done; exit 1",
            check=False,
        )
        journal = house.sh(f"journalctl --unit '{name}*' --output cat | tail -50").text
        assert answered.returncode == 0, f"{answered.stderr.decode()[-2000:]}\n{journal}"
        assert house.sh(f"dpkg -V {name}").text == ""
    finally:
        house.sh(f"DEBIAN_FRONTEND=noninteractive apt-get -qy purge {name}")
    left = house.sh(
        f"ls -d /usr/lib/{name} /etc/{name} /usr/lib/systemd/system/{name}*", check=False
    )
    assert left.text == ""


def test_lintian_finds_no_error(house: House) -> None:
    debs = sorted((house.stage.folder / "packages").glob("*.deb"))
    done = run(["lintian", "--allow-root", "--fail-on", "error", *debs], check=False)
    assert done.returncode == 0, done.text
