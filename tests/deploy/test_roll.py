"""The roll over hosts that are not real: its order, its promises, its ways back."""

import json
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pytest

from debship.config.fleet import (
    Fleet,
    FleetApp,
    HealthSettings,
    ManagedFile,
    RepositorySettings,
    SecretSource,
    Share,
)
from debship.deploy import campaign, recipe
from debship.deploy.journal import DiskJournal
from debship.deploy.recipe import Order
from debship.deploy.report import Outcome, RollReport
from debship.deploy.stop import Stop
from debship.errors import Failed, Misused, Refused
from debship.model import DebVersion, PackageName

from fakes import FakeRun
from fakes_fleet import Behaviour, FakeBalancer, FakeClock, FakeHost, File, OneByOne, lose_link

SECRETS = "/etc/mycompany/auth/secrets.env"
OUT = "/var/lib/debship/auth/out.json"


@dataclass
class Rig:
    """Three fake hosts behind a fake balancer, and a fleet that names them."""

    folder: Path
    clock: FakeClock = field(default_factory=FakeClock)
    hosts: tuple[FakeHost, ...] = ()
    app: FleetApp | None = None
    steps: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.hosts:
            self.hosts = tuple(FakeHost(name, self.clock) for name in ("a", "b", "c"))
        self.balancer = FakeBalancer(self.hosts, self.clock)
        template = self.folder / "secrets.env.j2"
        template.write_text("PASSWORD={{ password }}\n")
        self.app = self.app or FleetApp(
            name="auth",
            package=PackageName("auth"),
            hosts=tuple(host.address for host in self.hosts),
            health=HealthSettings("/healthz", 8101, version="version"),
            files=(ManagedFile(PurePosixPath(SECRETS), template, mode=0o600),),
            secrets={"password": SecretSource("env", "PASSWORD")},
        )
        for host in self.hosts:
            host.files.setdefault(SECRETS, File(b"PASSWORD=hunter2\n", mode=0o600))

    def deploy(self, version: str | None = "1.1-1", **changes) -> RollReport:
        repository = RepositorySettings("/srv/apt", "http://apt", "production")
        fleet = Fleet(self.folder / "fleet.toml", repository)
        world = campaign.World(
            connect=lambda name: next(h for h in self.hosts if h.address == name),
            balancers=(self.balancer,),
            resolve=lambda name: frozenset(),
            run=FakeRun(),
            env=changes.get("env", {"PASSWORD": "hunter2"}),
            clock=self.clock,
            workers=OneByOne(),
            journal=lambda _path: DiskJournal(self.folder / "journal.jsonl", self.clock),
            process="here/1/1",
            dead=lambda process: process == "here/1/1",
        )
        order = Order(changes.get("roll", "20260101-aa"), "me@here", version=version)
        return recipe.deploy(fleet, self.app, world, order, say=self.steps.append, stop=Stop())

    @property
    def journal(self) -> list[dict]:
        return [
            json.loads(line) for line in (self.folder / "journal.jsonl").read_text().splitlines()
        ]


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def outcomes(report: RollReport) -> list[str]:
    return [host.outcome.value for host in report.hosts]


def test_every_host_gets_the_version_one_after_the_other(rig: Rig) -> None:
    report = rig.deploy()
    assert outcomes(report) == ["changed"] * 3
    assert report.exit_code == 0
    assert rig.balancer.log == ["out a", "back a", "out b", "back b", "out c", "back c"]
    for host in rig.hosts:
        assert (host.version, host.running) == ("1.1-1", "1.1-1")
        assert host.log.index("install 1.1-1") < host.log.index("restart")
        assert OUT not in host.files


def test_a_further_run_changes_nothing(rig: Rig) -> None:
    rig.deploy()
    before = [list(host.log) for host in rig.hosts], list(rig.balancer.log)
    assert outcomes(rig.deploy()) == ["unchanged"] * 3
    assert ([list(host.log) for host in rig.hosts], list(rig.balancer.log)) == before


def test_the_newest_version_is_taken_where_none_is_named(rig: Rig) -> None:
    assert str(rig.deploy(None).version) == "1.1-1"


