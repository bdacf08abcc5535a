"""The roll over hosts that are not real: its order, its promises, its ways back."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
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
from debship.deploy.gate import gate_rules
from debship.deploy.gatekeeper import inner, matching
from debship.deploy.host import Answer
from debship.deploy.journal import DiskJournal, JournalLost
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
        fleet, world = self.doors(**changes)
        wishes = {
            name: changes[name]
            for name in ("only", "undo", "back", "unknown_hooks", "config")
            if name in changes
        }
        order = Order(changes.get("roll", "20260101-aa"), "me@here", version=version, **wishes)
        return recipe.deploy(
            fleet,
            self.app,
            world,
            order,
            say=self.steps.append,
            stop=changes.get("stop", Stop()),
            carry_on=changes.get("carry_on", lambda _hosts: True),
        )

    def restore(self, **changes) -> RollReport:
        fleet, world = self.doors(**changes)
        order = Order("20260102-bb", "ann@there")
        return recipe.restore(fleet, self.app, world, order, say=self.steps.append, stop=Stop())

    def doors(self, **changes) -> tuple[Fleet, campaign.World]:
        rules = gate_rules(self.app)
        for host in self.hosts:
            host.judge = partial(let_through, rules)
        repository = RepositorySettings("/srv/apt", "http://apt", "production")
        world = campaign.World(
            connect=lambda name: next(h for h in self.hosts if h.address == name),
            balancers=(self.balancer,),
            resolve=lambda name: frozenset(),
            run=changes.get("run") or FakeRun(),
            env=changes.get("env", {"PASSWORD": "hunter2"}),
            clock=self.clock,
            workers=OneByOne(),
            journal=lambda _path: (
                changes.get("journal") or DiskJournal(self.folder / "journal.jsonl", self.clock)
            ),
            process="here/1/1",
            dead=lambda process: process == "here/1/1",
        )
        return Fleet(self.folder / "fleet.toml", repository), world

    @property
    def journal(self) -> list[dict]:
        return [
            json.loads(line) for line in (self.folder / "journal.jsonl").read_text().splitlines()
        ]


def let_through(rules: dict, argv: Sequence[str], stdin: bytes) -> None:
    """Every command of every roll here passes the gate of an unprivileged user."""
    rule = matching(inner(list(argv), rules["guard"]), rules["commands"])
    assert rule is not None, f"the gate refuses {argv}"
    assert rule.get("stdin") in {None, hashlib.sha256(stdin).hexdigest()}, argv


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


def test_a_first_version_that_is_bad_tells_what_it_wrote(rig: Rig) -> None:
    for host in rig.hosts:
        host.version = host.running = None
        host.abbrev = "un "
        host.behaviours["1.1-1"] = Behaviour(healthy=False)
    report = rig.deploy()
    assert outcomes(report) == ["failed", "untouched", "untouched"]
    assert "there was no version before" in report.hosts[0].reason
    assert "ModuleNotFoundError" in report.hosts[0].log


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


@pytest.mark.parametrize("moment", ["put " + OUT, "install", "restart", "probe", "put " + SECRETS])
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
    (told,) = [one for one in report.hosts if one.host == "b"]
    assert told.reason.startswith("it is out of its balancer, and not by a roll of auth: somebody")
    assert "the roll of another application of that balancer does so by itself" in told.hint


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


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("active", ["restart auth.service"]),
        ("inactive", ["stop auth.service", "start auth.socket", "restart auth.service"]),
    ],
)
def test_a_socket_goes_on_listening(rig: Rig, state: str, expected: list[str]) -> None:
    for host in rig.hosts:
        host.socket = state
    assert rig.deploy().exit_code == 0
    log = rig.hosts[0].log
    assert [line for line in log if " auth." in line] == expected


def test_an_installation_that_removes_something_is_refused(rig: Rig) -> None:
    rig.hosts[1].also = "Remv nginx [1.22-1]"
    with pytest.raises(Refused, match="would remove nginx"):
        rig.deploy()
    assert rig.balancer.log == []


def test_another_application_that_is_finished_with_this_one_is_named(rig: Rig) -> None:
    rig.hosts[1].also = "Conf billing (3.0-1 repo [all])"
    assert rig.deploy().exit_code == 0
    said = [line for line in rig.steps if "billing" in line]
    assert len(said) == 1
    assert said[0].startswith("b: apt also finishes billing, which a dpkg that was cut off left")
    assert rig.steps.index(said[0]) < rig.steps.index("a: leaving the balancer")


def test_another_application_that_is_just_being_installed_is_not_called_cut_off(rig: Rig) -> None:
    host = rig.hosts[1]
    host.also = "Conf billing (3.0-1 repo [all])"
    check = host._check

    def ended(argv: tuple[str, ...]) -> Answer:
        host.also = ""  # it waited for dpkg's lock
        return check(argv)

    host._check = ended
    assert rig.deploy().exit_code == 0
    assert [line for line in rig.steps if "billing" in line] == []


DEPENDENCIES = "Inst auth-deps-0123abcd (1.0-1 repo [amd64])"


def test_dependencies_are_installed_on_every_host_before_the_first_leaves(rig: Rig) -> None:
    for host in rig.hosts:
        host.also = DEPENDENCIES
    rig.hosts[2].also = ""  # it has them
    assert rig.deploy().exit_code == 0
    ahead = "ahead auth-deps-0123abcd=1.0-1"
    assert [host.log[0] == ahead for host in rig.hosts] == [True, True, False]
    said = rig.steps.index("installing auth-deps-0123abcd=1.0-1 beside what serves")
    assert said < rig.steps.index("a: leaving the balancer")
    assert all(host.log.count(ahead) <= 1 for host in rig.hosts)


def test_dependencies_that_cannot_be_installed_leave_every_host_serving(rig: Rig) -> None:
    for host in rig.hosts:
        host.also = DEPENDENCIES
    rig.hosts[1].takes = False
    with pytest.raises(Failed, match=r"(?s)b: auth-deps-.* could not be .*ModuleNotFound"):
        rig.deploy()
    assert rig.balancer.log == []
    assert all("install 1.1-1" not in host.log for host in rig.hosts)


def test_a_way_back_that_is_closed_is_found_before_anything(rig: Rig) -> None:
    for host in rig.hosts:
        host.offered = ("1.1-1",)
    with pytest.raises(Refused, match="the way back is closed"):
        rig.deploy()


@pytest.mark.parametrize("kept", [True, False])
def test_a_way_back_that_lies_there_is_not_fetched_again(rig: Rig, *, kept: bool) -> None:
    fetched: list[str] = []
    host, fetch = rig.hosts[0], rig.hosts[0]._fetch

    def watched(argv: tuple[str, ...]) -> Answer:
        fetched.append(argv[-1])
        return fetch(argv)

    host.cached, host._fetch = {"1.0-1"} if kept else set(), watched
    assert rig.deploy().exit_code == 0
    assert fetched == ["auth=1.1-1", *(["auth=1.0-1"] if not kept else [])]


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


def test_one_host_alone_is_rolled_and_the_fleet_still_counts(rig: Rig) -> None:
    report = rig.deploy(only=("b",))
    assert [host.host for host in report.hosts] == ["b"]
    assert [host.version for host in rig.hosts] == ["1.0-1", "1.1-1", "1.0-1"]
    rig.hosts[0].active = "failed"
    assert "only 1 of the fleet would serve, and 2 must" in rig.deploy(only=("c",)).stopped


def test_a_host_that_the_fleet_has_not_is_not_rolled(rig: Rig) -> None:
    with pytest.raises(Misused, match="has no host d") as caught:
        rig.deploy(only=("d",))
    assert caught.value.hint == "it has a, b, c"


def test_a_person_is_asked_between_batches(rig: Rig) -> None:
    asked: list[tuple[str, ...]] = []

    def carry_on(hosts) -> bool:
        asked.append(tuple(hosts))
        return len(asked) < 2

    report = rig.deploy(carry_on=carry_on)
    assert asked == [("b",), ("c",)]
    assert outcomes(report) == ["changed", "changed", "untouched"]
    assert report.stopped == "a person asked to stop"


def stop_at(rig: Rig, moment: str, times: int) -> Stop:
    stop = Stop()

    def fault(at: str) -> None:
        if at == moment:
            stop.asked = times

    rig.hosts[0].fault = fault
    return stop


@pytest.mark.parametrize("moment", ["before install", "after restart", "before probe"])
def test_asked_once_the_batch_is_finished(rig: Rig, moment: str) -> None:
    report = rig.deploy(stop=stop_at(rig, moment, 1))
    assert outcomes(report) == ["changed", "untouched", "untouched"]
    assert report.stopped == "a person asked to stop"


def test_asked_twice_while_it_drains_the_host_is_put_back(rig: Rig) -> None:
    rig.balancer.inflight["a"] = 1000
    report = rig.deploy(stop=stop_at(rig, f"after put {OUT}", 2))
    assert outcomes(report) == ["untouched"] * 3
    assert rig.balancer.held == set()
    assert OUT not in rig.hosts[0].files
    assert rig.hosts[0].version == "1.0-1"


def test_asked_twice_in_the_middle_the_host_is_left_out_and_the_way_out_is_told(rig: Rig) -> None:
    report = rig.deploy(stop=stop_at(rig, "after install", 2))
    host = report.hosts[0]
    assert (host.outcome, host.standing) == (Outcome.UNKNOWN, "out")
    assert "it stands out of its balancers" in host.reason
    assert "fab restore" in host.hint
    assert report.exit_code == 4
    rig.hosts[0].fault = None
    assert outcomes(rig.restore()) == ["returned", "unchanged", "unchanged"]
    assert rig.balancer.held == set()


def fails_on(rig: Rig, name: str) -> None:
    next(h for h in rig.hosts if h.address == name).behaviours["1.1-1"] = Behaviour(healthy=False)


def test_a_version_that_fails_later_is_taken_back_where_it_was_put(rig: Rig) -> None:
    fails_on(rig, "c")
    report = rig.deploy(env={"PASSWORD": "correct horse"})
    assert outcomes(report) == ["returned"] * 3
    assert "2 hosts that it had changed were taken back" in report.stopped
    for host in rig.hosts:
        assert (host.version, host.running) == ("1.0-1", "1.0-1")
        assert host.files[SECRETS].content == b"PASSWORD=hunter2\n"
        assert OUT not in host.files
    assert rig.balancer.held == set()


def test_what_was_changed_stays_where_that_is_wished(rig: Rig) -> None:
    fails_on(rig, "c")
    assert outcomes(rig.deploy(undo=False)) == ["changed", "changed", "returned"]


def test_a_host_that_dies_is_no_reason_to_take_others_back(rig: Rig) -> None:
    host = rig.hosts[2]

    def die(at: str) -> None:
        if at == "after install":
            host.dead = True
            lose_link(at)(at)

    host.fault = die
    report = rig.deploy()
    assert outcomes(report) == ["changed", "changed", "unknown"]
    told = [line for line in report.lines() if line.startswith("  c: ")]
    assert not any(line.startswith("  c: c: ") for line in told)


def test_a_host_that_was_there_already_is_not_taken_back(rig: Rig) -> None:
    rig.deploy(only=("a",), roll="20251231-zz")
    fails_on(rig, "c")
    assert outcomes(rig.deploy()) == ["unchanged", "returned", "returned"]


def test_a_service_that_crashes_while_it_soaks_is_brought_back(rig: Rig) -> None:
    rig.app = FleetApp(**{**_fields(rig.app), "soak": 5.0})
    crashed = rig.hosts[0]

    def crash(at: str) -> None:
        crashed.restarts = 3 if at == "before observe" and crashed.serving else crashed.restarts

    def fault(at: str) -> None:
        if at == "after probe":
            crashed.fault = crash

    crashed.fault = fault
    report = rig.deploy()
    assert outcomes(report) == ["returned", "untouched", "untouched"]
    assert "restarted 3 times" in report.hosts[0].reason


def test_a_hold_is_kept(rig: Rig) -> None:
    rig.hosts[1].abbrev = "hi "
    assert rig.deploy().exit_code == 0
    assert [host.abbrev for host in rig.hosts] == ["ii ", "hi ", "ii "]


def _lost_hold(host: FakeHost, clock: FakeClock, locked: float) -> None:
    """Let somebody lose a hold that was put back, and have dpkg's lock when that is mended."""

    def meddle(moment: str) -> None:
        if moment == "after restart":
            host.abbrev = "ii "
        if moment == "before apt-mark" and not host.dpkg_locked_until:
            assert host.serving
            host.dpkg_locked_until = clock.at + locked

    host.fault = meddle


