"""The faults that a roll meets, on real hosts of each release, judged from outside.

The numbers are those of the rows of the fault table that the design was made from. What needs AWS is
in test_rolling_aws, what needs many rolls in the simulation, the roller's own deaths in test_rolling.
"""

import json
import os
import signal
import socket
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from examples.rehearsal import Rehearsal
from test_rolling import all_serve, serving, wait_for
from tiny import make_tiny

from conftest import Witness
from debship.lab.observer import ask
from debship.run import Completed, run
from until import until

pytestmark = pytest.mark.acceptance

FLEET = """\
[repository]
store = "/srv/apt"
url = "http://apt.example.com"
suite = "production"
[apps.tiny]
hosts = ["h"]
[[apps.tiny.balancers]]
kind = "haproxy"
socket = "/run/haproxy.sock"
backend = "tiny"
drain = 3
[apps.tiny.health]
path = "/healthz"
port = 8101
version = "version"
timeout = 5
"""
VERSIONS: dict[str, dict[str, Any]] = {
    "1.0": {"conffile": "a = 1"},
    "1.1": {"conffile": "a = 2"},
    "1.2": {"postinst": "sleep 6", "conffile": "a = 2"},
    "1.3": {"size": 150_000_000, "conffile": "a = 2"},
    "2.0": {"postinst": "exit 1"},
    "2.1": {"status": 500},
    "2.2": {"crash": 3.0},
    "2.3": {"start": 30.0},
    "2.4": {"depends": ", no-such-package"},
    "2.5": {"status": 500, "postinst": "rm -f /var/cache/apt/archives/tiny_1.0*"},
}


@dataclass
class Fleet:
    """Three hosts of one release behind HAProxy."""

    stage: Rehearsal

    @property
    def hosts(self) -> tuple[str, ...]:
        return self.stage.hosts

    def sh(self, host: int, line: str, *, check: bool = True) -> str:
        return self.stage.enter(self.hosts[host], "sh", "-c", line, check=check).text

    def deploy(self, version: str, *words: str) -> Completed:
        words = ("deploy", "--app", "tiny", "--version", version, "--json", *words)
        return self.stage.fab(*words, check=False)

    def outcomes(self, done: Completed) -> list[str]:
        assert done.stdout, done.stderr.decode()
        return [host["outcome"] for host in json.loads(done.stdout)["result"]["hosts"]]

    @property
    def installed(self) -> list[str]:
        query = "dpkg-query -W -f '${db:Status-Abbrev}|${Version}' tiny"
        return [self.sh(number, query, check=False) for number in range(3)]

    @property
    def running(self) -> list[str]:
        ask = "curl -fsS --max-time 5 http://127.0.0.1:8101/healthz"
        return [json.loads(self.sh(number, ask))["version"] for number in range(3)]

    def all_at(self, version: str) -> bool:
        """Whether every host has a version, whole, runs it, serves, and nothing is left of a roll."""
        assert self.installed == [f"ii |{version}-1"] * 3
        assert self.running == [version] * 3
        for number in range(3):
            assert "out.json" not in self.sh(number, "ls /var/lib/debship/tiny")
            assert self.sh(number, "cat /var/lib/debship/tiny/lock").startswith("- ")
            assert self.sh(number, "find /usr/lib/tiny -name '*.dpkg-new'") == ""
        return all_serve(self.stage)

    def start(self, version: str, log: Path):
        return self.stage.start_fab("deploy", "--app", "tiny", "--version", version, log=log)

    @contextmanager
    def changed(self, **changes: Any) -> Iterator[None]:
        path = self.stage.state / "fleet.toml"
        text = path.read_text()
        fleet = tomllib.loads(text)
        fleet["apps"]["tiny"] |= changes
        path.write_text(tomli_w.dumps(fleet))
        try:
            yield
        finally:
            path.write_text(text)


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("faults")
    (folder / "fleet.toml").write_text(FLEET)
    stage = Rehearsal(folder, name=f"f{request.param}{os.getpid()}")
    try:
        words = ("--hosts", "3", "--release", request.param)
        stage.up(*words, "--fleet", str(folder / "fleet.toml"))
        stage.publish(*(make_tiny(folder, version, **how) for version, how in VERSIONS.items()))
        stage.fab("bootstrap", "--app", "tiny")
        yield Fleet(stage)
    finally:
        stage.down()


