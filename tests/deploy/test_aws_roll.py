"""Whole rolls behind AWS, over hosts that are not real: what is asked of AWS, and what is left."""

import json
import re
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest

from debship.config.fleet import (
    AsgHosts,
    ClassicElbSettings,
    Ec2Hosts,
    Fleet,
    FleetApp,
    HealthSettings,
    RepositorySettings,
    SecretSource,
    Share,
    TargetGroupSettings,
)
from debship.deploy import campaign, recipe
from debship.deploy.balancer.opening import open_scaling_group
from debship.deploy.journal import DiskJournal
from debship.deploy.recipe import Order
from debship.deploy.report import RollReport
from debship.deploy.scaling import hold
from debship.deploy.stop import Stop
from debship.deploy.surroundings import open_surroundings
from debship.errors import Refused
from debship.model import PackageName

from fakes import FakeRun
from fakes_fleet import Behaviour, FakeHost, File, OneByOne

pytestmark = pytest.mark.slow

A, B, C = "10.0.0.11", "10.0.0.12", "10.0.1.13"
OUT = "/var/lib/debship/auth/out.json"
POLICY = Path(__file__).parents[2] / "docs/how-to/aws.md"


@dataclass
class Theatre:
    """Fake hosts, an AWS in front of them, and the recipe of a deploy."""

    sky: object
    folder: Path
    hosts: dict[str, FakeHost] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    process: int = 0

    def __post_init__(self) -> None:
        self.sky.sick.judge = self._well

    def host(self, address: str) -> FakeHost:
        if address not in self.hosts:
            self.hosts[address] = FakeHost(address, self.sky.clock)
        return self.hosts[address]

    def _well(self, id_: str) -> bool:
        addresses = {known: address for address, known in self.sky.estate.instances.items()}
        host = self.hosts.get(addresses.get(id_, ""))
        return host is None or host.healthy

    def app(self, hosts, *balancers, **more) -> FleetApp:
        package = PackageName("auth")
        more.setdefault("health", HealthSettings("/healthz", 8101))
        return FleetApp(name="auth", package=package, hosts=hosts, balancers=balancers, **more)

    def deploy(self, app: FleetApp, *, dry: bool = False, **wishes):
        return self._do(app, recipe.plan if dry else recipe.deploy, **wishes)

    def restore(self, app: FleetApp):
        return self._do(app, recipe.restore)

    def _do(self, app: FleetApp, what, **wishes):
        sky = self.sky
        around = open_surroundings(app, sky.aws, sky.clock)
        self.process += 1
        me = f"here/{self.process}/1"
        world = campaign.World(
            connect=self.host,
            balancers=around.balancers,
            resolve=lambda name: frozenset(),
            run=FakeRun(),
            env={},
            clock=sky.clock,
            workers=OneByOne(),
            journal=lambda _path: DiskJournal(self.folder / "journal.jsonl", sky.clock),
            process=me,
            dead=lambda process: process.startswith("here/") and process != me,
            aws=sky.aws,
            held=around.held,
            gone=around.gone,
        )
        fleet = Fleet(self.folder / "fleet.toml", RepositorySettings("/apt", "http://apt", "s"))
        order = Order(f"roll-{self.process}", "me@here", version="1.1-1", **wishes)
        if what is recipe.plan:
            return recipe.plan(fleet, around.app, world, order)
        how = {"say": self.said.append, "stop": Stop()}
        if what is recipe.restore:
            return recipe.restore(fleet, around.app, world, order, **how)

        def once(app: FleetApp, only: tuple[str, ...], version: str | None) -> RollReport:
            mine = replace(order, only=only, version=version) if only else order
            return recipe.deploy(fleet, app, world, mine, **how)

        return around.roll(once, self.said.append)


@pytest.fixture
def theatre(sky, tmp_path: Path) -> Theatre:
    return Theatre(sky, tmp_path)


def outcomes(report: RollReport) -> list[str]:
    return [host.outcome.value for host in report.hosts]


def registered(sky) -> set[tuple[str, str, int]]:
    sky.cloud.app.targets.advance()
    table = sky.cloud.app.targets.table
    return {(g.rpartition("/")[0] or g, i, p) for (g, i, p), t in table.items() if t.until is None}