def test_the_upstream_part_is_enough_to_name_a_version(rig: Rig) -> None:
    assert str(rig.deploy("1.0").version) == "1.0-1"


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(installs=False),
        Behaviour(starts=False),
        Behaviour(healthy=False),
        Behaviour(says="9.9"),
    ],
    ids=["postinst fails", "does not start", "is not well", "says another version"],
)
def test_a_bad_version_touches_one_host_and_is_brought_back(rig: Rig, behaviour) -> None:
    for host in rig.hosts:
        host.behaviours["1.1-1"] = behaviour
    report = rig.deploy()
    assert outcomes(report) == ["returned", "untouched", "untouched"]
    assert report.exit_code == 1
    first, *others = rig.hosts
    assert (first.version, first.running, first.abbrev) == ("1.0-1", "1.0-1", "ii ")
    assert rig.balancer.members()[0].standing.value == "in"
    assert OUT not in first.files
    assert all(host.log == [] for host in others)
    assert "the budget is 0" in report.stopped


def test_a_failure_within_the_budget_does_not_stop_the_roll(rig: Rig) -> None:
    rig.app = FleetApp(**{**_fields(rig.app), "budget": 1})
    rig.hosts[0].behaviours["1.1-1"] = Behaviour(healthy=False)
    assert outcomes(rig.deploy()) == ["returned", "changed", "changed"]


def test_configuration_that_changed_is_rolled_and_restarts(rig: Rig) -> None:
    report = rig.deploy("1.0-1", env={"PASSWORD": "correct horse"})
    assert outcomes(report) == ["changed"] * 3
    for host in rig.hosts:
        assert host.files[SECRETS].content == b"PASSWORD=correct horse\n"
        assert host.log[:2] == ["put " + OUT, "put " + SECRETS]
        assert "install 1.0-1" not in host.log
        assert "restart" in host.log


def test_going_back_brings_the_former_configuration_back_too(rig: Rig) -> None:
    for host in rig.hosts:
        host.behaviours["1.1-1"] = Behaviour(healthy=False)
    rig.deploy(env={"PASSWORD": "correct horse"})
    assert rig.hosts[0].files[SECRETS].content == b"PASSWORD=hunter2\n"


def test_no_secret_is_in_the_journal_the_report_or_what_was_said(rig: Rig) -> None:
    rig.hosts[0].behaviours["1.1-1"] = Behaviour(healthy=False)
    report = rig.deploy(env={"PASSWORD": "correct horse"})
    everything = "\n".join(
        [
            json.dumps(rig.journal),
            json.dumps(report.as_dict()),
            *report.lines(),
            *rig.steps,
            repr(report),
        ]
    )
    assert "correct horse" not in everything
    assert "hunter2" not in everything


def test_a_secret_that_is_missing_is_found_before_anything_is_touched(rig: Rig) -> None:
    with pytest.raises(Failed, match="secret password: the environment has no PASSWORD"):
        rig.deploy(env={})
    assert all(host.log == [] for host in rig.hosts)


@pytest.mark.parametrize(
    "moment", ["put " + OUT, "install", "systemctl", "probe", "put " + SECRETS]
)
@pytest.mark.parametrize("edge", ["before", "after"])
def test_a_roller_that_dies_is_finished_by_the_next(rig: Rig, edge: str, moment: str) -> None:
    class Died(BaseException):
        pass

    def die(at: str) -> None:
        if at == f"{edge} {moment}":
            raise Died

    rig.hosts[1].fault = die
    with pytest.raises(Died):
        rig.deploy(env={"PASSWORD": "correct horse"})
    rig.hosts[1].fault = None
    report = rig.deploy(env={"PASSWORD": "correct horse"})
    assert report.exit_code == 0
    assert {host.running for host in rig.hosts} == {"1.1-1"}
    assert {member.standing.value for member in rig.balancer.members()} == {"in"}
    assert all(OUT not in host.files for host in rig.hosts)
    assert outcomes(rig.deploy(env={"PASSWORD": "correct horse"})) == ["unchanged"] * 3