@pytest.fixture
def fleet(lab: Fleet) -> Fleet:
    """The fleet, every host well at 1.0."""
    done = lab.deploy("1.0")
    assert set(lab.outcomes(done)) <= {"changed", "unchanged"}, done.text
    return lab


@pytest.fixture
def watched(fleet: Fleet, tmp_path: Path):
    """A witness: no request may fail, and two hosts serve at every moment."""
    witness = Witness(fleet.stage, tmp_path)
    assert all_serve(fleet.stage)
    with witness:
        yield witness
    assert witness.answers.failures == ()
    assert witness.answers.total > 50
    assert witness.timeline.fewest("tiny") >= 2


def power_cycle(fleet: Fleet, number: int) -> None:
    """Pull a host's plug, and put it back."""
    host = fleet.stage.lab["hosts"][number]
    os.kill(host["pid"], signal.SIGKILL)
    words = ("lab", "up", "--name", fleet.stage.name, "--hosts", "3", "--json")
    release = ("--release", host["release"], "--fleet", str(fleet.stage.folder / "fleet.toml"))
    text = (fleet.stage.state / "fleet.toml").read_text()
    told = json.loads(fleet.stage.debship(*words, *release).stdout)["result"]
    (fleet.stage.state / "fleet.toml").write_text(text)
    fleet.stage.lab = told


@pytest.mark.parametrize(
    ("version", "moment"),
    [
        ("1.3", "[ $(dpkg-query -W -f '${db:Status-Abbrev}' tiny) = iHR ]"),
        ("1.2", "pgrep -x sleep"),
    ],
    ids=["in unpacking", "in postinst"],
)
def test_1_a_host_that_dies_in_an_installation_is_repaired(
    fleet: Fleet, watched, tmp_path: Path, version: str, moment: str
) -> None:
    roller = fleet.start(version, tmp_path / "log")
    wait_for(tmp_path / "log", f"{fleet.hosts[0]}: installing")
    line = f"until {moment}; do sleep 0.01; done"
    fleet.stage.enter(fleet.hosts[0], "timeout", "20", "sh", "-c", line)
    power_cycle(fleet, 0)
    assert roller.process.wait(timeout=240) == 0, (tmp_path / "log").read_text()
    assert fleet.all_at(version)


@pytest.mark.parametrize("how", ["reset", "black hole"])
def test_2_a_link_that_is_lost_in_an_installation_is_taken_up_again(
    fleet: Fleet, watched, tmp_path: Path, how: str
) -> None:
    log = tmp_path / "log"
    roller = fleet.start("1.2", log)
    wait_for(log, f"{fleet.hosts[0]}: installing")
    fleet.stage.enter(
        fleet.hosts[0], "timeout", "20", "sh", "-c", "until pgrep -x sleep; do :; done"
    )
    if how == "reset":
        fleet.sh(0, "pkill -KILL -f '^sshd(-session)?: root'")
    else:
        plan = json.loads((fleet.stage.state / "lab.json").read_text())["plan"]
        veth = plan["hosts"][0]["veth"]
        run(["ip", "link", "set", veth, "down"])
        try:
            # The operator's side finds the dead link within its stated 20 s, and tries again.
            until(lambda: not _connected(fleet.hosts[0]), seconds=40)
        finally:
            run(["ip", "link", "set", veth, "up"])
    assert roller.process.wait(timeout=240) == 0, log.read_text()
    assert fleet.all_at("1.2")
    assert fleet.sh(0, "grep -c 'install tiny\\|upgrade tiny 1.0-1 1.2-1' /var/log/dpkg.log") == "1"


def _connected(host: str) -> bool:
    told = run(["ss", "-Htn", "state", "established", "dst", f"{host}:22"]).text
    return bool(told.strip())


def test_3_a_lock_of_dpkg_is_waited_for_while_the_host_serves(
    fleet: Fleet, watched, tmp_path: Path
) -> None:
    hold = (
        "import fcntl, time; f = open('/var/lib/dpkg/lock-frontend', 'w'); "
        "fcntl.lockf(f, fcntl.LOCK_EX); time.sleep(6)"
    )
    fleet.sh(2, f'systemd-run -q --collect --unit=holder python3 -c "{hold}"')
    assert fleet.outcomes(fleet.deploy("1.1")) == ["changed"] * 3
    name = fleet.stage.lab["hosts"][2]["name"]
    out = watched.observer.so_far().seconds_out()["tiny", name]
    assert out < 5
    assert fleet.all_at("1.1")