@pytest.fixture
def crowded(sky):
    """Three instances in two target groups, one of them at two ports, and a classic balancer."""
    ids = sky.estate.build((A, B, C)).ids(A, B, C)
    web = sky.estate.target_group(name="web", port=8101)
    admin = sky.estate.target_group(name="admin", port=8200, delay=5)
    sky.estate.register(web, *ids, port=8101)
    sky.estate.register(web, *ids, port=8102)
    sky.estate.register(admin, *ids, port=8200)
    sky.estate.classic(*ids, delay=10)
    sky.clock.sleep(30)
    sky.faults.calls.clear()
    return (TargetGroupSettings(web), TargetGroupSettings(admin, 8200), ClassicElbSettings("auth"))


def test_a_host_leaves_every_place_before_it_changes_and_is_back_in_all(
    theatre, sky, crowded
) -> None:
    before = registered(sky)
    seen = []

    def look(moment: str) -> None:
        if moment == "before install":
            seen.append(len(registered(sky)))

    for address in (A, B, C):
        theatre.host(address).fault = look
    report = theatre.deploy(theatre.app((A, B, C), *crowded))
    assert outcomes(report) == ["changed"] * 3
    assert registered(sky) == before
    assert seen == [len(before) - 4] * 3, "out of four places, and nobody else"


def test_what_a_host_leaves_is_written_on_it_with_port_and_zone_before(
    theatre, sky, crowded
) -> None:
    host = theatre.host(A)
    written = []

    def look(moment: str) -> None:
        if moment == f"after put {OUT}":
            out = [m for m in sky.faults.mutations if "Deregister" in m]
            written.append((json.loads(host.files[OUT].content)["places"], out))

    host.fault = look
    theatre.deploy(theatre.app((A, B, C), *crowded))
    [(places, out)] = written
    assert out == [], "first written, then done"
    id_ = sky.estate.instances[A]
    assert sorted((p["balancer"], p["id"], p["port"], p["zone"]) for p in places) == [
        ("classic-elb/auth", id_, 8101, "eu-west-1a"),
        ("target-group/admin:8200", id_, 8200, "eu-west-1a"),
        ("target-group/web", id_, 8101, "eu-west-1a"),
        ("target-group/web", id_, 8102, "eu-west-1a"),
    ]


def test_a_further_run_asks_aws_to_change_nothing(theatre, sky, crowded) -> None:
    app = theatre.app((A, B, C), *crowded)
    theatre.deploy(app)
    sky.clock.sleep(60)
    sky.faults.calls.clear()
    assert outcomes(theatre.deploy(app)) == ["unchanged"] * 3
    assert sky.faults.mutations == []


def test_a_plan_changes_nothing_and_tells_what_it_costs(theatre, sky, crowded) -> None:
    sky.estate.set(crowded[0].arn, **{"deregistration_delay.timeout_seconds": "300"})
    sky.faults.calls.clear()
    plan = theatre.deploy(theatre.app((A, B, C), *crowded), dry=True)
    assert sky.faults.mutations == []
    text = "\n".join(plan.lines())
    assert "target-group/web (drains 5 min, at most 6 min)" in text
    assert re.search(r"about 1[56] min .*of waiting for balancers", text)
    assert "warning: target-group/web: every batch drains for 5 min" in text
    assert plan.as_dict()["waits"] >= 900


class Killed(BaseException):
    pass


@pytest.mark.parametrize(
    "moment", [f"after put {OUT}", "before install", "after install", "before probe"]
)
def test_a_roll_that_died_is_finished_with_every_port_from_any_machine(
    theatre, sky, crowded, moment: str
) -> None:
    before = registered(sky)

    def die(now: str) -> None:
        if now == moment:
            raise Killed

    theatre.host(A).fault = die
    app = theatre.app((A, B, C), *crowded)
    with pytest.raises(Killed):
        theatre.deploy(app)
    theatre.host(A).fault = None
    sky.clock.sleep(400)  # AWS has forgotten the targets by now
    if moment != f"after put {OUT}":
        assert len(registered(sky)) < len(before)
    report = theatre.deploy(app)
    assert report.exit_code == 0
    assert registered(sky) == before
    assert OUT not in theatre.host(A).files


