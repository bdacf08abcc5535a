"""Target groups: what their states mean, their terms, and what AWS does to its callers."""

from dataclasses import replace

import pytest

from debship.config.fleet import TargetGroupSettings
from debship.deploy.balancer.door import Standing, Unanswered
from debship.deploy.balancer.target_group import (
    TargetGroup,
    open_target_group,
    read_terms,
    standing,
)
from debship.deploy.places import Place
from debship.deploy.waiting import wait_for
from debship.errors import Failed, Refused

A, B, C = "10.0.0.11", "10.0.0.12", "10.0.1.13"
IN, OUT, DRAINING, DOWN = Standing.IN, Standing.OUT, Standing.DRAINING, Standing.DOWN
WAVERING, IDLE = Standing.WAVERING, Standing.IDLE


def opened(sky, arn: str, port: int | None = None) -> TargetGroup:
    settings = TargetGroupSettings(arn, port)
    return open_target_group(settings, sky.aws.api("elbv2"), sky.machines, sky.clock)


@pytest.fixture
def three(sky):
    """A group of three healthy instances in two zones."""
    arn = sky.estate.build((A, B, C)).target_group()
    sky.estate.register(arn, *sky.estate.ids(A, B, C))
    sky.clock.sleep(10)
    return opened(sky, arn)


def at(group: TargetGroup, address: str):
    return next(member for member in group.members() if member.address == address)


def standings(group: TargetGroup) -> dict[str, Standing]:
    return {member.address: member.standing for member in group.members()}


@pytest.mark.parametrize(
    ("state", "reason", "means"),
    [
        ("healthy", "", IN),
        ("initial", "Elb.RegistrationInProgress", WAVERING),
        ("initial", "Elb.InitialHealthChecking", WAVERING),
        ("unhealthy", "Target.Timeout", DOWN),
        ("unhealthy.draining", "Target.Timeout", DOWN),
        ("draining", "Target.DeregistrationInProgress", DRAINING),
        ("unused", "Target.NotRegistered", OUT),
        ("unused", "Target.NotInUse", IDLE),
        ("unused", "Target.InvalidState", DOWN),
        ("unused", "Target.IpUnusable", DOWN),
        ("unused", "Target.NewReason", WAVERING),
        ("unavailable", "Target.HealthCheckDisabled", IN),
        ("unavailable", "Elb.InternalError", WAVERING),
        ("a state of next year", "", WAVERING),
    ],
)
def test_only_not_registered_means_out(state: str, reason: str, means: Standing) -> None:
    assert standing(state, reason) is means


def test_every_state_that_boto_knows_means_something_here() -> None:
    import botocore.session

    model = botocore.session.get_session().get_service_model("elbv2")
    states = model.shape_for("TargetHealthStateEnum").enum
    reasons = model.shape_for("TargetHealthReasonEnum").enum
    outs = {(s, r) for s in states for r in reasons if standing(s, r) is OUT}
    assert outs == {("unused", "Target.NotRegistered")}
    for state in set(states) - {"initial", "unused", "unavailable"}:
        assert standing(state, "") is not WAVERING, f"{state} is known, and means something"


def test_a_target_drains_for_the_whole_delay_and_is_then_gone(sky, three) -> None:
    three.take_out(at(three, A))
    sky.clock.sleep(19)
    assert standings(three) == {A: DRAINING, B: IN, C: IN}
    sky.clock.sleep(2)
    assert standings(three) == {B: IN, C: IN}


def test_putting_back_one_that_still_drains_ends_the_draining(sky, three) -> None:
    one = at(three, A)
    three.take_out(one)
    sky.clock.sleep(5)
    three.put_back(one)
    sky.clock.sleep(60)
    assert three.health(one).standing is IN


def test_one_machine_at_two_ports_is_two_members_and_each_moves_alone(sky) -> None:
    arn = sky.estate.build((A,)).target_group(port=8080)
    for port in (8080, 8081):
        sky.estate.register(arn, *sky.estate.ids(A), port=port)
    sky.clock.sleep(10)
    both = opened(sky, arn)
    first, second = sorted(both.members(), key=lambda member: member.port)
    both.take_out(second)
    sky.clock.sleep(21)
    assert [member.port for member in both.members()] == [8080]
    both.put_back(second)
    sky.clock.sleep(20)
    assert sorted((m.port, m.standing) for m in both.members()) == [(8080, IN), (8081, IN)]
    assert both.health(first).port == 8080
    only = opened(sky, arn, 8081)
    assert [member.port for member in only.members()] == [8081]
    assert only.name == "target-group/auth:8081"