def test_a_hold_waits_for_dpkgs_lock_while_the_host_serves(rig: Rig) -> None:
    rig.hosts[1].abbrev = "hi "
    _lost_hold(rig.hosts[1], rig.clock, 30)
    assert rig.deploy().exit_code == 0
    assert [host.abbrev for host in rig.hosts] == ["ii ", "hi ", "ii "]


def test_a_hold_that_cannot_be_put_back_is_told_and_made_good_by_the_next_roll(rig: Rig) -> None:
    held = rig.hosts[0]
    held.abbrev = "hi "
    _lost_hold(held, rig.clock, 1000)
    report = rig.deploy()
    assert outcomes(report) == ["unknown", "untouched", "untouched"]
    assert "was on hold, and could not be held again" in report.hosts[0].reason
    assert report.hosts[0].standing == "in"
    held.dpkg_locked_until, held.fault = 0.0, None
    assert rig.deploy().exit_code == 0
    assert [host.abbrev for host in rig.hosts] == ["hi ", "ii ", "ii "]


def test_a_disk_that_is_too_full_is_found_while_the_host_serves(rig: Rig) -> None:
    rig.hosts[1].room = False
    with pytest.raises(Failed, match=r"b: the disk is too full for auth 1\.1-1: /usr has 10 KiB"):
        rig.deploy()
    assert rig.balancer.log == []