def test_what_a_dead_roll_left_out_is_put_back_with_every_port(theatre, sky, crowded) -> None:
    before = registered(sky)

    def die(now: str) -> None:
        if now == "after install":
            raise Killed

    theatre.host(A).fault = die
    app = theatre.app((A, B, C), *crowded)
    with pytest.raises(Killed):
        theatre.deploy(app)
    theatre.host(A).fault = None
    sky.clock.sleep(400)
    assert theatre.restore(app).exit_code == 0
    assert registered(sky) == before
    assert theatre.host(A).running == "1.0-1"


def test_a_sick_version_stops_at_one_host_which_is_back_everywhere(theatre, sky, crowded) -> None:
    before = registered(sky)
    for address in (A, B, C):
        theatre.host(address).behaviours["1.1-1"] = Behaviour(starts=False)
    report = theatre.deploy(theatre.app((A, B, C), *crowded))
    assert sorted(outcomes(report)) == ["returned", "untouched", "untouched"]
    assert registered(sky) == before


def test_throttling_does_not_end_a_roll(theatre, sky, crowded) -> None:
    before = registered(sky)
    count = [0]

    def every_third(call) -> str:
        count[0] += 1
        return "throttle" if count[0] % 3 == 0 else "lost" if count[0] % 10 == 0 else ""

    sky.faults.chance = every_third
    report = theatre.deploy(theatre.app((A, B, C), *crowded))
    assert outcomes(report) == ["changed"] * 3
    assert registered(sky) == before
    assert len(sky.faults.calls) < 400


def test_somebody_who_deregistered_a_host_by_hand_is_respected(theatre, sky, crowded) -> None:
    sky.cloud.client("elbv2").deregister_targets(
        TargetGroupArn=crowded[1].arn, Targets=[{"Id": sky.estate.instances[A], "Port": 8200}]
    )
    sky.clock.sleep(30)
    report = theatre.deploy(theatre.app((A, B, C), *crowded))
    first = next(host for host in report.hosts if host.host == A)
    assert "somebody holds it out" in first.reason
    assert theatre.host(A).log == []


def test_a_group_in_no_use_is_refused_before_anything(theatre, sky) -> None:
    arn = sky.estate.build((A, B)).target_group(attached=False)
    sky.estate.register(arn, *sky.estate.ids(A, B))
    with pytest.raises(Refused, match=r"target-group/auth is in no use: unused Target\.NotInUse"):
        theatre.deploy(theatre.app((A, B), TargetGroupSettings(arn)))


def test_the_last_well_target_of_a_zone_stays_where_zones_are_not_crossed(theatre, sky) -> None:
    arn = sky.estate.build((A, B, C)).target_group(**{"load_balancing.cross_zone.enabled": "false"})
    sky.estate.register(arn, *sky.estate.ids(A, B, C))
    sky.clock.sleep(30)
    app = theatre.app((A, B, C), TargetGroupSettings(arn))
    report = theatre.deploy(app)
    assert "only 0 would be well in eu-west-1b" in report.stopped
    assert theatre.host(C).log == []
    meant = theatre.app((A, B, C), TargetGroupSettings(arn), min_healthy=Share(count=0))
    assert theatre.deploy(meant).exit_code == 0


def test_the_only_host_of_a_group_is_not_taken_out_unless_that_is_meant(theatre, sky) -> None:
    arn = sky.estate.build((A,)).target_group()
    sky.estate.register(arn, *sky.estate.ids(A))
    sky.clock.sleep(30)
    settings = TargetGroupSettings(arn)
    assert "min_healthy = 0" in theatre.deploy(theatre.app((A,), settings)).stopped
    assert theatre.deploy(theatre.app((A,), settings, min_healthy=Share(count=0))).exit_code == 0


def test_hosts_found_by_their_tags_are_rolled(theatre, sky) -> None:
    sky.estate.build()
    for address in ("10.0.0.71", "10.0.1.72"):
        sky.estate.instance(address, tag="tagged")
    arn = sky.estate.target_group()
    sky.estate.register(arn, *sky.estate.ids("10.0.0.71", "10.0.1.72"))
    sky.clock.sleep(30)
    app = theatre.app(Ec2Hosts((("tag:app", "tagged"),)), TargetGroupSettings(arn))
    report = theatre.deploy(app)
    assert {host.host for host in report.hosts} == {"10.0.0.71", "10.0.1.72"}
    assert outcomes(report) == ["changed"] * 2


