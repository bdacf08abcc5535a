"""The faults that a roll meets, on real hosts of two releases, judged from outside.

The numbers are those of the rows of the fault table that the design was made from. What needs AWS is
in test_rolling_aws, what needs many rolls in the simulation, the roller's own deaths in test_rolling.
"""

import contextlib
import json
import os
import signal
import socket
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from examples.rehearsal import Rehearsal
from test_rolling import all_serve, serving, wait_for
from tiny import make_tiny
from witness import Witness

from debship.lab.group import process
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
[apps.tiny.health]
path = "/healthz"
port = 8101
version = "version"
timeout = 5
"""
NO_NETWORK = "/etc/apt/apt.conf.d/99nowhere"
NO_WAY_BACK = f"""\
rm -f /var/cache/apt/archives/tiny_1.0*
echo 'Acquire::http::Proxy "http://127.0.0.1:9";' > {NO_NETWORK}"""
VERSIONS: dict[str, dict[str, Any]] = {
    "1.0": {"conffile": "a = 1"},
    "1.1": {"conffile": "a = 2"},
    "1.2": {"postinst": "sleep 4", "conffile": "a = 2"},
    "1.3": {"size": 150_000_000, "conffile": "a = 2"},
    "2.0": {"postinst": "exit 1"},
    "2.1": {"status": 500},
    "2.2": {"crash": 3.0},
    "2.3": {"start": 30.0},
    "2.4": {"depends": ", no-such-package"},
    "2.5": {"status": 500, "postinst": NO_WAY_BACK},
    "2.7": {"status": 500, "postinst": "rm -f /var/cache/apt/archives/tiny_1.0*"},
    "2.6": {"port": 8109},
}
# fab as it is, but of less patience with a lock that is never let go.
IMPATIENT = """\
from debship.deploy import apt, installation, locked
apt._LOCK = ("-o", "DPkg::Lock::Timeout=2")
installation.HOLDING = locked.HOLDING = 2.0
from fabric.main import program
program.run()
"""


HOSTS = ("--hosts", "4", "--release", "bookworm", "--release", "trixie")


@dataclass
class Fleet:
    """Four hosts of two releases, in turns, behind HAProxy; a fault hits one of them."""

    stage: Rehearsal
    victim: int = 0  # the number of that host

    @property
    def address(self) -> str:
        return self.hosts[self.victim]

    @property
    def only(self) -> tuple[str, str]:
        return ("--only", self.address)

    @property
    def hosts(self) -> tuple[str, ...]:
        return self.stage.hosts

    def sh(self, line: str, *, on: int | None = None, check: bool = True) -> str:
        """Run a line on the victim, or on another."""
        host = self.hosts[self.victim if on is None else on]
        return self.stage.enter(host, "sh", "-c", line, check=check).text

    def deploy(self, version: str, *words: str) -> Completed:
        words = ("deploy", "--app", "tiny", "--version", version, "--json", *words)
        return self.stage.fab(*words, check=False)

    def outcomes(self, done: Completed) -> list[str]:
        assert done.stdout, done.stderr.decode()
        return [host["outcome"] for host in json.loads(done.stdout)["result"]["hosts"]]

    @property
    def installed(self) -> str:
        return self.sh("dpkg-query -W -f '${db:Status-Abbrev}|${Version}' tiny", check=False)

    def is_at(self, version: str, *, on: int | None = None) -> bool:
        """Whether a host has a version, whole, runs it, serves, and nothing is left of a roll."""
        state = "dpkg-query -W -f '${db:Status-Abbrev}|${Version}' tiny"
        assert self.sh(state, on=on) == f"ii |{version}-1"
        told = self.sh("curl -fsS --max-time 5 http://127.0.0.1:8101/healthz", on=on)
        assert json.loads(told)["version"] == version
        assert "out.json" not in self.sh("ls /var/lib/debship/tiny", on=on)
        assert self.sh("cat /var/lib/debship/tiny/lock", on=on).startswith("- ")
        assert self.sh("find /usr/lib/tiny -name '*.dpkg-new'", on=on) == ""
        return all_serve(self.stage)

    def all_at(self, version: str) -> bool:
        return all(self.is_at(version, on=number) for number in range(len(self.hosts)))

    def start(self, version: str, log: Path, *words: str, env: Mapping[str, str] | None = None):
        words = ("deploy", "--app", "tiny", "--version", version, *words)
        return self.stage.start_fab(*words, log=log, env=env)

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


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("faults")
    (folder / "fleet.toml").write_text(FLEET)
    stage = Rehearsal(folder, name=f"f{os.getpid()}")
    try:
        stage.up(*HOSTS, "--fleet", str(folder / "fleet.toml"))
        stage.publish(*(make_tiny(folder, version, **how) for version, how in VERSIONS.items()))
        stage.fab("bootstrap", "--app", "tiny")
        yield Fleet(stage)
    finally:
        stage.down()


@pytest.fixture
def fleet(lab: Fleet) -> Fleet:
    """The fleet, every host well at 1.0."""
    lab.victim = 0
    with lab.changed(batch=2):
        done = lab.deploy("1.0")
    assert set(lab.outcomes(done)) <= {"changed", "unchanged"}, done.text
    return lab


@pytest.fixture(params=["bookworm", "trixie"])
def hit(fleet: Fleet, request: pytest.FixtureRequest) -> Fleet:
    """The same; what goes wrong does so on a host of this release, which goes first."""
    fleet.victim = ["bookworm", "trixie"].index(request.param)
    assert fleet.stage.lab["hosts"][fleet.victim]["release"] == request.param
    first = [fleet.address, *(host for host in fleet.hosts if host != fleet.address)]
    with fleet.changed(hosts=first):
        yield fleet


@pytest.fixture
def watched(fleet: Fleet, tmp_path: Path):
    """A witness: no request may fail, and all but one host serve at every moment."""
    witness = Witness(fleet.stage, tmp_path)
    assert all_serve(fleet.stage)
    with witness:
        yield witness
    assert witness.answers.failures == ()
    assert witness.answers.total > 20  # a second's at its slowest
    assert witness.timeline.fewest("tiny") >= len(fleet.hosts) - 1


def power_cycle(fleet: Fleet, *, orderly: bool = False) -> None:
    """Pull a host's plug, or shut it down, and start it again."""
    host = fleet.stage.lab["hosts"][fleet.victim]
    if orderly:
        fleet.sh("systemctl start --no-block --job-mode=replace-irreversibly poweroff.target")
    else:
        os.kill(host["pid"], signal.SIGKILL)
    until(lambda: process(host["pid"]) is None)  # it is told at once, and dies when it comes to it
    words = ("lab", "up", "--name", fleet.stage.name, "--json", *HOSTS)
    rehearsed = ("--fleet", str(fleet.stage.folder / "fleet.toml"))
    text = (fleet.stage.state / "fleet.toml").read_text()
    told = json.loads(fleet.stage.debship(*words, *rehearsed).stdout)["result"]
    (fleet.stage.state / "fleet.toml").write_text(text)
    fleet.stage.lab = told


