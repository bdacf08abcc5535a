"""The life of a package on a real host, by hand, as a Debian user has it (Policy 6.5 to 6.8)."""

from pathlib import Path

import pytest
from examples.rehearsal import HERE, Rehearsal
from examples.versions import make_version
from house import House

from debship.debian.releases import release
from debship.run import run

pytestmark = pytest.mark.acceptance

CONFFILE = "/etc/mycompany/auth/auth.conf"


def auth(house: House, version: str) -> Path:
    """Build the example in this version."""
    source = house.folder / f"auth-{version}"
    make_version(house.stage.app, source, version)
    return house.build(source, *house.options)


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def life(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("life")
    stage = Rehearsal(folder, name=f"life{folder.parent.name.rpartition('-')[2]}")
    words = ("--hosts", "1", "--release", request.param)
    try:
        stage.up(*words, "--fleet", str(stage.app / "fleet.toml"))
        house = House(stage, release(request.param))
        radicale = house.build(HERE / "radicale", *house.options)
        stage.publish(auth(house, "1.0.0"), auth(house, "1.1.0"), radicale)
        stage.fab("bootstrap", "--app", "auth")
        yield house
    finally:
        stage.down()


def test_install_upgrade_remove_purge_as_a_debian_user_expects(life: House) -> None:
    before = life.files()
    old, new = (f"auth={version}-1{life.suffix}" for version in ("1.0.0", "1.1.0"))
    life.apt("install", old)
    assert life.state("auth.service") == ("active", "enabled")
    assert life.sh("ps -o user= -p $(systemctl show -P MainPID auth)").text.strip() == "_auth"
    assert '"version":"1.0.0"' in life.health()
    assert life.sh("dpkg -V auth").text == ""

    life.sh(f"echo '# mine' >> {CONFFILE}")
    life.sh("systemctl disable --now auth.service 2>/dev/null")
    life.apt("install", new)
    assert "# mine" in life.sh(f"cat {CONFFILE}").text
    assert life.state("auth.service") == ("inactive", "disabled")

    life.sh("systemctl enable --now auth.service 2>/dev/null")
    life.apt("install", "--allow-downgrades", old)
    assert life.state("auth.service") == ("active", "enabled")
    assert '"version":"1.0.0"' in life.health()
    life.apt("install", "--reinstall", old)
    assert life.state("auth.service") == ("active", "enabled")

    life.sh("/usr/lib/auth/bin/python -O -c 'import flask' && test -d /usr/lib/auth")
    life.apt("remove", "auth")
    assert life.sh("systemctl is-active auth.service", check=False).text == "inactive"
    assert life.sh(f"test -e /usr/lib/auth; echo $?; cat {CONFFILE}").text.startswith("1\n")
    life.sh("echo x > /etc/mycompany/auth/secrets.env")
    life.apt("purge", "auth")
    # The service's own data stay, as with debhelper's packages: nobody asked to lose them.
    assert life.files() - before <= {"/var/lib/auth"}
    assert before - life.files() == set()

    life.apt("install", new)
    assert life.state("auth.service") == ("active", "enabled")
    assert "# mine" not in life.sh(f"cat {CONFFILE}").text
    life.apt("purge", "auth")


def test_an_application_that_nobody_here_wrote_answers(life: House) -> None:
    before = life.files()
    life.apt("install", "radicale")
    assert life.state("radicale.service") == ("active", "enabled")
    assert "Radicale" in life.asked("http://127.0.0.1:5232/.web/")
    life.apt("purge", "radicale")
    left = {path for path in life.files() - before if not path.startswith("/var/lib/radicale")}
    assert left == set()


@pytest.mark.parametrize("name", ["auth_1.0.0", "radicale"])
def test_lintian_finds_nothing_that_is_not_overridden(life: House, name: str) -> None:
    deb = next((life.stage.folder / "packages").glob(f"{name}*.deb"))
    done = run(["lintian", "--allow-root", "--fail-on", "error,warning", deb], check=False)
    assert done.returncode == 0, done.text