def test_a_network_balancer_is_not_believed_where_the_host_knows_of_connections(
    theatre, sky
) -> None:
    arn = sky.estate.build((A, B)).target_group(
        protocol="TCP", **{"load_balancing.cross_zone.enabled": "true"}
    )
    sky.estate.register(arn, *sky.estate.ids(A, B))
    sky.clock.sleep(30)
    host = theatre.host(A)
    line = b"0: 0B00000A:1FA5 0C00000A:C350 01 00000000:00000000 00:00000000 00000000\n"
    host.files["/proc/net/tcp6"] = File(line)
    drained = []

    def look(moment: str) -> None:
        if moment == "before cat" and sky.clock.at > (drained or [sky.clock.at])[0] + 40:
            host.files["/proc/net/tcp6"] = File(b"")
        if moment == "before cat":
            drained.append(sky.clock.at)
        if moment == "before install":
            assert host.files["/proc/net/tcp6"].content == b"", "it waits for the last one"

    host.fault = look
    assert theatre.deploy(theatre.app((A, B), TargetGroupSettings(arn))).exit_code == 0
    assert len(drained) > 40


def test_a_connection_that_never_ends_does_not_hold_a_roll_for_ever(theatre, sky) -> None:
    arn = sky.estate.build((A, B)).target_group(
        protocol="TCP", **{"load_balancing.cross_zone.enabled": "true"}
    )
    sky.estate.register(arn, *sky.estate.ids(A, B))
    sky.clock.sleep(30)
    line = b"0: 0B00000A:1FA5 0C00000A:C350 01 00000000:00000000 00:00000000 00000000\n"
    theatre.host(A).files["/proc/net/tcp6"] = File(line)
    assert theatre.deploy(theatre.app((A, B), TargetGroupSettings(arn))).exit_code == 0
    journal = (theatre.folder / "journal.jsonl").read_text()
    assert '"event": "drain-limit", "host": "10.0.0.11", "left": 1' in journal


@pytest.fixture
def scaled(sky):
    """An Auto Scaling group of three, attached to a target group."""
    arn = sky.estate.build().target_group()
    addresses = sky.estate.scaling_group(arn)
    sky.clock.sleep(30)
    return arn, addresses


def test_an_auto_scaling_group_is_rolled_by_standby_and_left_as_it_was(
    theatre, sky, scaled
) -> None:
    arn, addresses = scaled
    states = []

    def look(moment: str) -> None:
        if moment == "before install":
            told = sky.estate.group()
            states.append(sorted(one["LifecycleState"] for one in told["Instances"]))

    for address in addresses:
        theatre.host(address).fault = look
    report = theatre.deploy(theatre.app(AsgHosts("auth"), TargetGroupSettings(arn)))
    assert outcomes(report) == ["changed"] * 3
    assert states == [["InService", "InService", "Standby"]] * 3
    told = sky.estate.group()
    assert (told["MinSize"], told["DesiredCapacity"]) == (3, 3)
    assert told["SuspendedProcesses"] == []
    assert told.get("Tags", []) == []
    assert {state["LifecycleState"] for state in told["Instances"]} == {"InService"}
    assert len(registered(sky)) == 3


def test_newcomers_are_converged_at_the_end(theatre, sky, scaled) -> None:
    arn, addresses = scaled
    last = sorted(addresses)[-1]

    def grow(moment: str) -> None:
        if moment == "before install" and sky.estate.group()["MaxSize"] == 8:
            scaling = sky.cloud.client("autoscaling")
            scaling.update_auto_scaling_group(
                AutoScalingGroupName="auth", MaxSize=9, DesiredCapacity=3
            )
            sky.estate.scaled(arn)

    theatre.host(last).fault = grow
    report = theatre.deploy(theatre.app(AsgHosts("auth"), TargetGroupSettings(arn)))
    assert len(report.hosts) == 4, report.lines()
    assert set(outcomes(report)) == {"changed"}
    newcomer = report.hosts[-1].host
    assert newcomer not in addresses
    assert theatre.host(newcomer).running == "1.1-1"
    assert any("came meanwhile" in line for line in theatre.said)