def test_3_a_lock_of_the_lists_stops_the_deploy_before_it_begins(fleet: Fleet, watched) -> None:
    hold = (
        "import fcntl, time; f = open('/var/lib/apt/lists/lock', 'w'); "
        "fcntl.lockf(f, fcntl.LOCK_EX); time.sleep(60)"
    )
    fleet.sh(1, f'systemd-run -q --collect --unit=holder python3 -c "{hold}"')
    try:
        done = fleet.deploy("1.1")
    finally:
        fleet.sh(1, "systemctl stop holder")
    assert done.returncode == 1
    assert "could not be read" in done.stderr.decode()
    assert fleet.all_at("1.0")


@pytest.mark.parametrize(
    ("version", "changes"),
    [("2.0", {}), ("2.1", {}), ("2.2", {"soak": 5}), ("2.3", {})],
    ids=["5 postinst fails", "4 is sick", "4 crashes after a while", "4 starts too slowly"],
)
def test_a_bad_version_touches_one_host_and_is_taken_back(
    fleet: Fleet, watched, version: str, changes: dict[str, Any]
) -> None:
    with fleet.changed(**changes):
        done = fleet.deploy(version)
    assert done.returncode == 1
    assert fleet.outcomes(done) == ["returned", "untouched", "untouched"]
    assert fleet.all_at("1.0")


def test_5_a_conffile_that_both_sides_changed_stays_as_it_is_here(fleet: Fleet, watched) -> None:
    fleet.sh(1, "echo 'mine = 3' > /etc/tiny.conf")
    try:
        done = fleet.deploy("1.1")
        assert fleet.outcomes(done) == ["changed"] * 3
        assert fleet.sh(1, "cat /etc/tiny.conf") == "mine = 3"
        told = json.loads(done.stdout)["result"]["hosts"][1]
        assert told["edited"] == ["/etc/tiny.conf"]
        assert "\n-a = 2\n+mine = 3" in told["edits"]
    finally:
        fleet.sh(1, "echo 'a = 2' > /etc/tiny.conf; rm -f /etc/tiny.conf.dpkg-*")


@pytest.mark.parametrize("fault", ["unmet", "down", "no room", "foreign"])
def test_5_10_11_what_cannot_work_is_found_while_all_serve(
    fleet: Fleet, watched, tmp_path: Path, fault: str
) -> None:
    version, said, mend = "1.1", "", lambda: None
    dists = Path(fleet.stage.store) / "dists"
    if fault == "unmet":
        version, said = "2.4", "no-such-package"
    elif fault == "down":
        dists.rename(dists.with_name("gone"))
        said, mend = "could not be read", lambda: dists.with_name("gone").rename(dists)
    elif fault == "no room":
        fleet.sh(
            2,
            "mount -t tmpfs -o size=1M tmpfs /var/cache/apt/archives; mkdir -p /var/cache/apt/archives/partial",
        )
        version, said, mend = "1.3", "enough", lambda: fleet.sh(2, "umount /var/cache/apt/archives")
    else:
        broken = make_tiny(tmp_path, "9", depends=", no-such-package").read_bytes()
        fleet.stage.enter(fleet.hosts[2], "sh", "-c", "cat > /tmp/broken.deb", stdin=broken)
        fleet.sh(
            2,
            "cd /tmp && dpkg-deb -R broken.deb b && sed -i 's/^Package: tiny/Package: foreign/' b/DEBIAN/control && rm -r b/usr b/DEBIAN/postinst b/DEBIAN/conffiles 2>/dev/null; dpkg-deb -b b broken.deb && dpkg --unpack broken.deb",
        )
        said, mend = "foreign", lambda: fleet.sh(2, "dpkg --purge foreign; rm -r /tmp/b*")
    try:
        done = fleet.deploy(version)
    finally:
        mend()
    assert done.returncode in {1, 3}
    assert said in done.stderr.decode()
    assert fleet.all_at("1.0")


@pytest.mark.parametrize("state", ["iU", "iHR"])
def test_10_a_half_installed_package_of_ours_is_mended_while_the_host_serves(
    fleet: Fleet, watched, state: str
) -> None:
    deb = "/var/cache/apt/archives/tiny_1.0-1_all.deb"
    fleet.sh(1, f"[ -e {deb} ] || apt-get -q -y -d --reinstall install tiny=1.0-1")
    if state == "iU":
        fleet.sh(1, f"dpkg --unpack {deb}")
    else:
        fleet.sh(
            1,
            "sed -i '/^Package: tiny$/,/^$/s/^Status: .*/Status: install reinstreq half-installed/' /var/lib/dpkg/status",
        )
    assert fleet.installed[1].startswith(state)
    assert fleet.outcomes(fleet.deploy("1.1")) == ["changed"] * 3
    assert fleet.all_at("1.1")