def begun(hit: Fleet, log: Path, version: str = "1.2") -> Any:
    """A roller of the victim alone, in the middle of the installation: in postinst, mostly."""
    roller = hit.start(version, log, *hit.only)
    wait_for(log, f"{hit.address}: installing")
    return roller


def wait_on(hit: Fleet, condition: str) -> None:
    line = f"until {condition}; do sleep 0.01; done"
    hit.stage.enter(hit.address, "timeout", "20", "sh", "-c", line)


@pytest.mark.parametrize(
    ("version", "moment"),
    [
        ("1.3", "dpkg-query -W -f '${db:Status-Abbrev}' tiny | grep -q '^iH'"),
        ("1.2", "pgrep -x sleep"),
    ],
    ids=["in unpacking", "in postinst"],
)
def test_1_a_host_that_dies_in_an_installation_is_repaired(
    hit: Fleet, watched, tmp_path: Path, version: str, moment: str
) -> None:
    roller = begun(hit, tmp_path / "log", version)
    wait_on(hit, moment)
    power_cycle(hit)
    assert roller.process.wait(timeout=240) == 0, (tmp_path / "log").read_text()
    assert hit.is_at(version)


def test_1_a_host_that_is_shut_down_in_an_installation_is_repaired(
    hit: Fleet, watched, tmp_path: Path
) -> None:
    roller = begun(hit, tmp_path / "log")
    wait_on(hit, "pgrep -x sleep")
    power_cycle(hit, orderly=True)
    assert roller.process.wait(timeout=240) == 0, (tmp_path / "log").read_text()
    assert hit.is_at("1.2")