def test_a_newcomer_that_does_not_answer_yet_does_not_hide_the_report(theatre, sky, scaled) -> None:
    arn, addresses = scaled

    def grow(moment: str) -> None:
        if moment == "before install" and sky.estate.group()["MaxSize"] == 8:
            scaling = sky.cloud.client("autoscaling")
            scaling.update_auto_scaling_group(
                AutoScalingGroupName="auth", MaxSize=9, DesiredCapacity=3
            )
            for address in sky.estate.scaled(arn):
                theatre.host(address).dead |= address not in addresses

    theatre.host(sorted(addresses)[-1]).fault = grow
    report = theatre.deploy(theatre.app(AsgHosts("auth"), TargetGroupSettings(arn)))
    assert sorted(outcomes(report)) == ["changed"] * 3 + ["unknown"]
    assert report.exit_code == 4
    assert "it came meanwhile" in report.hosts[-1].reason


@pytest.mark.parametrize(("ended", "outcome", "code"), [(True, "gone", 0), (False, "unknown", 4)])
def test_a_silent_host_is_gone_only_where_its_group_has_it_no_more(
    theatre, sky, scaled, ended: bool, outcome: str, code: int
) -> None:
    arn, addresses = scaled
    last = []

    def shrink(moment: str) -> None:
        if moment == "before install" and not last:
            dying = next(a for a in addresses if not theatre.host(a).log)
            last.append(dying)
            theatre.host(dying).dead = True
            if ended:
                sky.cloud.client("autoscaling").terminate_instance_in_auto_scaling_group(
                    InstanceId=addresses[dying], ShouldDecrementDesiredCapacity=False
                )
                sky.estate.scaled(arn)  # another comes in its place

    for address in addresses:
        theatre.host(address).fault = shrink
    app = theatre.app(AsgHosts("auth"), TargetGroupSettings(arn))
    report = theatre.deploy(replace(app, min_healthy=Share(count=1)))
    found = {host.host: host for host in report.hosts}
    assert found[last[0]].outcome.value == outcome, report.lines()
    assert report.exit_code == code, report.lines()
    if ended:
        assert sorted(outcomes(report)) == ["changed", "changed", "changed", "gone"]
        assert found[last[0]].reason.startswith("it left the fleet meanwhile; ")
        assert sky.estate.group()["SuspendedProcesses"] == []


def test_hosts_of_a_group_that_is_not_held_are_told(theatre, sky, scaled) -> None:
    arn, addresses = scaled
    plan = theatre.deploy(theatre.app(tuple(addresses), TargetGroupSettings(arn)), dry=True)
    [told] = [line for line in plan.warnings if "Auto Scaling" in line]
    assert 'hosts = { asg = "auth" } lets it stand by' in told
    group = theatre.app(AsgHosts("auth"), TargetGroupSettings(arn))
    assert [w for w in theatre.deploy(group, dry=True).warnings if "Auto Scaling" in w] == []


def group_state(sky) -> tuple[int, int, list, list]:
    told = sky.estate.group()
    suspended = [one["ProcessName"] for one in told["SuspendedProcesses"]]
    return told["MinSize"], told["DesiredCapacity"], suspended, told.get("Tags", [])


def test_a_roll_that_the_lock_refuses_does_not_let_go_of_the_others_group(
    theatre, sky, scaled
) -> None:
    arn, addresses = scaled
    hold(open_scaling_group(AsgHosts("auth"), sky.aws, sky.machines, sky.clock), 1)  # ann's
    for address in addresses:
        theatre.host(address).lock = ["ann-1", "3", "2026-01-01T03:00", "ann@ci", "there/1/1"]
        theatre.host(address).heard = 1e9
    before = group_state(sky)
    sky.faults.calls.clear()
    with pytest.raises(Refused, match="is being rolled by ann@ci"):
        theatre.deploy(theatre.app(AsgHosts("auth"), TargetGroupSettings(arn)))
    assert sky.faults.mutations == []
    assert group_state(sky) == before