def test_what_dpkg_could_not_write_is_found_while_the_host_serves(rig: Rig) -> None:
    rig.hosts[1]._room = lambda _: "fixed /usr is read-only"
    with pytest.raises(Failed, match=r"b: auth 1\.1-1 cannot be unpacked there: /usr is read-only"):
        rig.deploy()
    assert rig.balancer.log == []


def test_a_version_that_another_source_has_too_is_refused_while_the_host_serves(rig: Rig) -> None:
    said = (
        b"W: Sources disagree on hashes for supposedly identical version '1.1-1' of 'auth:amd64'."
    )
    rig.hosts[1]._fetch = lambda _: Answer(0, b"", said)
    with pytest.raises(Refused, match=r"b: another of its sources has a package auth 1\.1-1"):
        rig.deploy()
    assert rig.balancer.log == []


class Died(BaseException):
    """The roller is killed."""


def die_at(rig: Rig, moment: str) -> None:
    def fault(at: str) -> None:
        if at == moment:
            raise Died

    rig.hosts[1].fault = fault
    with pytest.raises(Died):
        rig.deploy(env={"PASSWORD": "correct horse"})
    rig.hosts[1].fault = None


@pytest.mark.parametrize(
    ("moment", "outcome", "version"),
    [
        (f"after put {OUT}", "returned", "1.0-1"),
        ("before install", "returned", "1.0-1"),
        ("after install", "returned", "1.0-1"),
        ("before probe", "changed", "1.1-1"),
        ("before settle", "changed", "1.1-1"),
    ],
)
def test_what_a_dead_run_left_out_is_put_back_from_another_machine(
    rig: Rig, moment: str, outcome: str, version: str
) -> None:
    die_at(rig, moment)
    report = rig.restore(env={})  # that machine has no secrets
    assert outcomes(report) == ["unchanged", outcome, "unchanged"]
    assert report.exit_code == 0
    assert report.lines()[-1].startswith("auth, restored: ")
    assert (rig.hosts[1].version, rig.hosts[1].running) == (version, version)
    content = b"hunter2" if version == "1.0-1" else b"correct horse"
    assert rig.hosts[1].files[SECRETS].content == b"PASSWORD=" + content + b"\n"
    assert rig.balancer.held == set()
    assert OUT not in rig.hosts[1].files