def test_whom_a_group_forgot_is_known_by_its_names(sky, three) -> None:
    one = at(three, A)
    three.take_out(one)
    sky.clock.sleep(21)
    guess = three.absent(frozenset({A}))
    assert guess is not None
    assert (guess.id, guess.port, guess.zone, guess.standing) == (one.id, 8101, one.zone, OUT)
    assert three.absent(frozenset({"10.0.0.99"})) is None
    arn = sky.estate.target_group(name="addresses", kind="ip", port=9000)
    guess = opened(sky, arn).absent(frozenset({"web-1", A}))
    assert (guess.id, guess.port) == (A, 9000)
    assert opened(sky, arn).absent(frozenset({"web-1"})) is None


def test_a_group_that_no_listener_uses_says_so(sky) -> None:
    arn = sky.estate.build((A,)).target_group(attached=False)
    sky.estate.register(arn, *sky.estate.ids(A))
    assert at(opened(sky, arn), A).standing is IDLE


def test_with_too_few_healthy_the_sick_get_requests_as_well(sky, three) -> None:
    sky.sick.update(sky.estate.ids(A, B))
    sky.clock.sleep(30)
    assert standings(three) == {A: DOWN, B: DOWN, C: IN}
    sky.sick.update(sky.estate.ids(C))
    sky.clock.sleep(30)
    assert set(standings(three).values()) == {WAVERING}
    assert "gets requests all the same" in at(three, A).note


def test_a_stopped_instance_is_down_and_not_out(sky, three) -> None:
    sky.cloud.app.targets.stopped.update(sky.estate.ids(A))
    assert at(three, A).standing is DOWN
    assert "InvalidState" in at(three, A).note


def test_a_zonal_shift_keeps_requests_away(sky) -> None:
    arn = sky.estate.build(()).target_group(kind="ip")
    targets = [{"Id": A, "Port": 8101, "AvailabilityZone": "eu-west-1a"}]
    sky.cloud.client("elbv2").register_targets(TargetGroupArn=arn, Targets=targets)
    sky.clock.sleep(10)
    sky.cloud.app.targets.shifted.add("eu-west-1a")
    member = at(opened(sky, arn), A)
    assert (member.standing, member.away, member.zone) == (IN, True, "eu-west-1a")


def test_one_question_serves_all_who_ask_at_once(sky, three) -> None:
    three.members()
    sky.clock.sleep(10)
    sky.faults.calls.clear()
    for member in (*three.members(), *three.members()):
        three.health(member)
    assert [call.action for call in sky.faults.calls] == ["DescribeTargetHealth"]
    three.take_out(at(three, A))
    assert at(three, A).standing is DRAINING, "what was seen before a change is not believed after"


def test_throttling_is_survived(sky, three) -> None:
    sky.clock.sleep(10)
    sky.faults.calls.clear()
    begin = sky.clock.at
    sky.faults.add("throttle", times=6)
    three.take_out(at(three, A))
    assert at(three, A).standing is DRAINING
    assert len(sky.faults.calls) <= 10
    assert sky.clock.at - begin > 5, "it waits longer and longer"


def test_throttling_without_end_is_an_answer_that_did_not_come(sky, three) -> None:
    sky.clock.sleep(10)
    begin = sky.clock.at
    sky.faults.add("throttle", times=1000)
    with pytest.raises(Unanswered, match="Throttling"):
        three.members()
    assert 60 <= sky.clock.at - begin < 100


@pytest.mark.parametrize("kind", ["lost", "error"])
def test_an_answer_that_was_lost_is_asked_for_again(sky, three, kind: str) -> None:
    one = at(three, A)
    sky.faults.add(kind, "DeregisterTargets", times=2)
    three.take_out(one)
    sky.clock.sleep(21)
    assert three.health(one).standing is OUT
    sky.faults.add(kind, "RegisterTargets", times=2)
    three.put_back(one)
    sky.clock.sleep(10)
    assert three.health(one).standing is IN


def test_a_denied_call_names_the_right_that_is_missing(sky, three) -> None:
    sky.faults.add("denied", "DeregisterTargets")
    with pytest.raises(Failed) as caught:
        three.take_out(at(three, A))
    assert "elasticloadbalancing:DeregisterTargets" in caught.value.message
    assert "allow elasticloadbalancing:DeregisterTargets" in (caught.value.hint or "")


def test_a_group_that_is_not_there_is_an_error(sky, three) -> None:
    settings = three.settings
    with pytest.raises(Failed, match="DescribeTargetGroups"):
        opened(sky, settings.arn[:-4] + "0000")


def test_a_group_whose_targets_are_no_hosts_is_refused(sky) -> None:
    made = sky.cloud.client("elbv2").create_target_group(Name="fn", TargetType="lambda")
    with pytest.raises(Refused, match="of type lambda, not hosts"):
        opened(sky, made["TargetGroups"][0]["TargetGroupArn"])


BASE = {
    "Protocol": "HTTP",
    "HealthCheckIntervalSeconds": 30,
    "HealthCheckTimeoutSeconds": 5,
    "HealthyThresholdCount": 5,
    "HealthCheckEnabled": True,
}