def test_what_a_dead_roll_held_is_let_go_by_a_restore(theatre, sky, scaled) -> None:
    arn, addresses = scaled

    def die(now: str) -> None:
        if now == "after install":
            raise Killed

    for address in addresses:
        theatre.host(address).fault = die
    app = theatre.app(AsgHosts("auth"), TargetGroupSettings(arn))
    with pytest.raises(Killed):
        theatre.deploy(app)
    for address in addresses:
        theatre.host(address).fault = None
    sky.clock.sleep(400)
    assert theatre.restore(app).exit_code == 0
    assert group_state(sky) == (3, 3, [], [])
    assert len(registered(sky)) == 3


def refuse(sky, *actions: str, after: str) -> None:
    """Deny some calls for ever, once another call came."""
    began = []

    def chance(call) -> str:
        began.append(call.action == after)
        return "denied" if any(began) and call.action in actions else ""

    sky.faults.chance = chance


@pytest.mark.parametrize(
    "denied", [("DeregisterTargets",), ("DeregisterTargets", "RegisterTargets")]
)
def test_what_is_to_be_allowed_is_said_of_the_host_that_it_failed_on(
    theatre, sky, crowded, denied
) -> None:
    for address in (A, B, C):
        theatre.host(address)
    refuse(sky, *denied, after="DeregisterTargets")
    report = theatre.deploy(theatre.app((A, B, C), *crowded))
    [failed] = [host for host in report.hosts if host.outcome.value in {"returned", "failed"}]
    assert "allow elasticloadbalancing:DeregisterTargets; docs/how-to/aws.md" in failed.hint
    assert ("fab restore" in failed.hint) is (failed.outcome.value == "failed")


@pytest.mark.parametrize("starts", [True, False])
def test_an_aws_that_falls_silent_when_a_host_is_well_leaves_it_unknown_and_as_it_is(
    theatre, sky, crowded, starts: bool
) -> None:
    """The host that falls ill is brought back first, and it is well then."""
    for address in (A, B, C):
        theatre.host(address).behaviours["1.1-1"] = Behaviour(starts=starts)
    silent = []  # since when

    def chance(call) -> str:
        if call.action == "RegisterTargets" and not silent:
            silent.append(sky.clock.at)
        return "error" if silent and 0 < sky.clock.at - silent[0] < 200 else ""

    before = registered(sky)
    sky.faults.chance = chance
    app = theatre.app((A, B, C), *crowded)
    report = theatre.deploy(app)
    assert sorted(outcomes(report)) == ["unknown", "untouched", "untouched"]
    assert report.exit_code == 4
    [unknown] = [host for host in report.hosts if host.outcome.value == "unknown"]
    assert "AWS did not answer" in unknown.reason
    assert "when it answers again, run the same deploy again" in unknown.hint
    assert theatre.host(unknown.host).running == ("1.1-1" if starts else "1.0-1")
    changes = [m for m in sky.faults.mutations if "Register" in m or "Deregister" in m]
    assert "Register" in changes[-1]
    sky.faults.chance = lambda _: ""
    sky.clock.sleep(400)
    assert theatre.restore(app).exit_code == 0
    assert registered(sky) == before


def test_an_instance_that_still_enters_standby_is_brought_back_from_there(
    theatre, sky, scaled
) -> None:
    arn, addresses = scaled
    sky.estate.set(arn, **{"deregistration_delay.timeout_seconds": "400"})
    for address in addresses:
        theatre.host(address)
    refuse(sky, "DeregisterTargets", after="DeregisterTargets")
    group = AsgHosts("auth")
    other = sky.estate.target_group(name="other", port=8200)
    sky.estate.register(other, *addresses.values(), port=8200)
    sky.clock.sleep(30)
    report = theatre.deploy(
        theatre.app(group, TargetGroupSettings(arn), TargetGroupSettings(other))
    )
    assert sorted(outcomes(report)) == ["returned", "untouched", "untouched"], report.lines()
    assert group_state(sky) == (3, 3, [], [])
    assert {one["LifecycleState"] for one in sky.estate.group()["Instances"]} == {"InService"}


