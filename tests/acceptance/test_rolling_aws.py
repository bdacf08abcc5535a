"""The roll on real hosts behind AWS: the shim's table moves HAProxy's real traffic.

What is asserted is what the traffic, HAProxy, dpkg and AWS's own table say, never the roller.
"""

import json
import os
import signal
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import tomli_w
from examples.rehearsal import Rehearsal
from test_rolling import all_serve, wait_for

from cloudshim.estate import Estate
from cloudshim.follow import Follower, Probes
from cloudshim.server import serving
from debship.lab.traffic import Traffic
from until import until

pytestmark = pytest.mark.acceptance

PORT = 8101


class Heaven:
    """An AWS that knows the lab's hosts as instances, and whose word moves their traffic."""

    def __init__(self, stage: Rehearsal, estate: Estate, probes: Probes, folder: Path) -> None:
        self.stage, self.estate, self.probes, self.folder = stage, estate, probes, folder
        self.app = estate.cloud.app
        self.names = {host["address"]: host["name"] for host in stage.lab["hosts"]}
        self.ids = [estate.instances[address] for address in stage.hosts]

    @contextmanager
    def behind(self, *groups: str, hosts=None, **app) -> Iterator[Path]:
        """Let traffic follow these, and write the fleet.toml that names them."""
        servers = {self.estate.instances[a]: name for a, name in self.names.items()}
        follower = Follower(self.app, self.probes, str(self.stage.haproxy), "auth", groups, servers)
        fleet = tomllib.loads((self.stage.state / "fleet.toml").read_text())
        fleet["apps"]["auth"] |= {
            "hosts": hosts or list(self.stage.hosts),
            "balancers": [self.balancer(group) for group in groups],
            **app,
        }
        path = self.folder / "fleet.toml"
        path.write_text(tomli_w.dumps(fleet))
        with follower:
            until(
                lambda: follower.set and set(follower.set.values()) == {"ready"},
                told=lambda: str(follower.set),
            )
            assert all_serve(self.stage)
            self.app.faults.calls.clear()
            yield path

    @staticmethod
    def balancer(group: str) -> dict[str, object]:
        if group.startswith("arn:"):
            return {"kind": "target-group", "arn": group, "port": PORT}
        return {"kind": "classic-elb", "name": group}

    def target_group(self, **how) -> str:
        arn = self.estate.target_group(delay=3, interval=1, port=PORT, **how)
        self.estate.register(arn, *self.ids, port=PORT)
        return arn

    @property
    def registered(self) -> set[tuple[str, str, int]]:
        self.app.targets.advance()
        return {key for key, target in self.app.targets.table.items() if target.until is None}


