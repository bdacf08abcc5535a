"""The user's own commands at moments of a roll."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from test_roll import Rig, outcomes

from debship.config.fleet import HookSettings
from debship.deploy.host import Answer, LinkLost
from debship.errors import Refused

from fakes import FakeRun
from fakes_fleet import Behaviour

MIGRATE = HookSettings("migrate", "before-restart", ("flask", "upgrade"), once=True)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def with_hooks(rig: Rig, *hooks: HookSettings) -> Rig:
    assert rig.app is not None
    rig.app = replace(rig.app, hooks=hooks)
    return rig


def ran(rig: Rig) -> list[list[str]]:
    """What hooks did on each host."""
    return [
        [line for line in host.log if line.startswith(("before-", "after-"))] for host in rig.hosts
    ]


def test_hooks_run_at_their_moments(rig: Rig) -> None:
    moments = ("before-roll", "before-host", "before-restart", "after-host", "after-roll")
    with_hooks(rig, *(HookSettings(f"n-{m}", m, ("do", m[-4:])) for m in moments))
    assert rig.deploy().exit_code == 0
    each = ["before-host host", "before-restart tart", "after-host host"]
    assert ran(rig) == [["before-roll roll", *each, "after-roll roll"], each, each]
    log = rig.hosts[1].log
    assert log.index("before-host host") < log.index("put /var/lib/debship/auth/out.json")
    assert log.index("install 1.1-1") < log.index("before-restart tart") < log.index("restart")
    assert log.index("settle") < log.index("after-host host")


def test_where_nothing_is_left_to_do_no_hook_runs(rig: Rig) -> None:
    rig.deploy()
    with_hooks(rig, HookSettings("tell", "before-roll", ("x",)), MIGRATE)
    assert outcomes(rig.deploy()) == ["unchanged"] * 3
    assert ran(rig) == [[], [], []]


@pytest.mark.parametrize("moment", ["before-roll", "before-host"])
def test_a_hook_that_fails_before_a_host_leaves_stops_the_roll(rig: Rig, moment) -> None:
    with_hooks(rig, HookSettings("ask", moment, ("x",)))
    rig.hosts[0].hook = lambda _: Answer(3, b"", b"the database hunter2 is away")
    rig.app = replace(rig.app, budget=2)
    report = rig.deploy()
    assert (outcomes(report), report.exit_code) == (["untouched"] * 3, 1)
    assert report.stopped == "hook ask exited with 3 (a)"
    assert report.hosts[0].log == "the database [hidden] is away"
    assert rig.balancer.log == []


def test_a_migration_that_fails_brings_the_host_back_and_stops(rig: Rig) -> None:
    with_hooks(rig, MIGRATE)
    rig.hosts[0].hook = lambda _: Answer(1, b"", b"no such table")
    rig.app = replace(rig.app, budget=2)
    report = rig.deploy()
    assert outcomes(report) == ["returned", "untouched", "untouched"]
    assert rig.hosts[0].running == "1.0-1"
    rig.hosts[0].hook = None
    assert outcomes(rig.deploy(roll="20260102-bb")) == ["changed"] * 3
    assert ran(rig) == [["before-restart upgrade"] * 2, [], []]


def test_a_migration_runs_once_for_a_version_whoever_rolls_it(rig: Rig) -> None:
    with_hooks(rig, MIGRATE)
    for host in rig.hosts:
        host.behaviours["1.1-1"] = Behaviour(healthy=False)
    assert outcomes(rig.deploy()) == ["returned", "untouched", "untouched"]
    for host in rig.hosts:
        host.behaviours.clear()
    assert outcomes(rig.deploy(roll="20260102-bb", only=("b",))) == ["changed"]
    assert outcomes(rig.deploy(roll="20260103-cc")) == ["changed", "unchanged", "changed"]
    assert ran(rig) == [["before-restart upgrade"], [], []]


def test_a_migration_whose_end_nobody_knows_is_not_run_again(rig: Rig) -> None:
    def lost(_: str) -> Answer:
        raise LinkLost("a: the link was lost")

    with_hooks(rig, MIGRATE)
    rig.hosts[0].hook = lost
    report = rig.deploy()
    assert outcomes(report) == ["unknown", "untouched", "untouched"]
    assert "nobody knows how hook migrate ended" in report.stopped
    rig.hosts[0].hook = None
    with pytest.raises(Refused, match=r"hook migrate was begun for 1\.1-1") as caught:
        rig.deploy(roll="20260102-bb")
    assert "--unknown-hooks" in (caught.value.hint or "")
    assert rig.balancer.log == ["out a"]
    assert outcomes(rig.deploy(roll="20260103-cc", unknown_hooks="done")) == ["changed"] * 3
    assert ran(rig) == [["before-restart upgrade"], [], []]


def test_a_migration_whose_host_is_gone_is_still_known(rig: Rig) -> None:
    with_hooks(rig, MIGRATE)
    rig.deploy(only=("a",))
    rig.hosts = rig.hosts[1:]
    rig.balancer.hosts = rig.hosts
    rig.app = replace(rig.app, hosts=("b", "c"))
    assert outcomes(rig.deploy(roll="20260102-bb")) == ["changed"] * 2
    assert ran(rig) == [[], []]


def test_a_hook_of_this_machine_runs_beside_the_fleet_and_knows_what_it_is_about(rig: Rig) -> None:
    with_hooks(rig, HookSettings("tell", "after-roll", ("./tell", "chat"), on="here"))
    run = FakeRun()
    run.answer("./tell", "chat")
    assert rig.deploy(run=run).exit_code == 0
    assert run.calls == [("./tell", "chat")]
    assert rig.folder == run.cwd
    assert run.env["DEBSHIP_VERSION"] == "1.1-1"
    assert run.env["DEBSHIP_STOPPED"] == ""


def test_a_hook_that_its_host_ended_says_so_and_may_run_again(rig: Rig) -> None:
    with_hooks(rig, MIGRATE)
    said = b"timeout: sending signal TERM to command 'flask'\n"
    rig.hosts[0].hook = lambda _: Answer(124, b"", said)
    report = rig.deploy()
    assert outcomes(report) == ["returned", "untouched", "untouched"]
    assert report.stopped == "hook migrate was ended: it had not ended after 300 s (a)"
    rig.hosts[0].hook = None
    assert outcomes(rig.deploy(roll="20260102-bb")) == ["changed"] * 3


def test_hooks_are_in_the_journal_before_they_run(rig: Rig) -> None:
    with_hooks(rig, MIGRATE)
    rig.deploy()
    told = [line["event"] for line in rig.journal if line["host"] == "a"]
    assert told.index("configure" if "configure" in told else "install") < told.index("hook")
    assert told[told.index("hook") + 1] == "hook-ended"
    note = rig.hosts[0].files["/var/lib/debship/auth/once.jsonl"].content.decode()
    assert [json.loads(line)["state"] for line in note.splitlines()] == ["begun", "done"]