@pytest.mark.parametrize("after", [1, 60])  # while it rises; while it soaks
def test_a_version_is_not_blamed_for_what_somebody_takes_out_by_hand(
    theatre, sky, crowded, after: int
) -> None:
    before = registered(sky)
    targets, arn, second = sky.cloud.app.targets, crowded[1].arn, sky.estate.instances[B]
    back: list[float] = []
    done: list[bool] = []

    def chance(call) -> str:
        if call.action == "RegisterTargets" and second in str(call.arguments):
            back.append(sky.clock.at)
        due = not done and back and sky.clock.at >= back[0] + after
        if call.action == "DescribeTargetHealth" and due:
            done.append(True)
            targets.deregister(arn, second, 8200)
        return ""

    for address in (A, B, C):
        theatre.host(address)
    sky.faults.chance = chance
    report = theatre.deploy(theatre.app((A, B, C), *crowded, soak=120.0))
    assert outcomes(report) == ["changed", "returned", "untouched"], report.lines()
    assert "target-group/admin" in report.hosts[1].reason
    assert "Target." in report.hosts[1].reason
    assert "taken back" not in report.stopped
    assert registered(sky) == before


def test_a_version_is_not_blamed_for_an_instance_that_its_group_lets_go(
    theatre, sky, scaled
) -> None:
    arn, addresses = scaled
    seen: list[str] = []

    def detach(address: str, moment: str) -> None:
        if moment == "before install" and address not in seen:
            seen.append(address)
            if len(seen) == 2:
                sky.cloud.client("autoscaling").detach_instances(
                    InstanceIds=[addresses[address]],
                    AutoScalingGroupName="auth",
                    ShouldDecrementDesiredCapacity=True,
                )

    for address in addresses:
        theatre.host(address).fault = partial(detach, address)
    report = theatre.deploy(theatre.app(AsgHosts("auth"), TargetGroupSettings(arn)))
    found = {host.host: host.outcome.value for host in report.hosts}
    assert found[seen[0]] == "changed", report.lines()
    assert found[seen[1]] == "failed", report.lines()
    [failed] = [host for host in report.hosts if host.outcome.value == "failed"]
    assert "no longer in the group" in failed.reason
    assert "taken back" not in report.stopped


@dataclass
class Forgetful:
    """An AWS whose EC2 has some instances no more, though their group still counts them (moto's
    groups never do).
    """

    aws: object
    ended: frozenset[str]

    def api(self, service: str, region: str | None = None):
        return self if service == "ec2" else self.aws.api(service, region)

    def pages(self, operation: str, member: str, **given) -> list:
        found = self.aws.api("ec2").pages(operation, member, **given)
        told = [one for each in found for one in each["Instances"]]
        return [{"Instances": [one for one in told if one["InstanceId"] not in self.ended]}]


def test_a_group_whose_instances_ec2_has_no_more_is_refused_by_their_names(
    theatre, sky, scaled
) -> None:
    ids = frozenset(scaled[1].values())
    app = theatre.app(AsgHosts("auth"), TargetGroupSettings(scaled[0]))
    with pytest.raises(Refused, match="EC2 has none of its instances any more: i-") as caught:
        open_surroundings(app, Forgetful(sky.aws, ids), sky.clock)
    assert all(id_ in caught.value.message for id_ in ids)
    assert "describe-scaling-activities" in (caught.value.hint or "")


def test_an_instance_that_ec2_has_no_more_is_named(theatre, sky, scaled) -> None:
    arn, addresses = scaled
    gone, *left = sorted(addresses)
    app = theatre.app(AsgHosts("auth"), TargetGroupSettings(arn))
    aws = Forgetful(sky.aws, frozenset({addresses[gone]}))
    opened = open_surroundings(app, aws, sky.clock)
    assert sorted(opened.app.hosts) == left
    [told] = opened.group.terms.warnings
    assert addresses[gone] in told