def terms(*, crosses: bool = True, group: dict | None = None, **attributes: str):
    told = {key.replace("__", "."): value for key, value in attributes.items()}
    return read_terms({**BASE, **(group or {})}, told, crosses_zones=crosses)


def test_deadlines_are_computed_from_the_groups_own_settings() -> None:
    usual = terms()
    assert (usual.usual_drain, usual.drain) == (300, 360)
    assert usual.rise == 30 * 5 + 5 + 60
    longest = terms(deregistration_delay__timeout_seconds="3600")
    assert longest.drain > 3600, "the stock waiter gives up after 600 s"
    slow = terms(slow_start__duration_seconds="90")
    assert slow.warm == 90
    assert terms(group={"HealthCheckIntervalSeconds": 300}).rise > 1500
    assert terms(group={"Protocol": "TCP"}).rise > usual.rise


def test_one_that_is_well_once_and_then_sick_is_not_back(sky, three) -> None:
    one = at(three, A)
    three.take_out(one)
    sky.clock.sleep(21)
    three.put_back(one)
    sky.clock.sleep(10)
    assert three.health(one).standing is IN, "one success makes a new target healthy"
    sky.sick.add(one.id)
    (seen,) = wait_for(
        [Place(three, one)],
        lambda member: member.standing is IN,
        limit=lambda terms: terms.rise,
        looks=lambda terms: terms.looks,
        clock=Slow(sky.clock),
        seed="",
    )
    assert seen.standing is DOWN


class Slow:
    """A clock under which three looks take longer than the checks that make a target sick."""

    def __init__(self, clock) -> None:
        self.monotonic = clock.monotonic
        self.sleep = lambda seconds: clock.sleep(max(seconds, 12.0))


def test_the_pace_is_the_groups_and_never_hurried() -> None:
    assert terms().poll == 5.0
    quick = terms(
        group={"HealthCheckIntervalSeconds": 5}, deregistration_delay__timeout_seconds="4"
    )
    assert quick.poll == 1.0
    assert terms(deregistration_delay__timeout_seconds="0").poll >= 0.5


@pytest.mark.parametrize(
    ("how", "warning"),
    [
        ({}, "every batch drains for 5 min"),
        ({"deregistration_delay__timeout_seconds": "0"}, "draining is off"),
        ({"group": {"HealthCheckEnabled": False}}, "its health checks are off"),
        ({"crosses": False}, "does not cross zones"),
    ],
)
def test_what_a_person_should_know_is_told(how: dict, warning: str) -> None:
    assert any(warning in told for told in terms(**how).warnings)
    assert terms(deregistration_delay__timeout_seconds="20").warnings == ()


def test_floors_are_those_at_which_it_fails_open() -> None:
    floor = terms(
        target_group_health__unhealthy_state_routing__minimum_healthy_targets__count="2",
        target_group_health__dns_failover__minimum_healthy_targets__percentage="50",
        crosses=False,
    ).floor
    assert (floor.count, floor.percent, floor.by_zone) == (2, 50.0, True)
    assert terms(group={"HealthCheckEnabled": False}).floor.count == 0


def test_connections_of_a_network_balancer_outlive_its_word() -> None:
    tcp = {"Protocol": "TCP"}
    assert terms(group=tcp).lingers
    cuts = terms(group=tcp, deregistration_delay__connection_termination__enabled="true")
    assert not cuts.lingers
    assert not terms().lingers


@pytest.mark.parametrize(
    ("protocol", "own", "balancers", "by_zone"),
    [
        ("HTTP", "use_load_balancer_configuration", None, False),
        ("HTTP", "false", None, True),
        ("TCP", "use_load_balancer_configuration", "false", True),
        ("TCP", "use_load_balancer_configuration", "true", False),
        ("TCP", "true", "false", False),
    ],
)
def test_whether_zones_are_crossed(sky, protocol, own, balancers, by_zone) -> None:
    arn = sky.estate.build().target_group(protocol=protocol)
    sky.estate.set(arn, **{"load_balancing.cross_zone.enabled": own})
    if balancers:
        elbv2 = sky.cloud.client("elbv2")
        balancer = elbv2.describe_load_balancers()["LoadBalancers"][0]["LoadBalancerArn"]
        elbv2.modify_load_balancer_attributes(
            LoadBalancerArn=balancer,
            Attributes=[{"Key": "load_balancing.cross_zone.enabled", "Value": balancers}],
        )
    assert opened(sky, arn).terms.floor.by_zone is by_zone


def test_a_member_that_left_is_out_also_where_its_machine_is_gone(sky, three) -> None:
    gone = replace(at(three, A), id="i-0000000000000000f")
    assert three.health(gone).standing is OUT
