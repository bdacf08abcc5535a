"""What keeps a package from being installed, and whether that speaks against its version."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from test_roll import OUT, Rig, outcomes

from debship.config.fleet import Share
from debship.deploy.host import Answer, LinkLost
from debship.deploy.installation import Fault, diagnosis
from debship.deploy.observation import HostState, PackageState
from debship.model import DebVersion

from fakes_fleet import Behaviour, FakeHost, verb

OLD = PackageState("ii ", DebVersion("1.0-1"))
HALF = PackageState("iF ", DebVersion("1.1-1"))
NO_LOCK = "E: Could not get lock /var/cache/apt/archives/lock. It is held by process 859 (apt-get)"
NO_ROOM = "dpkg: error processing archive x.deb: cannot copy: No space left on device"
PREINST = "new auth package pre-installation script subprocess returned error exit status 1"
OLD_PREINST = "subprocess new pre-installation script returned error exit status 1"
NOT_THERE = "E: Unable to fetch some archives, maybe run apt-get update?"


@pytest.fixture
def rig(tmp_path) -> Rig:
    return Rig(tmp_path)


@pytest.mark.parametrize(
    ("now", "result", "log", "fault"),
    [
        (OLD, "exit-code", NO_LOCK, Fault.LOCKED),
        (OLD, "exit-code", NOT_THERE, Fault.HOST),
        (OLD, "exit-code", NO_ROOM, Fault.HOST),
        (OLD, "", "", Fault.HOST),
        (OLD, "exit-code", PREINST, Fault.VERSION),
        (OLD, "exit-code", OLD_PREINST, Fault.VERSION),
        (HALF, "exit-code", "", Fault.VERSION),
        (HALF, "timeout", "", Fault.VERSION),
        (HALF, "success", "", Fault.VERSION),
        (HALF, "signal", "", Fault.CUT_OFF),
        (OLD, "oom-kill", "", Fault.CUT_OFF),
        (PackageState("in ", None), "exit-code", NO_ROOM, Fault.HOST),
        (PackageState("hi ", DebVersion("1.0-1")), "exit-code", NOT_THERE, Fault.HOST),
    ],
)
def test_whose_fault_it_is(now: PackageState, result: str, log: str, fault: Fault) -> None:
    state = HostState(now, (), (), (), None, None, "failed", install_result=result)
    assert diagnosis(OLD, state, log) is fault


def at_its_turn(host: FakeHost, happens: Callable[[], None]) -> None:
    """Let something happen on a host when it has left its balancer, just before apt begins."""
    run, done = host.run, []

    def watching(argv: Sequence[str], **more) -> Answer:
        if verb(argv) == "install" and OUT in host.files and not done:
            done.append(True)
            happens()
        return run(argv, **more)

    host.run = watching


def test_what_was_fetched_and_is_gone_is_fetched_again(rig: Rig) -> None:
    at_its_turn(rig.hosts[1], rig.hosts[1].cached.clear)
    assert outcomes(rig.deploy()) == ["changed"] * 3


def test_the_way_back_is_fetched_again_too(rig: Rig) -> None:
    host = rig.hosts[0]
    host.behaviours["1.1-1"] = Behaviour(healthy=False)
    at_its_turn(host, lambda: host.cached.discard("1.0-1"))
    assert outcomes(rig.deploy()) == ["returned", "untouched", "untouched"]
    assert (host.version, host.running) == ("1.0-1", "1.0-1")


def test_a_disk_that_fills_at_its_turn_is_no_reason_to_take_others_back(rig: Rig) -> None:
    def full() -> None:
        rig.hosts[1].room = False

    at_its_turn(rig.hosts[1], full)
    report = rig.deploy()
    assert outcomes(report) == ["changed", "returned", "untouched"]
    assert "1.1-1 was not installed; dpkg has ii 1.0-1" in report.hosts[1].reason


def test_a_version_whose_script_fails_is_one(rig: Rig) -> None:
    rig.hosts[1].behaviours["1.1-1"] = Behaviour(installs=False)
    assert outcomes(rig.deploy()) == ["returned", "returned", "untouched"]


def test_a_host_that_cannot_start_its_old_version_either_is_the_one_to_blame(rig: Rig) -> None:
    rig.app = replace(rig.app, min_healthy=Share(1))  # else others could not be taken back anyway
    host = rig.hosts[1]
    host.behaviours = {"1.1-1": Behaviour(starts=False), "1.0-1": Behaviour(starts=False)}
    assert outcomes(rig.deploy()) == ["changed", "failed", "untouched"]


def test_an_installation_goes_on_where_systemd_begins_anew(rig: Rig) -> None:
    """systemctl loses its connection; what it was to start may run all the same, or not yet."""
    for took in (True, False):
        host = rig.hosts[0]
        host.version = host.running = "1.0-1"
        restart, lost = host._restart, []

        def broken(argv: tuple[str, ...], restart=restart, lost=lost, took=took) -> Answer:
            if lost:
                return restart(argv)
            lost.append(True)
            if took:
                restart(argv)
            return Answer(1, b"", b"Warning! D-Bus connection terminated.")

        host._restart = broken
        assert outcomes(rig.deploy(roll=f"r{took}"))[0] == "changed"
        del host._restart


def test_a_host_that_goes_down_in_its_turn_is_waited_for(rig: Rig) -> None:
    host = rig.hosts[0]

    def canceled(_argv: tuple[str, ...]) -> Answer:
        del host._install
        return Answer(1, b"", b"Job for debship-install-auth.service canceled.")

    def go_down() -> None:
        host.going_down, host._install = True, canceled

    at_its_turn(host, go_down)
    sleep = rig.clock.sleep

    def later(seconds: float) -> None:
        host.going_down = False
        sleep(seconds)

    rig.clock.sleep = later
    assert outcomes(rig.deploy()) == ["changed"] * 3


def test_an_apt_that_is_killed_twice_speaks_against_the_version(rig: Rig) -> None:
    host, observed = rig.hosts[1], rig.hosts[1]._observe
    host.behaviours["1.1-1"] = Behaviour(installs=False)
    killed = "unit Result=signal"
    host._observe = lambda argv: observed(argv).replace("unit Result=exit-code", killed)
    assert outcomes(rig.deploy()) == ["returned", "returned", "untouched"]


def test_a_unit_that_systemd_will_not_start_anew_is_a_fault_with_its_words(rig: Rig) -> None:
    """Unlike a systemd that was not heard, it says no; what ran goes on, and is of the old version."""
    host = rig.hosts[0]
    restart = host._restart

    def refuse(argv: tuple[str, ...]) -> Answer:
        if host.version == "1.1-1":
            return Answer(5, b"", b"Failed to restart auth.service: Unit redis.service not found.")
        return restart(argv)

    host._restart = refuse
    report = rig.deploy()
    assert outcomes(report) == ["returned", "untouched", "untouched"]
    assert "auth.service did not start anew: " in report.hosts[0].reason
    assert "redis.service not found" in report.hosts[0].reason


def test_where_systemd_does_not_answer_nothing_is_taken_for_well(rig: Rig) -> None:
    """Without what systemd says there is no unit that should run: that must not look like well."""
    host = rig.hosts[0]
    host.version, host.going_down = "1.1-1", True
    with pytest.raises(LinkLost, match="a: it is being shut down, or its systemd does not answer"):
        rig.deploy()
    assert rig.balancer.log == []