def test_what_is_restarted_was_out_and_what_went_back_was_well(rig: Rig) -> None:
    seen: list[bool] = []
    for host in rig.hosts:
        host.fault = lambda at, host=host: (
            seen.append(host.serving) if at in {"before install", "before probe"} else None
        )
    rig.deploy()
    assert seen
    assert not any(seen)


def test_requests_in_flight_are_waited_for(rig: Rig) -> None:
    rig.balancer.inflight["a"] = 7
    report = rig.deploy()
    assert report.exit_code == 0
    assert rig.balancer.inflight["a"] == 0


def test_a_host_that_is_down_stops_the_roll_before_it_begins(rig: Rig) -> None:
    rig.hosts[2].dead = True
    with pytest.raises(Failed, match="c: no connection"):
        rig.deploy()
    assert rig.balancer.log == []


def test_too_few_serving_hosts_stop_the_roll(rig: Rig) -> None:
    rig.app = FleetApp(**{**_fields(rig.app), "min_healthy": Share(count=3)})
    report = rig.deploy()
    assert outcomes(report) == ["untouched"] * 3
    assert "only 2 of the fleet would serve, and 3 must" in report.stopped
    assert rig.balancer.log == []


def test_a_host_that_serves_nobody_goes_first(rig: Rig) -> None:
    rig.hosts[2].active = "failed"
    report = rig.deploy()
    assert [host.host for host in report.hosts] == ["c", "a", "b"]
    assert report.exit_code == 0


def test_a_host_that_somebody_holds_out_is_left_alone(rig: Rig) -> None:
    rig.balancer.held.add("b")
    report = rig.deploy()
    assert report.exit_code == 1
    assert rig.hosts[1].log == []
    assert "b" in rig.balancer.held


def test_a_lost_link_in_the_installation_is_asked_again_not_guessed(rig: Rig) -> None:
    rig.hosts[0].fault = lose_link("after install")
    assert outcomes(rig.deploy()) == ["changed"] * 3


def test_a_host_that_is_lost_for_good_is_unknown_and_stays_out(rig: Rig) -> None:
    host = rig.hosts[0]

    def die(at: str) -> None:
        if at == "after install":
            host.dead = True
            lose_link(at)(at)

    host.fault = die
    report = rig.deploy()
    assert report.hosts[0].outcome is Outcome.UNKNOWN
    assert report.exit_code == 4
    assert "a" in rig.balancer.held
    assert outcomes(report)[1:] == ["untouched"] * 2


def test_a_version_that_is_not_there_is_found_before_anything(rig: Rig) -> None:
    with pytest.raises(Misused, match=r"auth 9\.9 is not in the repository"):
        rig.deploy("9.9")
    assert rig.balancer.log == []


def test_an_installation_that_removes_something_is_refused(rig: Rig) -> None:
    rig.hosts[1].also = "Remv nginx [1.22-1]"
    with pytest.raises(Refused, match="would remove nginx"):
        rig.deploy()
    assert rig.balancer.log == []


def test_a_way_back_that_is_closed_is_found_before_anything(rig: Rig) -> None:
    for host in rig.hosts:
        host.offered = ("1.1-1",)
    with pytest.raises(Refused, match="the way back is closed"):
        rig.deploy()


def test_a_half_installed_package_is_mended_while_the_host_serves(rig: Rig) -> None:
    rig.hosts[0].abbrev = "iF "
    assert rig.deploy().exit_code == 0


def test_the_journal_says_what_will_be_done_before_it_is_done(rig: Rig) -> None:
    rig.deploy()
    events = [(line["event"], line["host"]) for line in rig.journal]
    mine = [event for event, host in events if host == "a"]
    assert mine == ["take-out", "install", "restart", "put-back", "changed"]


def test_rollback_finds_what_the_newest_roll_replaced(rig: Rig) -> None:
    rig.deploy()
    hosts = {host.address: host for host in rig.hosts}
    states = campaign.observe_all(rig.app, hosts, OneByOne())
    assert campaign.last_change(states) == DebVersion("1.0-1")
    with pytest.raises(Refused, match="no host remembers"):
        campaign.last_change({})


def _fields(app: FleetApp) -> dict:
    return {name: getattr(app, name) for name in app.__dataclass_fields__}
