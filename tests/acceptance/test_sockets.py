"""Socket activation and instances on a real host: what restarts, what waits, what goes away."""

import re
import shutil
from pathlib import Path

import pytest
from examples.rehearsal import HERE, Rehearsal
from house import House

from debship.debian.releases import release
from debship.lab.traffic import Traffic

pytestmark = pytest.mark.acceptance

_WORKERS = """
[[service]]
name = "auth-work"
kind = "worker"
instances = %d
exec = "python -c 'import time; time.sleep(1e6)'"
"""


def _version(host: House, version: str, *, port: int = 8101, workers: int = 2, socket: bool = True):
    """A version of auth behind a socket; it takes half a second and more to start."""
    stage = host.stage
    source = stage.folder / f"source-{version}"
    shutil.copytree(HERE / "auth", source)
    settings = source / "debship.toml"
    text = settings.read_text().replace("0.0.0.0:8101", f"0.0.0.0:{port}")
    text = text.replace("port = 8101", f"port = {port}")
    text = text.replace("#socket = true", f"socket = {str(socket).lower()}")
    settings.write_text(text + (_WORKERS % workers if workers else ""))
    module = source / "src/auth/wsgi.py"
    module.write_text("import time\ntime.sleep(0.5)\n" + module.read_text())
    pyproject = source / "pyproject.toml"
    pyproject.write_text(
        re.sub(r'(?m)^version = ".*"', f'version = "{version}"', pyproject.read_text())
    )
    return host.build(source, *host.options)


class Host(House):
    def install_version(self, version: str) -> None:
        self.apt("install", "--allow-downgrades", f"auth={version}-1{self.suffix}")

    def active(self, *units: str) -> list[str]:
        return self.sh(f"systemctl is-active {' '.join(units)}", check=False).text.split()

    def enabled(self, *units: str) -> list[str]:
        return self.sh(f"systemctl is-enabled {' '.join(units)}", check=False).text.split()

    def version(self, port: int = 8101) -> str:
        return re.search(r'"version":"([^"]*)"', self.health(port))[1]

    def traffic(self, folder: Path) -> Traffic:
        return Traffic(f"http://{self.address}:8101/healthz", log=folder / "traffic", rate=50)


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("sockets")
    stage = Rehearsal(folder, name=f"sock{folder.parent.name.rpartition('-')[2]}")
    host = Host(stage, release(request.param))
    words = ("--hosts", "1", "--release", request.param)
    try:
        stage.up(*words, "--fleet", str(stage.app / "fleet.toml"))
        stage.publish(
            _version(host, "1.0.0", socket=False, workers=0),
            _version(host, "1.1.0"),
            _version(host, "1.2.0", workers=3),
            _version(host, "1.3.0", port=8102, workers=1),
        )
        stage.fab("bootstrap", "--app", "auth")
        yield host
    finally:
        stage.down()


WORKERS = ("auth-work@1.service", "auth-work@2.service", "auth-work@3.service")


def test_a_restart_fails_no_request(host: Host, tmp_path: Path) -> None:
    host.install_version("1.1.0")
    assert host.version() == "1.1.0"
    with host.traffic(tmp_path) as traffic:
        host.sh("systemctl restart auth.service")
        assert host.version() == "1.1.0"
        host.install_version("1.2.0")
        assert host.version() == "1.2.0"
    report = traffic.so_far()
    assert report.failures == ()
    assert {version for _, version in report.served} == {"1.1.0", "1.2.0"}


def test_a_roll_without_a_balancer_fails_no_request(host: Host, tmp_path: Path) -> None:
    host.install_version("1.1.0")
    with host.traffic(tmp_path) as traffic:
        report = host.stage.report("deploy", "--app", "auth", "--version", "1.2.0")
    assert [h["outcome"] for h in report["hosts"]] == ["changed"]
    assert traffic.so_far().failures == ()
    assert host.version() == "1.2.0"
    assert host.active(*WORKERS) == ["active"] * 3
    running = "for p in $(systemctl show -P MainPID 'auth-work@*'); do grep -z ^DEBSHIP_ /proc/$p/environ; done"
    said = host.sh(running).text.replace("\0", "\n").split()
    assert said.count(f"DEBSHIP_VERSION=1.2.0-1{host.suffix}") == 3
    assert sorted(word for word in said if "INSTANCE" in word) == [
        f"DEBSHIP_INSTANCE={number}" for number in (1, 2, 3)
    ]


