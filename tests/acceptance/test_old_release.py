"""A roll on hosts of Debian 11: its apt reads no key inside a source, its Python is 3.9."""

import json
import os
import tomllib

import pytest
import tomli_w
from examples.rehearsal import Rehearsal
from test_faults import FLEET
from test_rolling_wide import user
from tiny import make_tiny
from witness import Witness

from debship.deploy.apt import KEYRING, SOURCE

pytestmark = pytest.mark.acceptance


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory):
    """Two hosts, prepared for an unprivileged user behind a gate."""
    folder = tmp_path_factory.mktemp("old")
    (folder / "fleet.toml").write_text(FLEET)
    stage = Rehearsal(folder, name=f"old{os.getpid()}")
    words = ("--hosts", "2", "--release", "bullseye", "--fleet", str(folder / "fleet.toml"))
    try:
        stage.up(*words)
        path = stage.state / "fleet.toml"
        fleet = tomllib.loads(path.read_text())
        fleet["ssh"] |= {"user": "roller", "gate": True}
        path.write_text(tomli_w.dumps(fleet))
        stage.publish(
            make_tiny(folder, "1.0"),
            make_tiny(folder, "1.1"),
            make_tiny(folder, "1.2", status=500),
        )
        with user(stage, "roller"):
            stage.fab("bootstrap", "--app", "tiny", "--login", "root")
            sudoers = stage.fab("bootstrap", "--app", "tiny", "--sudoers").stdout
            for host in stage.hosts:
                line = "umask 337; cat > /etc/sudoers.d/roller"
                stage.enter(host, "sh", "-c", line, stdin=sudoers)
            yield stage
    finally:
        stage.down()


def deploy(stage: Rehearsal, version: str) -> list[str]:
    words = ("deploy", "--app", "tiny", "--version", version, "--json")
    done = stage.fab(*words, check=False)
    assert done.stdout, done.stderr.decode()
    return [host["outcome"] for host in json.loads(done.stdout)["result"]["hosts"]]


def versions(stage: Rehearsal) -> set[str]:
    ask = ("curl", "-fsS", "--retry", "30", "--retry-connrefused", "http://127.0.0.1:8101/healthz")
    return {json.loads(stage.enter(host, *ask).text)["version"] for host in stage.hosts}


def test_it_rolls_and_a_bad_version_is_brought_back(old: Rehearsal, tmp_path) -> None:
    assert deploy(old, "1.0") == ["changed"] * 2
    with Witness(old, tmp_path) as witness:
        assert deploy(old, "1.1") == ["changed"] * 2
        assert deploy(old, "1.2") == ["returned", "untouched"]
    assert witness.answers.failures == ()
    assert versions(old) == {"1.1"}


def test_its_key_lies_beside_its_source(old: Rehearsal) -> None:
    again = old.fab("bootstrap", "--app", "tiny", "--login", "root").text
    assert "wrote" not in again
    bare = old.hosts[1]
    script = old.fab("bootstrap", "--app", "tiny", "--user-data").stdout
    files = f"cat {SOURCE} {KEYRING}"
    before = old.enter(bare, "sh", "-c", files).text
    assert f"Signed-By: {KEYRING}\n-----BEGIN PGP" in before
    wipe = f"apt-get -q -y purge tiny; rm -rf {SOURCE} {KEYRING} /var/lib/apt/lists/*"
    old.enter(bare, "sh", "-c", wipe)
    old.enter(bare, "sh", "-s", stdin=script)
    assert old.enter(bare, "sh", "-c", files).text == before
    assert versions(old) == {"1.1"}