@pytest.fixture
def heaven(at_one: Rehearsal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    probes = Probes("/healthz")
    with serving(well=probes.well) as cloud:
        network = at_one.hosts[0].rsplit(".", 1)[0]
        estate = Estate(cloud).build(
            at_one.hosts, vpc="10.77.0.0/16", subnets=(f"{network}.0/25", f"{network}.128/25")
        )
        probes.where = {id_: (address, PORT) for address, id_ in estate.instances.items()}
        for key, value in cloud.environment.items():
            monkeypatch.setenv(key, value)
        yield Heaven(at_one, estate, probes, tmp_path)
        cloud.reset()
        for key in list(estate.instances.values()):
            cloud.client("ec2").terminate_instances(InstanceIds=[key])


def versions(stage: Rehearsal) -> set[str]:
    """The version that each host answers with, without the balancer."""
    ask = ("curl", "-fsS", f"http://127.0.0.1:{PORT}/healthz")
    return {json.loads(stage.enter(host, *ask).text)["version"] for host in stage.hosts}


def deploy(stage: Rehearsal, fleet: Path, version: str = "1.1.0") -> list[str]:
    words = ("deploy", "--app", "auth", "--version", version, "--fleet", str(fleet))
    return [host["outcome"] for host in stage.report(*words)["hosts"]]


def assert_nothing_was_lost(witness, stage: Rehearsal) -> None:
    assert witness.answers.failures == ()
    assert witness.answers.total > 200
    assert witness.timeline.fewest("auth") == 2
    for host in stage.lab["hosts"]:
        assert witness.timeline.statuses("auth", host["name"])[0] == "UP"
        assert "DRAIN" in witness.timeline.statuses("auth", host["name"])
        assert witness.timeline.statuses("auth", host["name"])[-1] == "UP"


def test_a_roll_through_a_target_group_fails_no_request(
    heaven: Heaven, witness, tmp_path: Path
) -> None:
    stage, arn = heaven.stage, heaven.target_group()
    slow = Traffic(f"{stage.url}/wait?seconds=2", log=tmp_path / "slow", rate=1)
    with heaven.behind(arn) as fleet:
        before = heaven.registered
        with witness, slow:
            assert deploy(stage, fleet) == ["changed"] * 3
            assert versions(stage) == {"1.1.0"}
        assert_nothing_was_lost(witness, stage)
        waited = slow.so_far()
        assert waited.failures == ()
        assert waited.total > 10
        assert heaven.registered == before
        moved = [c.split(":")[1] for c in heaven.app.faults.mutations]
        assert moved == ["DeregisterTargets", "RegisterTargets"] * 3
        heaven.app.faults.calls.clear()
        assert deploy(stage, fleet) == ["unchanged"] * 3
        assert heaven.app.faults.mutations == []


def test_a_roll_through_a_classic_balancer_fails_no_request(heaven: Heaven, witness) -> None:
    stage = heaven.stage
    name = heaven.estate.classic(*heaven.ids, delay=3, interval=1)
    with heaven.behind(name) as fleet:
        before = heaven.registered
        with witness:
            assert deploy(stage, fleet) == ["changed"] * 3
        assert_nothing_was_lost(witness, stage)
        assert versions(stage) == {"1.1.0"}
        assert heaven.registered == before


def test_a_throttled_roll_through_two_kinds_at_once_fails_no_request(
    heaven: Heaven, witness
) -> None:
    stage, arn = heaven.stage, heaven.target_group()
    name = heaven.estate.classic(*heaven.ids, delay=2, interval=1)
    count = iter(range(1_000_000))
    with heaven.behind(arn, name) as fleet:
        before = heaven.registered
        heaven.app.faults.chance = lambda _call: ("throttle", "", "", "lost")[next(count) % 4]
        with witness:
            assert deploy(stage, fleet) == ["changed"] * 3
        assert_nothing_was_lost(witness, stage)
        assert versions(stage) == {"1.1.0"}
        assert heaven.registered == before


def test_an_auto_scaling_group_found_by_its_name_is_rolled_by_standby(
    heaven: Heaven, witness
) -> None:
    stage = heaven.stage
    arn = heaven.estate.target_group(delay=3, interval=1, port=PORT)
    heaven.estate.adopt(arn, *heaven.ids)
    with heaven.behind(arn, hosts={"asg": "auth"}) as fleet:
        before = heaven.registered
        with witness:
            assert deploy(stage, fleet) == ["changed"] * 3
        assert_nothing_was_lost(witness, stage)
        assert heaven.registered == before
        group = heaven.estate.group()
        assert {one["LifecycleState"] for one in group["Instances"]} == {"InService"}
        assert (group["MinSize"], group["DesiredCapacity"]) == (3, 3)
        assert group["SuspendedProcesses"] == []
        stood_by = [c for c in heaven.app.faults.mutations if "Standby" in c]
        assert stood_by == ["autoscaling:EnterStandby", "autoscaling:ExitStandby"] * 3


@pytest.mark.parametrize("how", ["deploy", "restore"])
def test_a_roll_that_was_killed_while_aws_forgot_a_host_is_finished(
    heaven: Heaven, witness, tmp_path: Path, how: str
) -> None:
    stage, arn = heaven.stage, heaven.target_group()
    log = tmp_path / "fab.log"
    words = ("deploy", "--app", "auth", "--version", "1.1.0")
    with heaven.behind(arn, hosts={"ec2": {"tag:app": "auth"}}) as fleet:
        before = heaven.registered
        with witness:
            roller = stage.start_fab(*words, "--fleet", str(fleet), log=log)
            wait_for(log, ": restarting")
            os.killpg(roller.pid, signal.SIGKILL)
            roller.process.wait()
            assert len(heaven.registered) == 2, "AWS has forgotten the host, port and all"
            if how == "deploy":
                assert set(deploy(stage, fleet)) <= {"changed", "unchanged"}
            else:
                assert stage.fab("restore", "--app", "auth", "--fleet", str(fleet)).returncode == 0
        assert witness.answers.failures == ()
        assert heaven.registered == before
        if how == "deploy":
            assert versions(stage) == {"1.1.0"}


def test_a_sick_version_leaves_every_target_registered(heaven: Heaven, witness) -> None:
    stage, arn = heaven.stage, heaven.target_group()
    with heaven.behind(arn) as fleet:
        before = heaven.registered
        with witness:
            words = ("deploy", "--app", "auth", "--version", "1.3.0", "--fleet", str(fleet))
            done = stage.fab(*words, check=False)
        assert done.returncode == 1
        assert witness.answers.failures == ()
        assert versions(stage) == {"1.0.0"}
        assert heaven.registered == before
        moved = [c for c in heaven.app.faults.calls if c.action == "DeregisterTargets"]
        ids = {call.arguments["Targets.member.1.Id"] for call in moved}
        assert len(ids) == 1, "one host was touched"


def test_13_who_comes_is_converged_and_who_goes_is_told(
    heaven: Heaven, witness, tmp_path: Path
) -> None:
    """AWS ends the host that is out, and a third one turns out to be of the fleet."""
    stage, ec2 = heaven.stage, heaven.estate.cloud.client("ec2")
    tags = [{"Key": "app", "Value": "auth"}]
    came, log, arn = stage.hosts[2], tmp_path / "fab.log", heaven.target_group()
    ec2.delete_tags(Resources=[heaven.ids[2]], Tags=tags)
    words = ("deploy", "--app", "auth", "--version", "1.1.0", "--json")
    fleet = {"hosts": {"ec2": {"tag:app": "auth"}}, "min_healthy": 0}
    with heaven.behind(arn, **fleet) as path, witness:
        roller = stage.start_fab(*words, "--fleet", str(path), log=log)
        wait_for(log, ": restarting")
        ec2.create_tags(Resources=[heaven.ids[2]], Tags=tags)
        gone = next(host for host in stage.hosts if f"{host}: restarting" in log.read_text())
        ec2.terminate_instances(InstanceIds=heaven.estate.ids(gone))
        try:
            stage.enter(gone, "sh", "-c", "systemctl stop ssh; pkill sshd", check=False)
            assert roller.process.wait(timeout=120) == 0, log.read_text()
        finally:
            stage.enter(gone, "systemctl", "start", "ssh")
    assert witness.answers.failures == ()
    told = json.loads("{" + log.read_text().partition("\n{")[2])["result"]["hosts"]
    outcomes = {host["host"]: host["outcome"] for host in told}
    assert outcomes == dict.fromkeys(stage.hosts, "changed") | {gone: "gone"}
    assert outcomes[came] == "changed"
    assert {id_ for _, id_, _ in heaven.registered} == set(heaven.ids) - set(
        heaven.estate.ids(gone)
    )
