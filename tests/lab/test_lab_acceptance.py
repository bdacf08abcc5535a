"""Real hosts: booted, looked at from outside, killed at bad moments, taken away."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from debship.errors import Failed, Refused
from debship.lab.down import down
from debship.lab.group import process
from debship.lab.lab import Lab
from debship.lab.mounts import below
from debship.lab.observer import Observer
from debship.lab.plan import RUNTIME, Backend, LabPlan
from debship.lab.traffic import Traffic
from debship.lab.up import plan_here, plug_in, unplug, up
from debship.run import run
from until import until

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.skipif(os.geteuid() != 0, reason="a lab needs root"),
]

CACHE = Path(os.environ.get("DEBSHIP_CACHE", "/var/cache/debship")) / "roots"
WEB = Backend("web", 8000, "/")


def quiet(step: str) -> None:
    pass


def switch_on(state: Path, **how) -> Lab:
    plan = plan_here("x", state=state, run=run, cache=CACHE, **how)
    return up(plan, fleet=None, run=run, say=quiet)


def switch_off(state: Path) -> bool:
    return down(state, runtime=RUNTIME, run=run, say=quiet)


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[Lab]:
    state = tmp_path_factory.mktemp("labs") / "lab"
    try:
        yield switch_on(state, hosts=2, releases=("bookworm", "trixie"), backends=(WEB,))
    finally:
        switch_off(state)


def ssh(lab: Lab, host: str, *words: str) -> str:
    plan = lab.plan
    strict = ("-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes")
    keys = ("-i", plan.identity, "-o", f"UserKnownHostsFile={plan.known_hosts}")
    return run(["ssh", *strict, *keys, f"root@{lab.host(host).address}", *words]).text


def left_of(plan: LabPlan) -> list[str]:
    """Everything of a lab that is still on this machine."""
    ours = {plan.bridge, *(host.veth for host in plan.hosts)}.__contains__
    found = [str(path) for path in (plan.state, plan.run) if path.exists()]
    found += [
        path.name for path in Path("/sys/class/net").glob(f"{plan.bridge}*") if ours(path.name)
    ]
    found += [h.namespace for h in plan.hosts if Path("/run/netns", h.namespace).exists()]
    found += [str(mount) for mount in below(plan.state)]
    groups = Path("/sys/fs/cgroup").glob(f"**/{plan.bridge}")
    found += [str(group) for group in groups]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and process(int(entry.name)):
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if str(plan.state) in str(words) and words[0] != "umount":  # mounts.detach says why
                found.append(f"{entry.name} {words}")
    return found


class TestALab:
    def test_hosts_are_whole_machines_of_their_release(self, lab: Lab) -> None:
        for host, release in (("h1", "bookworm"), ("h2", "trixie")):
            assert f"VERSION_CODENAME={release}" in ssh(lab, host, "cat /etc/os-release")
            assert ssh(lab, host, "hostname") == host
            assert lab.enter(host, ("systemctl", "is-system-running"), run=run).text == "running"

    def test_ssh_is_roots_by_key_alone(self, lab: Lab) -> None:
        said = lab.enter("h1", ("sshd", "-T"), run=run).text.splitlines()
        assert {"passwordauthentication no", "permitrootlogin without-password"} <= set(said)
        keys = run(["ssh-keyscan", "-t", "ed25519,rsa", lab.host("h1").address]).text.split()
        assert keys[1:] == lab.plan.known_hosts.read_text().splitlines()[0].split()[1:]

    def test_each_systemd_has_units_of_its_own(self, lab: Lab) -> None:
        groups = {
            Path(f"/proc/{host.pid}/cgroup").read_text().splitlines()[-1] for host in lab.hosts
        }
        assert len(groups) == 2

    def test_apt_update_needs_no_mirror_and_reads_the_labs_repository(self, lab: Lab) -> None:
        update = ("apt-get", "update", "-o", "APT::Update::Error-Mode=any")
        (lab.plan.repository / "Packages").write_text("")
        for host in ("h1", "h2"):
            lab.enter(host, update, run=run)
            line = f"deb [trusted=yes] {lab.plan.repository_url} ./"
            lab.enter(host, ("tee", "/etc/apt/sources.list"), run=run, stdin=line.encode())
            said = lab.enter(host, update, run=run).text
            assert lab.plan.repository_url in said
            lab.enter(host, ("truncate", "-s0", "/etc/apt/sources.list"), run=run)

    def test_the_balancer_sees_a_service_start_and_stop_and_traffic_sees_it_too(
        self, lab: Lab, tmp_path: Path
    ) -> None:
        serve = ("systemd-run", "--unit=web", "python3", "-m", "http.server", "8000")
        with Observer(lab.plan.socket, log=tmp_path / "seen") as seen:
            now = lambda: {s.status for s in seen.so_far().samples[-2:]}  # noqa: E731
            until(lambda: now() == {"DOWN"})  # HAProxy begins with UP
            for host in lab.hosts:
                lab.enter(host.name, serve, run=run)
            until(lambda: now() == {"UP"})
            traffic = Traffic(lab.frontends["web"], log=tmp_path / "traffic", rate=50)
            traffic.start()
            until(lambda: len(traffic.so_far().served) == 2)
            report = traffic.stop()
        with Observer(lab.plan.socket, log=tmp_path / "stopping") as seen:
            lab.enter("h2", ("systemctl", "stop", "web"), run=run)
            until(lambda: "DOWN" in "".join(seen.so_far().statuses("web", "h2")))
            until(lambda: seen.so_far().seconds_out()["web", "h2"] > 0)
            timeline = seen.so_far()
        assert report.failed == 0
        assert {host for host, _ in report.served} == {"h1", "h2"}
        assert timeline.seconds_out()["web", "h1"] == 0
        lab.enter("h1", ("systemctl", "stop", "web"), run=run)

    def test_the_runtime_socket_answers_on_loopback_too(self, lab: Lab) -> None:
        address, port = lab.plan.sockets[1].removeprefix("tcp://").split(":")
        with socket.create_connection((address, int(port)), timeout=5) as connection:
            connection.sendall(b"show servers state web\n")
            assert lab.host("h1").address.encode() in connection.recv(65536)

    def test_hosts_reach_this_machine_and_nothing_else(self, lab: Lab) -> None:
        route = lab.enter("h1", ("ip", "route", "get", "192.0.2.1"), run=run).text
        assert f"via {lab.plan.gateway}" in route
        reach = ("curl", "-s", "-o", "/dev/null", "--max-time", "1", "http://192.0.2.1/")
        assert lab.enter("h1", reach, run=run, check=False).returncode != 0

    def test_up_again_changes_nothing(self, lab: Lab) -> None:
        again = up(lab.plan, fleet=None, run=run, say=quiet)
        assert again.record == lab.record
        assert not again.changed
        assert again.whole

    def test_other_hosts_are_refused(self, lab: Lab) -> None:
        with pytest.raises(Refused, match="is up with other hosts"):
            switch_on(lab.plan.state, hosts=3)
        assert Lab(lab.record).whole

    def test_a_host_whose_plug_was_pulled_boots_on_what_it_wrote(self, lab: Lab) -> None:
        lab.enter("h1", ("touch", "/root/kept"), run=run)
        unplug(lab, "h1", run=run)
        assert not lab.whole
        with pytest.raises(Failed, match="h1 does not run"):
            lab.enter("h1", ("true",), run=run)
        again = plug_in(lab, "h1", run=run, say=quiet)
        assert again.whole
        assert ssh(again, "h1", "ls /root/kept") == "/root/kept"
        unplug(again, "h1", run=run)
        assert up(lab.plan, fleet=None, run=run, say=quiet).whole


def test_two_labs_do_not_meet_and_leave_nothing(tmp_path: Path) -> None:
    states = [tmp_path / "a", tmp_path / "b"]
    try:
        labs = [switch_on(state, hosts=1, backends=(WEB,)) for state in states]
        assert all(lab.whole for lab in labs)
        assert len({lab.plan.number for lab in labs}) == 2
        for lab in labs:
            (lab.plan.repository / "who").write_text(str(lab.plan.state))
            fetch = ("curl", "-sf", f"{lab.plan.repository_url}/who")
            assert lab.enter("h1", fetch, run=run).text == str(lab.plan.state)
        assert switch_off(states[0])
        assert left_of(labs[0].plan) == []
        assert labs[1].whole
        assert ssh(labs[1], "h1", "systemctl is-system-running") == "running"
    finally:
        for state in states:
            switch_off(state)
    assert left_of(labs[1].plan) == []
    assert not switch_off(states[1])


# Seconds after which `debship lab up` is killed: before, while, and after hosts boot.
@pytest.mark.parametrize("delay", [0.15, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0])
def test_a_killed_up_can_be_finished_or_taken_away(tmp_path: Path, delay: float) -> None:
    state = tmp_path / "killed"
    words = [sys.executable, "-m", "debship", "lab"]
    place = ["--name", "killed", "--state", str(tmp_path)]
    asked = [*place, "--hosts", "2", "--backend", "web=8000/", "--json"]
    try:
        first = subprocess.Popen([*words, "up", *asked], cwd=tmp_path, stdout=subprocess.PIPE)
        time.sleep(delay)
        first.send_signal(signal.SIGKILL)
        first.communicate()
        done = subprocess.run(
            [*words, "up", *asked], cwd=tmp_path, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        lab = json.loads(done.stdout)["result"]
        assert lab["whole"]
        assert {host["state"] for host in lab["hosts"]} == {"running"}
        fleet = tomllib.loads((state / "fleet.toml").read_text())
        assert fleet["ssh"]["user"] == "root"
        plan = plan_here("killed", state=state, run=run, cache=CACHE, hosts=2)
        second = subprocess.Popen([*words, "up", *asked], cwd=tmp_path, stdout=subprocess.DEVNULL)
        time.sleep(delay)
        second.kill()
        second.wait()
    finally:
        switch_off(state)
    assert left_of(plan) == []


@pytest.mark.parametrize("delay", [0.15, 0.35, 0.5, 0.7])
def test_a_killed_up_can_be_taken_away_at_once(tmp_path: Path, delay: float) -> None:
    state = tmp_path / "killed"
    plan = plan_here("killed", state=state, run=run, cache=CACHE, hosts=2)
    words = [sys.executable, "-m", "debship", "lab", "up", "--name", "killed", "--hosts", "2"]
    try:
        first = subprocess.Popen([*words, "--state", str(tmp_path)], cwd=tmp_path)
        time.sleep(delay)
        first.kill()
        first.wait()
    finally:
        switch_off(state)
    assert left_of(plan) == []


def test_a_host_that_cannot_boot_shows_its_console(tmp_path: Path) -> None:
    plan = plan_here("x", state=tmp_path / "lab", run=run, cache=CACHE, hosts=1)
    folder = plan.folder(plan.hosts[0])
    for part in ("upper/usr/lib/systemd", "work", "root"):
        (folder / part).mkdir(parents=True)
    (folder / "upper/usr/lib/systemd/systemd").write_text("no program\n")
    try:
        with pytest.raises(Failed, match="host h1 of lab x did not boot"):
            up(plan, fleet=None, run=run, say=quiet)
    finally:
        switch_off(plan.state)
    assert left_of(plan) == []


def test_a_repository_that_died_is_served_again(tmp_path: Path) -> None:
    try:
        lab = switch_on(tmp_path / "lab", hosts=1)
        os.kill(lab.record.processes["repository"].pid, signal.SIGKILL)
        until(lambda: not lab.whole)
        again = up(lab.plan, fleet=None, run=run, say=quiet)
        assert again.whole
        assert again.changed
        assert again.hosts == lab.hosts
        (lab.plan.repository / "x").write_text("x")
        with urllib.request.urlopen(f"{lab.plan.repository_url}/x", timeout=5) as answer:
            assert answer.read() == b"x"
    finally:
        switch_off(tmp_path / "lab")