@pytest.mark.parametrize("how", ["reset", "black hole"])
def test_2_a_link_that_is_lost_in_an_installation_is_taken_up_again(
    hit: Fleet, watched, tmp_path: Path, how: str
) -> None:
    log = tmp_path / "log"
    roller = begun(hit, log)
    wait_on(hit, "pgrep -x sleep")
    if how == "reset":
        hit.sh("pkill -KILL -f '^sshd(-session)?: root'")
    else:
        plan = json.loads((hit.stage.state / "lab.json").read_text())["plan"]
        veth = plan["hosts"][hit.victim]["veth"]
        run(["ip", "link", "set", veth, "down"])
        try:
            # A dead link is found within 20 s, though nobody says that it is dead.
            until(lambda: not _connected(hit.address), seconds=35)
        finally:
            run(["ip", "link", "set", veth, "up"])
    assert roller.process.wait(timeout=240) == 0, log.read_text()
    assert hit.is_at("1.2")
    assert hit.sh("grep -c 'upgrade tiny:all 1.0-1 1.2-1' /var/log/dpkg.log | tail -n 1") >= "1"


@pytest.mark.parametrize(
    ("hit", "how"),
    [
        ("bookworm", "systemctl daemon-reexec"),
        ("trixie", "systemctl daemon-reexec"),
        ("bookworm", "pkill -KILL -x apt-get"),
    ],
    indirect=["hit"],
)
def test_2_a_systemd_that_begins_anew_or_an_apt_that_is_killed_is_no_fault_of_the_version(
    hit: Fleet, watched, tmp_path: Path, how: str
) -> None:
    roller = begun(hit, tmp_path / "log")
    wait_on(hit, "pgrep -x sleep")
    hit.sh(how)
    assert roller.process.wait(timeout=240) == 0, (tmp_path / "log").read_text()
    assert hit.is_at("1.2")


def _connected(host: str) -> bool:
    told = run(["ss", "-Htn", "state", "established", "dst", f"{host}:22"]).text
    return bool(told.strip())


def held(lock: str, seconds: int) -> str:
    """The line of sh that holds a lock of apt's, and ends when it is held."""
    code = (
        f"import fcntl, time; f = open('{lock}', 'w'); "
        f"fcntl.lockf(f, fcntl.LOCK_EX); open('/run/held', 'w').close(); time.sleep({seconds})"
    )
    begin = f'rm -f /run/held; systemd-run -q --collect --unit=holder python3 -c "{code}"'
    return f"{begin}; until [ -e /run/held ]; do sleep 0.05; done"


def hold(hit: Fleet, lock: str, seconds: int) -> None:
    """Hold a lock of apt's on the victim."""
    hit.sh(held(lock, seconds))


@pytest.mark.parametrize(
    ("hit", "meanwhile"),
    [("bookworm", held("/var/cache/apt/archives/lock", 6)), ("trixie", "apt-get clean")],
    ids=["another apt fetches", "the archives are cleaned"],
    indirect=["hit"],
)
def test_3_what_befalls_apt_between_preparation_and_turn_is_no_fault_of_the_version(
    hit: Fleet, watched, meanwhile: str
) -> None:
    hook = {"name": "meanwhile", "when": "before-host", "command": ["sh", "-c", meanwhile]}
    with hit.changed(hooks=[hook]):
        done = hit.deploy("1.1", *hit.only)
    assert hit.outcomes(done) == ["changed"]
    assert hit.is_at("1.1")


def test_3_a_lock_of_dpkg_is_waited_for_while_the_host_serves(hit: Fleet, watched) -> None:
    hold(hit, "/var/lib/dpkg/lock-frontend", 8)
    done = hit.deploy("1.1", *hit.only)
    assert hit.outcomes(done) == ["changed"]
    name = hit.stage.lab["hosts"][hit.victim]["name"]
    assert watched.observer.so_far().seconds_out()["tiny", name] < 6
    assert hit.is_at("1.1")


