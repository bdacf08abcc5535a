"""One contract for every balancer: real HAProxy, AWS's three as the shim shows them, the fake."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from debship.config.fleet import AsgHosts, ClassicElbSettings, HaproxySettings, TargetGroupSettings
from debship.deploy.balancer.classic_elb import open_classic_elb
from debship.deploy.balancer.door import Balancer, Member, Standing
from debship.deploy.balancer.haproxy import Haproxy
from debship.deploy.balancer.opening import open_scaling_group
from debship.deploy.balancer.target_group import open_target_group
from debship.deploy.places import Place
from debship.deploy.scaling import hold
from debship.deploy.waiting import wait_for
from haproxy_rig import HaproxyRig

from fakes_fleet import FakeBalancer, FakeClock, FakeHost

IN, OUT, DRAINING, DOWN = Standing.IN, Standing.OUT, Standing.DRAINING, Standing.DOWN
KINDS = ("haproxy", "instances", "addresses", "network", "classic-elb", "asg", "fake")


class RealClock:
    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass
class Stage:
    """A balancer of two members that are well, and what makes one sick."""

    balancer: Balancer
    clock: object
    sicken: Callable[[Member, bool], None]

    def __post_init__(self) -> None:
        for member in self.balancer.members():
            assert self.until(member, IN), member
        self.one, self.two = sorted(self.balancer.members(), key=lambda member: member.id)

    def until(self, member: Member, *wanted: Standing) -> bool:
        """Wait as a roll does, with the balancer's own terms."""
        (seen,) = wait_for(
            [Place(self.balancer, member)],
            lambda seen: seen.standing in wanted,
            limit=lambda terms: max(terms.drain, terms.rise),
            looks=lambda terms: terms.looks if IN in wanted else 1,
            clock=self.clock,
            seed="contract",
        )
        return seen.standing in wanted


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory):
    rig = HaproxyRig(tmp_path_factory.mktemp("haproxy"))
    yield rig
    rig.stop()


@pytest.fixture(params=KINDS)
def stage(request: pytest.FixtureRequest):
    if request.param == "fake":
        clock = FakeClock()
        hosts = {name: FakeHost(name, clock) for name in ("one", "two")}

        def sicken(member: Member, sick: bool) -> None:
            hosts[member.id].active = "failed" if sick else "active"

        yield Stage(FakeBalancer(tuple(hosts.values()), clock), clock, sicken)
    elif request.param == "haproxy":
        rig = request.getfixturevalue("rig")

        def sicken(member: Member, sick: bool) -> None:
            rig.backends[member.id].well = not sick

        real = Haproxy(HaproxySettings(tuple(rig.sockets), "auth"))
        yield Stage(real, RealClock(), sicken)
        for member in real.members():
            sicken(member, False)
            real.put_back(member)
    else:
        sky = request.getfixturevalue("sky")

        def sicken(member: Member, sick: bool) -> None:
            (sky.sick.add if sick else sky.sick.discard)(member.id)

        yield Stage(_aws(request.param, sky), sky.clock, sicken)


def _aws(kind: str, sky) -> Balancer:
    addresses = ("10.0.0.11", "10.0.0.12")
    if kind == "asg":
        sky.estate.build()
        sky.estate.scaling_group(size=2)
        group = open_scaling_group(AsgHosts("auth"), sky.aws, sky.machines, sky.clock)
        hold(group, 2)
        return group
    estate = sky.estate.build(addresses)
    if kind == "classic-elb":
        settings = ClassicElbSettings(estate.classic(*estate.ids(*addresses)))
        return open_classic_elb(settings, sky.aws.api("elb"), sky.machines, sky.clock)
    target = "ip" if kind == "addresses" else "instance"
    arn = estate.target_group(kind=target, protocol="TCP" if kind == "network" else "HTTP")
    estate.register(arn, *(addresses if target == "ip" else estate.ids(*addresses)))
    api = sky.aws.api("elbv2")
    return open_target_group(TargetGroupSettings(arn), api, sky.machines, sky.clock)


def test_members_that_are_well_are_in_and_known_by_an_address(stage: Stage) -> None:
    members = stage.balancer.members()
    assert [member.standing for member in members] == [IN, IN]
    assert len({member.id for member in members}) == 2
    assert all(member.address and member.balancer == stage.balancer.name for member in members)


def test_one_that_was_taken_out_drains_and_is_out_and_the_other_stays(stage: Stage) -> None:
    stage.balancer.take_out(stage.one)
    assert stage.balancer.health(stage.one).standing in {DRAINING, OUT}
    assert stage.until(stage.one, OUT)
    assert stage.balancer.health(stage.two).standing is IN


def test_taking_out_twice_is_no_error(stage: Stage) -> None:
    stage.balancer.take_out(stage.one)
    stage.balancer.take_out(stage.one)
    assert stage.until(stage.one, OUT)
    stage.balancer.take_out(stage.one)
    assert stage.balancer.health(stage.one).standing is OUT


def test_one_that_was_put_back_is_in_again_with_the_same_id_and_port(stage: Stage) -> None:
    stage.balancer.take_out(stage.one)
    assert stage.until(stage.one, OUT)
    stage.balancer.put_back(stage.one)
    assert stage.until(stage.one, IN)
    back = stage.balancer.health(stage.one)
    assert (back.id, back.port, back.address) == (stage.one.id, stage.one.port, stage.one.address)


def test_putting_back_twice_is_no_error(stage: Stage) -> None:
    stage.balancer.take_out(stage.one)
    assert stage.until(stage.one, OUT)
    stage.balancer.put_back(stage.one)
    stage.balancer.put_back(stage.one)
    assert stage.until(stage.one, IN)
    stage.balancer.put_back(stage.one)
    assert len(stage.balancer.members()) == 2


def test_one_that_is_sick_is_not_in_and_one_that_is_well_again_is(
    stage: Stage, request: pytest.FixtureRequest
) -> None:
    if "asg" in request.node.callspec.id:
        return  # a group that is held still looks at no health: who is sick is the balancers' word
    stage.sicken(stage.one, True)
    assert stage.until(stage.one, DOWN)
    assert stage.balancer.health(stage.two).standing is IN
    stage.sicken(stage.one, False)
    assert stage.until(stage.one, IN)


def test_its_terms_can_be_kept(stage: Stage) -> None:
    terms = stage.balancer.terms
    assert 0 <= terms.usual_drain <= terms.drain
    assert 0 <= terms.usual_rise <= terms.rise
    assert 0 < terms.poll < max(terms.drain, terms.rise)
    assert terms.looks >= 1