def test_the_old_version_is_not_put_back_with_the_new_files(rig: Rig) -> None:
    host = rig.hosts[1]
    host.behaviours["1.1-1"] = Behaviour(healthy=False)
    die_at(rig, "before return")
    host.restart()  # it was started again: with the version of before, which is well
    assert host.running == "1.0-1"
    assert host.files[SECRETS].content == b"PASSWORD=correct horse\n"
    assert outcomes(rig.restore(env={})) == ["unchanged", "returned", "unchanged"]
    assert host.files[SECRETS].content == b"PASSWORD=hunter2\n"


def test_restoring_leaves_alone_what_somebody_holds_out(rig: Rig) -> None:
    rig.balancer.held.add("b")
    report = rig.restore()
    assert "somebody holds it out" in report.hosts[1].reason
    assert rig.balancer.held == {"b"}


def test_restoring_puts_back_what_answers_and_tells_of_the_rest(rig: Rig) -> None:
    die_at(rig, "before install")
    rig.hosts[0].dead = True
    report = rig.restore()
    assert outcomes(report) == ["unknown", "returned", "unchanged"]
    assert report.exit_code == 4


def test_restoring_tells_of_a_record_that_is_damaged_and_mends_the_rest(rig: Rig) -> None:
    rig.hosts[0].files[OUT] = File(b"")
    rig.hosts[1].files[OUT] = File(b'{"before": "1.0-1", "version": "1.1-1"}')
    rig.balancer.take_out(rig.balancer.members()[1])
    report = rig.restore()
    assert outcomes(report) == ["unknown", "returned", "unchanged"]
    assert f"{OUT} is damaged" in report.hosts[0].reason
    assert report.exit_code == 4


