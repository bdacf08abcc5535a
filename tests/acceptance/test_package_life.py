"""The life of a package on a real host, by hand, as a Debian user has it (Policy 6.5 to 6.8)."""

from pathlib import Path

import pytest
from examples.rehearsal import HERE, Rehearsal
from house import House

from debship.debian.releases import this_machine
from debship.run import run

pytestmark = pytest.mark.acceptance

CONFFILE = "/etc/mycompany/auth/auth.conf"


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("life")
    stage = Rehearsal(folder, name=f"life{folder.parent.name.rpartition('-')[2]}")
    try:
        stage.up("--hosts", "1", "--fleet", str(stage.app / "fleet.toml"))
        radicale = stage.debship(
            "build", HERE / "radicale", "--level", "9", "--output", folder / "packages"
        )
        stage.publish(
            stage.build("1.0.0"), stage.build("1.1.0"), Path(radicale.text.splitlines()[0])
        )
        stage.fab("bootstrap", "--app", "auth")
        yield House(stage, this_machine(Path("/etc/os-release").read_text()))
    finally:
        stage.down()


def test_install_upgrade_remove_purge_as_a_debian_user_expects(life: House) -> None:
    before = life.files()
    life.apt("install", "auth=1.0.0-1")
    assert life.state("auth.service") == ("active", "enabled")
    assert life.sh("ps -o user= -p $(systemctl show -P MainPID auth)").text.strip() == "_auth"
    assert '"version":"1.0.0"' in life.health()
    assert life.sh("dpkg -V auth").text == ""

    life.sh(f"echo '# mine' >> {CONFFILE}")
    life.sh("systemctl disable --now auth.service 2>/dev/null")
    life.apt("install", "auth=1.1.0-1")
    assert "# mine" in life.sh(f"cat {CONFFILE}").text
    assert life.state("auth.service") == ("inactive", "disabled")

    life.sh("systemctl enable --now auth.service 2>/dev/null")
    life.apt("install", "--allow-downgrades", "auth=1.0.0-1")
    assert life.state("auth.service") == ("active", "enabled")
    assert '"version":"1.0.0"' in life.health()
    life.apt("install", "--reinstall", "auth=1.0.0-1")
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

    life.apt("install", "auth=1.1.0-1")
    assert life.state("auth.service") == ("active", "enabled")
    assert "# mine" not in life.sh(f"cat {CONFFILE}").text
    life.apt("purge", "auth")


def test_an_application_that_nobody_here_wrote_answers(life: House) -> None:
    before = life.files()
    life.apt("install", "radicale")
    assert life.state("radicale.service") == ("active", "enabled")
    ask = "curl -fsS --retry 20 --retry-connrefused --retry-delay 1 http://127.0.0.1:5232/.web/"
    assert "Radicale" in life.sh(ask).text
    life.apt("purge", "radicale")
    left = {path for path in life.files() - before if not path.startswith("/var/lib/radicale")}
    assert left == set()


@pytest.mark.parametrize("name", ["auth_1.0.0", "radicale"])
def test_lintian_finds_nothing_that_is_not_overridden(life: House, name: str) -> None:
    deb = next((life.stage.folder / "packages").glob(f"{name}*.deb"))
    done = run(["lintian", "--allow-root", "--fail-on", "error,warning", deb], check=False)
    assert done.returncode == 0, done.text