def test_3_a_lock_of_dpkg_that_is_never_let_go_keeps_every_host_in(fleet: Fleet, watched) -> None:
    for fleet.victim in (0, 1):  # one of each release
        hold(fleet, "/var/lib/dpkg/lock-frontend", 60)
    words = ("deploy", "--app", "tiny", "--version", "1.1")
    try:
        done = run(
            (sys.executable, "-c", IMPATIENT, *words),
            cwd=fleet.stage.state,
            env=fleet.stage.environment,
            check=False,
        )
    finally:
        for host in (0, 1):
            fleet.sh("systemctl stop holder", on=host)
    assert done.returncode == 1
    told = done.stderr.decode()
    for host in fleet.hosts[:2]:
        assert f"{host}: 1.1-1 was not fetched" in told
    assert told.count("lock-frontend") >= 2
    assert fleet.all_at("1.0")
    name = fleet.stage.lab["hosts"][0]["name"]
    assert watched.observer.so_far().seconds_out()["tiny", name] == 0


def test_3_a_lock_of_the_lists_is_waited_for_before_the_roll_begins(hit: Fleet, watched) -> None:
    hold(hit, "/var/lib/apt/lists/lock", 6)
    assert hit.outcomes(hit.deploy("1.1", *hit.only)) == ["changed"]
    assert hit.is_at("1.1")


@pytest.mark.parametrize(
    "version",
    ["2.0", "2.1", "2.3", "2.6"],
    ids=["5 postinst fails", "4 is sick", "4 starts too slowly", "4 is deaf"],
)
def test_a_bad_version_touches_one_host_and_is_taken_back(
    hit: Fleet, watched, version: str
) -> None:
    done = hit.deploy(version)
    assert done.returncode == 1
    assert hit.outcomes(done) == ["returned", "untouched", "untouched", "untouched"]
    assert hit.all_at("1.0")


def test_4_a_version_that_crashes_when_it_serves_goes_no_further(hit: Fleet) -> None:
    with hit.changed(soak=5):
        done = hit.deploy("2.2")
    assert done.returncode == 1
    assert hit.outcomes(done) == ["returned", "untouched", "untouched", "untouched"]
    assert hit.all_at("1.0")


def test_5_a_conffile_that_both_sides_changed_stays_as_it_is_here(hit: Fleet, watched) -> None:
    hit.sh("echo 'mine = 3' > /etc/tiny.conf")
    try:
        done = hit.deploy("1.1", *hit.only)
        assert hit.outcomes(done) == ["changed"]
        assert hit.sh("cat /etc/tiny.conf") == "mine = 3"
        (told,) = json.loads(done.stdout)["result"]["hosts"]
        assert told["edited"] == ["/etc/tiny.conf"]
        assert "-a = 2\n+mine = 3" in told["edits"]
    finally:
        hit.sh("echo 'a = 2' > /etc/tiny.conf; rm -f /etc/tiny.conf.dpkg-*")


def test_5_an_unmet_dependency_is_found_while_all_serve(hit: Fleet, watched) -> None:
    done = hit.deploy("2.4")
    assert done.returncode == 1
    assert "no-such-package" in done.stderr.decode()
    assert hit.all_at("1.0")


def test_5_a_repository_that_is_down_is_found_while_all_serve(hit: Fleet, watched) -> None:
    dists = Path(hit.stage.store) / "dists"
    dists.rename(dists.with_name("gone"))
    try:
        done = hit.deploy("1.1")
    finally:
        dists.with_name("gone").rename(dists)
    assert done.returncode == 1
    assert "could not be read" in done.stderr.decode()
    assert hit.all_at("1.0")


def test_10_a_broken_package_of_somebody_else_is_told_and_not_touched(hit: Fleet, watched) -> None:
    control = (
        "Package: foreign\nVersion: 1\nArchitecture: all\nMaintainer: T <t@example.com>\n"
        "Depends: no-such-package\nDescription: x\n"
    )
    hit.sh(
        "mkdir -p /tmp/f/DEBIAN && cat > /tmp/f/DEBIAN/control << 'END' && "
        f"dpkg-deb -b /tmp/f /tmp/f.deb && dpkg --unpack /tmp/f.deb\n{control}END\n"
    )
    try:
        done = hit.deploy("1.1")
        assert hit.sh("dpkg-query -W -f '${db:Status-Abbrev}' foreign").startswith("iU")
    finally:
        hit.sh("dpkg --purge foreign; rm -r /tmp/f /tmp/f.deb")
    assert done.returncode == 1
    assert "no-such-package" in done.stderr.decode()
    assert hit.all_at("1.0")