def test_instances_come_and_go_with_the_versions(host: Host) -> None:
    host.install_version("1.1.0")
    assert host.active(*WORKERS) == ["active", "active", "inactive"]
    assert host.enabled(*WORKERS[:2]) == ["enabled", "enabled"]
    host.sh("systemctl disable --now auth-work@2.service 2>&1")
    host.install_version("1.2.0")
    assert host.active(*WORKERS) == ["active", "inactive", "active"]
    host.sh("systemctl enable --now auth-work@2.service auth-work@9.service 2>&1")
    host.install_version("1.3.0")
    assert host.active(*WORKERS) == ["active", "inactive", "inactive"]
    assert host.active("auth-work@9.service") == ["active"]  # an administrator's own
    host.sh("systemctl disable --now auth-work@9.service 2>&1")
    left = host.sh("ls /etc/systemd/system/multi-user.target.wants").text.split()
    assert [name for name in left if name.startswith("auth")] == [
        "auth-work@1.service",
        "auth.service",
    ]


def test_a_port_that_changes_and_a_socket_that_comes_and_goes(host: Host) -> None:
    for by_hand in (True, False):
        for version, port, socket in (
            ("1.0.0", 8101, "inactive"),
            ("1.1.0", 8101, "active"),
            ("1.3.0", 8102, "active"),
            ("1.1.0", 8101, "active"),
            ("1.0.0", 8101, "inactive"),
        ):
            if by_hand:
                host.install_version(version)
            else:
                carry = "systemd-run -q --wait --setenv=DEBSHIP_ROLL=x --setenv=DEBIAN_FRONTEND=noninteractive"
                host.sh(
                    f"{carry} apt-get -q -y install --allow-downgrades auth={version}-1{host.suffix}"
                )
                _as_a_roll_does(host)
            assert host.version(port) == version
            assert host.active("auth.service", "auth.socket") == ["active", socket]
            other = {8101: 8102, 8102: 8101}[port]
            refused = host.sh(f"curl -sS http://127.0.0.1:{other}/", check=False)
            assert refused.returncode == 7


def _as_a_roll_does(host: Host) -> None:
    """Restart as debship.deploy.steps does."""
    host.sh(
        "systemctl daemon-reload; if systemctl is-enabled -q auth.socket 2>/dev/null; then "
        "systemctl is-active -q auth.socket || { systemctl stop auth; systemctl start auth.socket; }; "
        "fi; systemctl restart auth"
    )


def test_a_new_socket_starts_no_service_that_an_administrator_disabled(host: Host) -> None:
    host.apt("purge", "auth")
    host.install_version("1.0.0")
    host.sh("systemctl disable --now auth.service 2>&1")
    units = ("auth.service", "auth.socket")
    for version in ("1.1.0", "1.2.0", "1.3.0"):
        host.install_version(version)
        assert host.active(*units) == ["inactive", "inactive"]
        assert host.enabled(*units) == ["disabled", "disabled"]
    host.install_version("1.0.0")
    host.sh("systemctl start auth.service")
    host.install_version("1.1.0")
    assert host.version() == "1.1.0"  # what runs is restarted, disabled or not
    assert host.enabled(*units) == ["disabled", "disabled"]
    host.sh("systemctl enable --now auth.service 2>&1")
    assert host.enabled(*units) == ["enabled", "enabled"]
    host.install_version("1.2.0")
    assert host.version() == "1.2.0"


def test_nothing_of_them_is_left(host: Host) -> None:
    host.install_version("1.2.0")
    host.sh("DEBIAN_FRONTEND=noninteractive apt-get -q -y purge auth")
    assert host.sh("find /etc/systemd /var/lib/systemd /usr/lib/systemd -name 'auth*'").text == ""
    assert host.sh("systemctl list-units --all --plain --no-legend 'auth*'").text == ""
