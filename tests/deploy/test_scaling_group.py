"""Auto Scaling groups: Standby and back, held still for a roll, let go as they were."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debship.config.fleet import AsgHosts, Ec2Hosts
from debship.deploy.balancer.door import Standing
from debship.deploy.balancer.opening import open_scaling_group
from debship.deploy.balancer.scaling_group import ScalingGroup
from debship.deploy.inventory import find_hosts
from debship.deploy.machines import Machine, interleaved
from debship.deploy.scaling import PROCESSES, TAG, Hold, held, hold
from debship.errors import Failed, Refused

IN, OUT, DRAINING = Standing.IN, Standing.OUT, Standing.DRAINING


@pytest.fixture
def group(sky) -> ScalingGroup:
    """Three instances, attached to a target group."""
    arn = sky.estate.build().target_group()
    sky.estate.scaling_group(arn)
    sky.clock.sleep(10)
    return open_scaling_group(AsgHosts("auth"), sky.aws, sky.machines, sky.clock)


def state(sky) -> tuple[int, int, set[str], dict[str, str]]:
    told = sky.estate.group()
    suspended = {one["ProcessName"] for one in told["SuspendedProcesses"]}
    tags = {tag["Key"]: tag["Value"] for tag in told.get("Tags", [])}
    return told["MinSize"], told["DesiredCapacity"], suspended, tags


def test_what_leaves_stands_by_and_the_group_wants_one_fewer(sky, group) -> None:
    hold(group, 1)
    one = group.members()[0]
    group.take_out(one)
    assert group.health(one).standing is DRAINING
    sky.clock.sleep(21)
    assert group.health(one).standing is OUT
    assert state(sky)[:2] == (2, 2)
    group.put_back(one)
    sky.clock.sleep(5)
    assert group.health(one).standing is IN
    assert state(sky)[1] == 3


def test_a_group_is_held_still_and_let_go_as_it_was(sky, group) -> None:
    with held(group, 2, print):
        minimum, _, suspended, tags = state(sky)
        assert (minimum, suspended) == (1, set(PROCESSES))
        assert "Launch" not in suspended
        assert TAG in tags
    assert state(sky) == (3, 3, set(), {})


def test_what_was_suspended_before_stays_suspended(sky, group) -> None:
    sky.cloud.client("autoscaling").suspend_processes(
        AutoScalingGroupName="auth", ScalingProcesses=["AZRebalance", "HealthCheck"]
    )
    with held(group, 1, print):
        pass
    assert state(sky)[2] == {"AZRebalance", "HealthCheck"}


def test_who_comes_after_a_roll_that_died_lets_go_of_what_that_held(sky, group) -> None:
    sky.cloud.client("autoscaling").suspend_processes(
        AutoScalingGroupName="auth", ScalingProcesses=["AZRebalance"]
    )
    hold(group, 2)  # and it dies
    again = open_scaling_group(AsgHosts("auth"), sky.aws, sky.machines, sky.clock)
    with held(again, 1, print):
        pass
    assert state(sky) == (3, 3, {"AZRebalance"}, {})


@pytest.mark.parametrize(
    "dies_at", ["CreateOrUpdateTags", "SuspendProcesses", "UpdateAutoScalingGroup"]
)
def test_a_hold_that_dies_at_any_call_is_undone_by_the_next(sky, group, dies_at: str) -> None:
    """The tag is written before what it remembers is changed."""
    sky.faults.add("denied", dies_at)
    sky.faults.add("denied", "ResumeProcesses")  # so that it cannot clean up behind itself
    with pytest.raises(Failed):
        hold(group, 2)
    sky.faults.waiting.clear()
    with held(group, 2, print):
        pass
    assert state(sky) == (3, 3, set(), {})


@pytest.mark.parametrize("denied", ["SuspendProcesses", "UpdateAutoScalingGroup"])
def test_a_hold_that_is_refused_in_its_middle_leaves_nothing_held(sky, group, denied: str) -> None:
    before = state(sky)
    sky.faults.add("denied", denied)
    with pytest.raises(Failed, match=denied), held(group, 1, print):
        pytest.fail("it is not held")
    assert state(sky) == before


def test_a_hold_that_cannot_be_undone_says_so_beside_what_went_wrong(sky, group) -> None:
    sky.faults.add("denied", "UpdateAutoScalingGroup", times=9)
    sky.faults.add("denied", "ResumeProcesses", times=9)
    said: list[str] = []
    with (
        pytest.raises(Failed, match="UpdateAutoScalingGroup"),
        held(group, 1, said.append),
    ):
        pytest.fail("it is not held")
    [line] = said
    assert line.startswith("asg/auth is still held: autoscaling:ResumeProcesses")


def test_a_host_left_standing_by_keeps_the_minimum_low_and_says_so(sky, group) -> None:
    said: list[str] = []
    with held(group, 1, said.append):
        one = group.members()[0]
        group.take_out(one)
        sky.clock.sleep(25)
    assert state(sky)[0] == 2, "raising it would start an instance in the place of this one"
    assert state(sky)[2] == set()
    assert "MinSize stays 2 instead of 3" in said[0]
    with held(group, 1, said.append):
        group.put_back(one)
        sky.clock.sleep(5)
    assert state(sky) == (3, 3, set(), {})


def test_nothing_is_begun_where_nothing_could_come_back(sky, group) -> None:
    sky.cloud.client("autoscaling").suspend_processes(
        AutoScalingGroupName="auth", ScalingProcesses=["Launch"]
    )
    before = state(sky)
    with pytest.raises(Refused, match="Launch is suspended"):
        hold(group, 1)
    assert state(sky) == before


@pytest.mark.parametrize("action", ["EnterStandby", "ExitStandby"])
def test_a_lost_answer_is_looked_up_and_not_assumed(sky, group, action: str) -> None:
    hold(group, 1)
    one = group.members()[0]
    if action == "ExitStandby":
        group.take_out(one)
        sky.clock.sleep(25)
    sky.faults.add("lost", action)
    (group.take_out if action == "EnterStandby" else group.put_back)(one)
    sky.clock.sleep(25)
    assert group.health(one).standing is (OUT if action == "EnterStandby" else IN)
    assert state(sky)[1] == (2 if action == "EnterStandby" else 3)


def test_a_refusal_is_told(sky, group) -> None:
    with pytest.raises(Failed, match="below the group's minimum"):
        group.take_out(group.members()[0])


def test_a_group_that_is_not_there_is_an_error(sky) -> None:
    sky.estate.build()
    missing = open_scaling_group(AsgHosts("nope"), sky.aws, sky.machines, sky.clock)
    with pytest.raises(Failed, match="asg/nope: there is no such"):
        missing.members()


def test_hosts_of_a_group_are_those_that_serve_or_stand_by(sky, group) -> None:
    hold(group, 1)
    first, second, third = group.members()
    group.take_out(first)
    next(
        one
        for one in sky.cloud.app.scaling_group("auth").instance_states
        if one.instance.id == third.id
    ).lifecycle_state = "Terminating:Wait"
    found = find_hosts(AsgHosts("auth"), sky.machines, group)
    assert set(found) == {first.address, second.address}


def test_hosts_with_tags_are_those_that_run(sky) -> None:
    sky.estate.build()
    for address in ("10.0.0.51", "10.0.1.52", "10.0.1.53", "10.0.0.54"):
        sky.estate.instance(address, tag="billing")
    sky.estate.instance("10.0.1.55", tag="other")
    sky.cloud.client("ec2").stop_instances(InstanceIds=sky.estate.ids("10.0.1.53"))
    found = find_hosts(Ec2Hosts((("tag:app", "billing"),)), sky.machines, None)
    assert set(found) == {"10.0.0.51", "10.0.1.52", "10.0.0.54"}
    zones = [address.split(".")[2] for address in found]
    assert zones[:2] == ["0", "1"], "neighbours stand in different zones"


def test_no_hosts_is_refused(sky) -> None:
    sky.estate.build()
    with pytest.raises(Refused, match="no running instance with tag:app = nobody"):
        find_hosts(Ec2Hosts((("tag:app", "nobody"),)), sky.machines, None)


def test_a_machine_is_known_by_each_of_its_names(sky) -> None:
    id_ = sky.estate.build(("10.0.0.61",)).instances["10.0.0.61"]
    for names in ({"10.0.0.61"}, {id_}, {"ip-10-0-0-61.eu-west-1.compute.internal"}):
        sky.machines._known.clear()
        found = sky.machines.by_names(frozenset(names))
        assert found is not None, names
        assert found.id == id_
    assert sky.machines.by_names(frozenset({"web-1.example.com"})) is None
    assert sky.machines.by_id(["i-0000000000000000f"]) == {}


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 999)), unique_by=lambda pair: pair[1])
)
def test_neighbours_are_spread_over_zones(found) -> None:
    machines = [Machine(f"i-{n}", "x", zone, "running", frozenset()) for zone, n in found]
    ordered = interleaved(machines)
    assert set(ordered) == set(machines)
    zones = {machine.zone for machine in machines}
    first = [machine.zone for machine in ordered[: len(zones)]]
    assert sorted(first) == sorted(zones)
    assert interleaved(reversed(machines)) == ordered


@given(
    st.integers(0, 1000), st.lists(st.sampled_from(PROCESSES), unique=True).map(sorted).map(tuple)
)
def test_a_hold_survives_its_tag(minimum: int, resume: tuple[str, ...]) -> None:
    text = Hold(minimum, resume).text()
    assert Hold.parse(text) == Hold(minimum, resume)
    assert len(text) <= 256
    assert not set(text) - set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 +-=._:/@"
    )


@pytest.mark.parametrize("text", ["", "by hand", "min=x", "min=3 resume=Launch:Evil"])
def test_a_tag_that_a_person_wrote_does_no_harm(text: str) -> None:
    found = Hold.parse(text)
    assert found is None or found.resume == ()