@pytest.mark.parametrize("state", ["iU", "iHR"])
def test_10_a_half_installed_package_of_ours_is_mended_while_the_host_serves(
    hit: Fleet, watched, state: str
) -> None:
    if state == "iU":
        hit.sh("cd /tmp && apt-get -q download tiny=1.0-1 && dpkg --unpack tiny_1.0-1_all.deb")
    else:
        broken = "install reinstreq half-installed"
        line = f"/^Package: tiny$/,/^$/s/^Status: .*/Status: {broken}/"
        hit.sh(f"sed -i '{line}' /var/lib/dpkg/status")
    assert hit.installed.startswith(state)
    assert hit.outcomes(hit.deploy("1.1", *hit.only)) == ["changed"]
    assert hit.is_at("1.1")


def test_11_a_disk_that_is_too_full_is_found_while_all_serve(hit: Fleet, watched) -> None:
    archives = "/var/cache/apt/archives"
    hit.sh(f"mount -t tmpfs -o size=1M tmpfs {archives} && mkdir {archives}/partial")
    try:
        done = hit.deploy("1.3")
    finally:
        hit.sh(f"umount {archives}")
    assert done.returncode == 1
    assert "space" in done.stderr.decode()
    assert hit.all_at("1.0")


def test_11_what_dpkg_could_not_write_is_found_while_all_serve(hit: Fleet, watched) -> None:
    hit.sh("mount --bind /usr /usr && mount -o remount,ro,bind /usr")
    try:
        done = hit.deploy("1.1")
    finally:
        hit.sh("umount -l /usr")
    assert done.returncode == 1
    assert "cannot be unpacked there: /usr is read-only" in done.stderr.decode()
    assert hit.all_at("1.0")


