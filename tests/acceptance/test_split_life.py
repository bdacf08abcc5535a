"""Two packages that are one application, on a real host: side by side, upgraded, swept by apt."""

from pathlib import Path

import pytest
from examples.rehearsal import Rehearsal
from examples.versions import make_version
from house import House

from debship.debian.releases import release

pytestmark = pytest.mark.acceptance


def _split(house: House, version: str, level: str = "3") -> tuple[Path, ...]:
    """Build the example split, in this version; another level makes other dependencies."""
    stage, options = house.stage, house.options
    source = stage.folder / f"auth-{version}"
    make_version(stage.app, source, version)
    toml = source / "debship.toml"
    toml.write_text(toml.read_text().replace('#layout = "split"', 'layout = "split"'))
    words = ("build", source, "--level", level, "--output", stage.folder / version, *options)
    done = stage.debship(*words)
    return tuple(map(Path, done.text.splitlines()))


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def life(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("split")
    stage = Rehearsal(folder, name=f"split{folder.parent.name.rpartition('-')[2]}")
    words = ("--hosts", "1", "--release", request.param)
    try:
        stage.up(*words, "--fleet", str(stage.app / "fleet.toml"))
        stage.fab("bootstrap", "--app", "auth")
        yield House(stage, release(request.param))
    finally:
        stage.down()


def test_a_split_application_lives_as_a_whole_one(life: House) -> None:
    before = life.files()
    first, same, other = (
        _split(life, "1.0.0"),
        _split(life, "1.0.1"),
        _split(life, "1.1.0", level="2"),
    )
    names = [debs[1].name.partition("_")[0] for debs in (first, same, other)]
    assert names[0] == names[1]
    assert names[2] != names[0]
    life.stage.publish(*first, same[0], *other)
    life.apt("update")

    life.apt("install", f"auth=1.0.0-1{life.suffix}")
    assert life.state("auth.service") == ("active", "enabled")
    assert '"version":"1.0.0"' in life.health()
    assert life.sh(f"apt-mark showauto {names[0]}").text == names[0]
    assert life.sh(f"dpkg -V auth {names[0]}").text == ""
    inside = "import importlib.metadata as m; print(m.version('auth'), m.version('flask'))"
    assert life.sh(f'/usr/lib/auth/bin/python -c "{inside}"').text.startswith("1.0.0 ")

    # Code alone: nothing of the dependencies moves.
    life.apt("install", f"auth=1.0.1-1{life.suffix}")
    assert '"version":"1.0.1"' in life.health()
    life.apt("autoremove")
    assert life.sh(f"dpkg-query -W -f '${{Status}}' {names[0]}").text == "install ok installed"

    # Other dependencies: they come beforehand, beside those in use; the old stay until nobody
    # needs them.
    life.apt("install", names[2])
    life.sh(f"apt-mark auto {names[2]}")
    assert '"version":"1.0.1"' in life.health()
    life.apt("install", f"auth=1.1.0-1{life.suffix}")
    assert '"version":"1.1.0"' in life.health()
    assert life.sh(f"test -d /usr/lib/{names[0]}").returncode == 0
    life.apt("autoremove")
    assert life.sh(f"test -e /usr/lib/{names[0]}", check=False).returncode == 1
    assert '"version":"1.1.0"' in life.health()

    # Back, by apt alone.
    life.apt("install", "--allow-downgrades", f"auth=1.0.0-1{life.suffix}")
    assert '"version":"1.0.0"' in life.health()

    life.apt("purge", "--autoremove", "auth")
    assert life.sh("ls -d /usr/lib/auth*", check=False).text == ""
    assert life.files() - before <= {"/var/lib/auth", "/var/lib/private"}
    assert before - life.files() == set()