def test_12_a_host_that_dies_by_itself_is_brought_to_the_version_first(
    fleet: Fleet, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    roller = fleet.start("1.2", log)
    wait_for(log, f"{fleet.hosts[0]}: installing")
    fleet.sh(2, "systemctl stop tiny")
    assert roller.process.wait(timeout=240) == 0, log.read_text()
    told = log.read_text()
    assert told.index(f"{fleet.hosts[2]}: leaving") < told.index(f"{fleet.hosts[1]}: leaving")
    assert fleet.all_at("1.2")


def test_14_where_the_way_back_fails_too_the_host_is_left_out_and_the_rest_serves(
    fleet: Fleet, watched
) -> None:
    done = fleet.deploy("2.5")
    assert done.returncode == 1
    assert fleet.outcomes(done) == ["failed", "untouched", "untouched"]
    assert "fab restore" in done.text
    assert serving(fleet.stage)[0].startswith("DRAIN")
    assert fleet.outcomes(fleet.deploy("1.1")) == ["changed"] * 3
    assert fleet.all_at("1.1")


def test_16_a_package_on_hold_is_held_again(fleet: Fleet, watched) -> None:
    fleet.sh(1, "apt-mark hold tiny")
    try:
        assert fleet.outcomes(fleet.deploy("1.1")) == ["changed"] * 3
        assert fleet.sh(1, "apt-mark showhold") == "tiny"
        assert fleet.running == ["1.1"] * 3
    finally:
        fleet.sh(1, "apt-mark unhold tiny")


def test_18_a_reload_of_haproxy_that_forgets_who_is_out_is_noticed(
    fleet: Fleet, watched, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    roller = fleet.start("1.2", log)
    wait_for(log, f"{fleet.hosts[0]}: installing")
    master = json.loads((fleet.stage.state / "lab.json").read_text())["processes"]["balancer"]
    os.kill(master["pid"], signal.SIGUSR2)
    assert roller.process.wait(timeout=240) == 0, log.read_text()
    assert fleet.all_at("1.2")


def test_18_a_node_that_does_not_answer_lets_no_host_leave(fleet: Fleet, watched) -> None:
    balancers = [
        {"kind": "haproxy", "sockets": [str(fleet.stage.haproxy), "/nowhere"], "backend": "tiny"}
    ]
    with fleet.changed(balancers=balancers):
        done = fleet.deploy("1.1")
    assert done.returncode == 1
    assert "/nowhere" in done.stderr.decode()
    assert fleet.all_at("1.0")


def test_19_a_request_longer_than_the_drain_is_cut_off_and_told(
    fleet: Fleet, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with socket.create_connection((fleet.stage.url.split("/")[2].split(":")[0], 8101)) as client:
        client.sendall(b"GET /wait?seconds=8 HTTP/1.0\r\n\r\n")
        until(lambda: any(int(s) for s in _under_way(fleet)))
        done = fleet.deploy("1.1")
        log.write_bytes(done.stdout)
    assert fleet.outcomes(done) == ["changed"] * 3
    journal = Path(json.loads(done.stdout)["result"]["journal"]).read_text()
    assert '"drain-limit"' in journal
    assert fleet.all_at("1.1")


def _under_way(fleet: Fleet) -> list[str]:
    rows = ask(str(fleet.stage.haproxy), "show stat").splitlines()
    return [row.split(",")[4] for row in rows if row.startswith("tiny,h")]


def test_8_who_asks_twice_to_stop_leaves_at_a_safe_point(
    fleet: Fleet, watched, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    roller = fleet.start("1.2", log)
    wait_for(log, f"{fleet.hosts[1]}: installing")
    os.kill(roller.pid, signal.SIGTERM)
    assert roller.process.wait(timeout=120) in {1, 4}
    assert "fab restore" in log.read_text()
    assert fleet.stage.fab("restore", "--app", "tiny").returncode == 0
    assert set(fleet.running) <= {"1.0", "1.2"}
    assert all_serve(fleet.stage)
    assert fleet.outcomes(fleet.deploy("1.2")).count("changed") >= 1
    assert fleet.all_at("1.2")