def test_12_a_host_that_dies_by_itself_is_brought_to_the_version_first(
    fleet: Fleet, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    roller = fleet.start("1.2", log)
    wait_for(log, f"{fleet.hosts[0]}: installing")
    fleet.sh("systemctl stop tiny", on=3)
    assert roller.process.wait(timeout=240) == 0, log.read_text()
    told = log.read_text()
    assert told.index(f"{fleet.hosts[3]}: leaving") < told.index(f"{fleet.hosts[1]}: leaving")
    assert fleet.all_at("1.2")


def test_14_where_the_way_back_fails_too_the_host_is_left_out_and_the_rest_serves(
    hit: Fleet, watched
) -> None:
    done = hit.deploy("2.5")
    assert done.returncode == 1
    assert hit.outcomes(done) == ["failed", "untouched", "untouched", "untouched"]
    assert "fab restore" in done.text
    assert serving(hit.stage).count("UP") == len(hit.hosts) - 1
    hit.sh(f"rm {NO_NETWORK}")
    assert hit.outcomes(hit.deploy("1.1", *hit.only)) == ["changed"]
    assert hit.is_at("1.1")


@pytest.mark.parametrize("hit", ["trixie"], indirect=True)
def test_14_what_the_way_back_needs_is_fetched_again_where_it_is_gone(hit: Fleet, watched) -> None:
    done = hit.deploy("2.7", *hit.only)
    assert hit.outcomes(done) == ["returned"]
    assert hit.is_at("1.0")


def test_a_way_back_that_is_damaged_is_fetched_anew(hit: Fleet) -> None:
    """As long as it was: apt takes what lies there by its size."""
    deb = "/var/cache/apt/archives/tiny_1.0-1_all.deb"
    hit.sh(f"head -c 16 /dev/zero | dd of={deb} bs=1 seek=400 conv=notrunc status=none")
    done = hit.deploy("2.1", *hit.only)
    assert hit.outcomes(done) == ["returned"]
    assert hit.is_at("1.0")


# What needrestart and unattended-upgrades do to a host, as far as they could harm a roll: the one
# restarts services after any apt that does not suspend it, the other upgrades whatever it finds.
MEDDLERS = """\
cat > /usr/local/sbin/needrestart << 'END'
#!/bin/sh
[ -n "$NEEDRESTART_SUSPEND" ] || systemctl try-restart tiny
echo "by $NEEDRESTART_SUSPEND" >> /run/needrestart
END
chmod 755 /usr/local/sbin/needrestart
echo 'DPkg::Post-Invoke { "/usr/local/sbin/needrestart"; };' > /etc/apt/apt.conf.d/99needrestart
systemd-run -q --unit=unattended --setenv=NEEDRESTART_SUSPEND=unattended \
    sh -c 'while :; do apt-get -q -y upgrade; sleep 0.2; done'
"""
NO_MEDDLERS = """\
systemctl stop unattended
rm -f /etc/apt/apt.conf.d/99needrestart /usr/local/sbin/needrestart
"""


def test_16_a_held_package_is_rolled_and_held_again_whoever_meddles(hit: Fleet, watched) -> None:
    hit.sh("apt-mark hold tiny")
    hit.sh(MEDDLERS)
    try:
        done = hit.deploy("1.1", *hit.only)
        assert hit.outcomes(done) == ["changed"], done.text
        assert hit.sh("apt-mark showhold") == "tiny"
        # Of two upgrades at once the roll's is the only one, and its restart the only one.
        assert hit.sh("systemctl is-active unattended") == "active"
        assert set(hit.sh("cat /run/needrestart").splitlines()) <= {"by 1", "by unattended"}
        assert "by 1" in hit.sh("cat /run/needrestart")
    finally:
        hit.sh(NO_MEDDLERS)
        hit.sh("rm -f /run/needrestart; until apt-mark unhold tiny; do sleep 0.2; done")
    assert hit.is_at("1.1")


# Every clock of a program but the monotonic one, wrong by as many seconds as a file says.
CLOCK = r"""
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long wrong(void) {
    long seconds = 0;
    FILE *file = fopen(getenv("CLOCK"), "r");
    if (file) {
        if (fscanf(file, "%ld", &seconds) != 1) seconds = 0;
        fclose(file);
    }
    return seconds;
}
int clock_gettime(clockid_t clock, struct timespec *now) {
    int code = syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME) now->tv_sec += wrong();
    return code;
}
int gettimeofday(struct timeval *now, void *zone) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *where) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (where) *where = exact.tv_sec;
    return exact.tv_sec;
}
"""


@pytest.mark.parametrize("hours", [1, -1])
def test_17_a_clock_that_jumps_ends_no_roll(
    fleet: Fleet, watched, tmp_path: Path, hours: int
) -> None:
    library, told, log = tmp_path / "clock.so", tmp_path / "clock", tmp_path / "log"
    run(("cc", "-shared", "-fPIC", "-x", "c", "-o", library, "-"), stdin=CLOCK.encode())
    told.write_text("0")
    # Of one release each: out at one time, back at another.
    only = [word for host in fleet.hosts[:2] for word in ("--only", host)]
    env = {"LD_PRELOAD": str(library), "CLOCK": str(told)}
    roller = fleet.start("1.1", log, *only, env=env)
    jumps = {"leaving": hours, "restarting": -hours, "returning": hours}
    for host in fleet.hosts[:2]:
        for what, jump in jumps.items():
            wait_for(log, f"{host}: {what}")
            # At once: a file that is empty for a moment is a clock that is right for a moment.
            told.with_suffix(".new").write_text(str(jump * 3600))
            told.with_suffix(".new").replace(told)
    assert roller.process.wait(timeout=120) == 0, log.read_text()
    assert abs(_wrong_by(fleet)) > 3000, "the clock of who rolls did jump"
    assert fleet.is_at("1.1", on=0)
    assert fleet.is_at("1.1", on=1)


def _wrong_by(fleet: Fleet) -> float:
    """Seconds between the end of a roll as who rolled writes it down, and as a host knows it."""
    lines = fleet.sh("tail -n 1 /var/lib/debship/tiny/history.jsonl; date +%s").splitlines()
    return datetime.fromisoformat(json.loads(lines[0])["at"]).timestamp() - float(lines[1])


def test_18_a_reload_of_haproxy_that_forgets_who_is_out_is_noticed(
    hit: Fleet, watched, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    roller = begun(hit, log)
    master = json.loads((hit.stage.state / "lab.json").read_text())["processes"]["balancer"]
    os.kill(master["pid"], signal.SIGUSR2)
    assert roller.process.wait(timeout=240) == 0, log.read_text()
    assert hit.is_at("1.2")


def test_18_a_node_that_does_not_answer_lets_no_host_leave(fleet: Fleet, watched) -> None:
    nodes = [str(fleet.stage.haproxy), "/nowhere"]
    balancers = [{"kind": "haproxy", "sockets": nodes, "backend": "tiny"}]
    with fleet.changed(balancers=balancers):
        done = fleet.deploy("1.1")
    assert done.returncode == 1
    assert "/nowhere" in done.stderr.decode()
    assert fleet.all_at("1.0")


def test_19_a_request_longer_than_the_drain_is_told(fleet: Fleet) -> None:
    address = fleet.stage.url.split("/")[2].partition(":")[0]
    with contextlib.ExitStack() as stack:
        for _ in fleet.hosts:  # each gets one, for they take turns
            client = stack.enter_context(socket.create_connection((address, 8101)))
            client.sendall(b"GET /wait?seconds=15 HTTP/1.0\r\n\r\n")
        until(lambda: all(_under_way(fleet)))
        balancer = {"kind": "haproxy", "socket": str(fleet.stage.haproxy), "backend": "tiny"}
        both = [word for host in fleet.hosts[:2] for word in ("--only", host)]
        with fleet.changed(balancers=[balancer | {"drain": 2}], batch=2, canary=2):
            done = fleet.deploy("1.1", *both)
    assert fleet.outcomes(done) == ["changed"] * 2
    journal = Path(json.loads(done.stdout)["result"]["journal"]).read_text()
    assert journal.count('"drain-limit"') == 2
    assert fleet.is_at("1.1", on=0)
    assert fleet.is_at("1.1", on=1)


def _under_way(fleet: Fleet) -> list[int]:
    """Requests under way, by host."""
    rows = ask(str(fleet.stage.haproxy), "show stat").splitlines()
    return [int(row.split(",")[4]) for row in rows if row.startswith("tiny,h")]


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
    assert all_serve(fleet.stage)
    assert "changed" in fleet.outcomes(fleet.deploy("1.2"))
    assert fleet.all_at("1.2")


def test_8_a_killed_roller_is_restored_from_another_machine(
    hit: Fleet, watched, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    roller = begun(hit, log)
    wait_on(hit, "pgrep -x sleep")
    os.killpg(roller.pid, signal.SIGKILL)
    roller.process.wait()
    assert "out.json" in hit.sh("ls /var/lib/debship/tiny")
    status = hit.stage.fab("status", "--app", "tiny").text
    assert "DRIFT" in next(line for line in status.splitlines() if hit.address in line)
    elsewhere = {**hit.stage.environment, "XDG_STATE_HOME": str(tmp_path / "elsewhere")}
    fab = Path(sys.executable).with_name("fab")
    words = (fab, "restore", "--app", "tiny")
    assert run(words, cwd=hit.stage.state, env=elsewhere).returncode == 0
    assert hit.is_at("1.0")


def test_9_of_two_rollers_one_is_refused_and_one_that_slept_is_fenced_off(
    fleet: Fleet, watched, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    roller = fleet.start("1.2", log)
    wait_for(log, f"{fleet.hosts[0]}: installing")
    for version in ("1.2", "1.1"):
        refused = fleet.deploy(version)
        assert refused.returncode == 3
        assert "is being rolled by" in refused.stderr.decode()
    os.killpg(roller.pid, signal.SIGSTOP)
    try:
        assert fleet.stage.fab("unlock", "--app", "tiny", "--force").text.count("was locked") == 4
        assert set(fleet.outcomes(fleet.deploy("1.1"))) == {"changed"}
    finally:
        os.killpg(roller.pid, signal.SIGCONT)
    assert roller.process.wait(timeout=120) in {1, 4}
    assert "no longer holds the lock" in log.read_text()
    assert fleet.all_at("1.1")