@pytest.mark.parametrize("ends_well", [True, False])
def test_a_group_that_cannot_be_let_go_hides_no_report(
    theatre, sky, scaled, ends_well: bool
) -> None:
    arn, addresses = scaled
    for address in addresses:
        theatre.host(address).behaviours["1.1-1"] = Behaviour(starts=ends_well)
    refuse(sky, "ResumeProcesses", after="ExitStandby")
    app = theatre.app(AsgHosts("auth"), TargetGroupSettings(arn))
    report = theatre.deploy(app)
    assert report.exit_code == 1
    assert outcomes(report) == (
        ["changed"] * 3 if ends_well else ["returned", "untouched", "untouched"]
    )
    assert "asg/auth is still held: autoscaling:ResumeProcesses" in report.stopped
    assert "the next deploy, or fab restore, lets it go" in report.stopped
    sky.faults.chance = lambda _: ""
    assert theatre.restore(app).exit_code == 0
    assert group_state(sky) == (3, 3, [], [])


def test_a_group_that_a_restore_cannot_let_go_hides_no_report(theatre, sky, scaled) -> None:
    hold(open_scaling_group(AsgHosts("auth"), sky.aws, sky.machines, sky.clock), 1)
    for address in scaled[1]:
        theatre.host(address)
    refuse(sky, "ResumeProcesses", after="ResumeProcesses")
    report = theatre.restore(theatre.app(AsgHosts("auth"), TargetGroupSettings(scaled[0])))
    assert outcomes(report) == ["unchanged"] * 3
    assert report.exit_code == 1
    assert "asg/auth is still held: autoscaling:ResumeProcesses" in report.stopped
    assert "allow autoscaling:ResumeProcesses" in report.stopped


def test_newcomers_that_nobody_may_look_for_hide_no_report(theatre, sky, scaled) -> None:
    arn, addresses = scaled
    refuse(sky, "DescribeAutoScalingGroups", after="DeleteTags")
    for address in addresses:
        theatre.host(address)
    report = theatre.deploy(theatre.app(AsgHosts("auth"), TargetGroupSettings(arn)))
    assert outcomes(report) == ["changed"] * 3
    assert report.exit_code == 1
    assert "whether hosts came meanwhile is unknown" in report.stopped
    sky.faults.chance = lambda _: ""
    assert group_state(sky) == (3, 3, [], [])


def test_aws_is_not_asked_where_nothing_is_its_own(theatre, sky) -> None:
    for address in ("a", "b"):
        theatre.host(address)
    sky.faults.calls.clear()
    report = theatre.deploy(theatre.app(("a", "b")))  # as kind = "none" gives it
    assert outcomes(report) == ["changed"] * 2
    assert sky.faults.calls == []


def allowed() -> set[str]:
    """The actions of the policy that the how-to shows."""
    block = re.search(r"```json\n(.*?)```", POLICY.read_text(), re.S)
    assert block is not None
    statements = json.loads(block[1])["Statement"]
    return {action for one in statements for action in one["Action"]}


def test_aws_is_asked_for_exactly_what_the_policy_allows(theatre, sky, crowded) -> None:
    sky.cloud.client("ssm").put_parameter(
        Name="/auth/password", Value="hunter2", Type="SecureString", Overwrite=True
    )
    vault = sky.cloud.client("secretsmanager")
    vault.create_secret(Name=f"auth-{sky.clock.at}", SecretString="hunter3")
    network = sky.estate.target_group(name="network", protocol="TCP")
    attached = sky.estate.target_group(name="scaled")
    sky.estate.scaling_group(attached)
    sky.estate.register(network, *sky.estate.ids(A, B, C))
    sky.clock.sleep(60)
    sky.faults.calls.clear()
    secrets = {
        "password": SecretSource("ssm", "/auth/password"),
        "other": SecretSource("secretsmanager", f"auth-{sky.clock.at - 60}"),
    }
    network_group = TargetGroupSettings(network)
    assert theatre.deploy(theatre.app((A, B, C), *crowded, secrets=secrets)).exit_code == 0
    tagged = theatre.app(Ec2Hosts((("tag:app", "auth"),)), network_group)
    theatre.deploy(tagged, dry=True)
    group = theatre.app(AsgHosts("auth"), TargetGroupSettings(attached))
    assert theatre.deploy(group).exit_code == 0
    asked = {call.name for call in sky.faults.calls}
    # KMS is not asked by us: SSM and Secrets Manager ask it for whoever asks them.
    assert asked == allowed() - {"kms:Decrypt"}