def test_a_roll_under_way_refuses_a_second_and_names_who_and_since_when(rig: Rig) -> None:
    for host in rig.hosts:
        host.lock = ["20251231-zz", "3", "2026-01-01T03:00", "ann@ci", "there/1/1"]
        host.heard = 1e9
    with pytest.raises(Refused, match="is being rolled by ann@ci since 2026-01-01T03:00"):
        rig.deploy()
    assert rig.balancer.log == []
    _, world = rig.doors()
    with pytest.raises(Refused, match="which seems alive"):
        recipe.unlock(rig.app, world)
    broken = recipe.unlock(rig.app, world, force=True)
    assert {holder.by for holder in broken.told.values()} == {"ann@ci"}
    assert rig.deploy().exit_code == 0


def test_a_roll_whose_lock_is_broken_stops_and_touches_nothing_more(rig: Rig) -> None:
    def broken(at: str) -> None:
        if at == "after install":
            for host in rig.hosts:
                host.lock = ["20260109-zz", "9", "T", "ann@ci", "there/1/1"]

    rig.hosts[0].fault = broken
    report = rig.deploy()
    assert outcomes(report) == ["unknown", "untouched", "untouched"]
    assert "no longer holds the lock" in report.stopped
    assert rig.balancer.log == ["out a"]
    assert rig.hosts[0].log[-1] == "install 1.1-1"


def test_the_hosts_remember_every_roll(rig: Rig) -> None:
    rig.deploy(roll="20260101-aa")
    rig.deploy("1.0-1", roll="20260102-bb")
    _, world = rig.doors()
    found = recipe.history(rig.app, world).rolls
    assert [(entry.roll, entry.version) for entry in found] == [
        ("20260102-bb", "1.0-1"),
        ("20260101-aa", "1.1-1"),
    ]
    assert dict(found[0].hosts) == {"a": "changed", "b": "changed", "c": "changed"}
    assert "3 changed  by me@here" in found[0].line()


def test_the_report_counts_the_calls_that_each_host_needed(rig: Rig) -> None:
    report = rig.deploy()
    assert [host.calls for host in report.hosts] == [
        entry["calls"] for entry in report.as_dict()["hosts"]
    ]
    assert all(host.calls < 25 for host in report.hosts)
    assert f"at most {max(h.calls for h in report.hosts)} a host" in report.lines()[-1]


class FullDisk:
    """A journal whose disk is full when an installation is to be announced."""

    def write(self, event: str, host: str = "", **_facts) -> None:
        if event == "install":
            raise JournalLost("journal.jsonl: the journal cannot be written: No space left")


def test_a_journal_that_cannot_be_written_ends_the_roll_before_the_next_act(rig: Rig) -> None:
    report = rig.deploy(journal=FullDisk())
    assert outcomes(report) == ["unknown", "untouched", "untouched"]
    assert rig.hosts[0].version == "1.0-1"
    assert "cannot be written" in report.hosts[0].reason
    assert rig.deploy().exit_code == 0


def _fields(app: FleetApp) -> dict:
    return {name: getattr(app, name) for name in app.__dataclass_fields__}
