"""The roll on real hosts behind real HAProxy, judged from outside."""

import json
import os
import signal
from pathlib import Path

import pytest
from examples.rehearsal import SECRET, Rehearsal

from until import until

pytestmark = pytest.mark.acceptance

MANAGED = "/etc/mycompany/auth/secrets.env"


def installed(stage: Rehearsal) -> list[str]:
    """What dpkg says on every host, asked from outside."""
    words = ("dpkg-query", "-W", "-f=${db:Status-Abbrev}|${Version}", "auth")
    return [stage.enter(host, *words).text for host in stage.hosts]


def running(stage: Rehearsal) -> set[str]:
    """The version that each host answers with, without the balancer."""
    ask = ("curl", "-fsS", "http://127.0.0.1:8101/healthz")
    return {json.loads(stage.enter(host, *ask).text)["version"] for host in stage.hosts}


def serving(stage: Rehearsal) -> list[str]:
    from debship.lab.observer import ask, parse_stat

    return [s.status for s in parse_stat(ask(str(stage.haproxy), "show stat"), 0.0) if s.server]


def all_serve(stage: Rehearsal) -> bool:
    """Whether HAProxy comes to see every host well; a check that a busy machine misses passes by."""
    until(lambda: set(serving(stage)) == {"UP"}, told=lambda: str(serving(stage)))
    return True


def invocations(stage: Rehearsal) -> list[str]:
    show = ("systemctl", "show", "-P", "InvocationID", "auth.service")
    return [stage.enter(host, *show).text for host in stage.hosts]


def test_an_upgrade_and_a_rollback_fail_no_request(at_one: Rehearsal, witness) -> None:
    with witness:
        report = at_one.report("deploy", "--app", "auth", "--version", "1.1.0")
        assert running(at_one) == {"1.1.0"}
        back = at_one.report("rollback", "--app", "auth")
    assert [host["outcome"] for host in report["hosts"] + back["hosts"]] == ["changed"] * 6
    assert installed(at_one) == ["ii |1.0.0-1"] * 3
    assert running(at_one) == {"1.0.0"}
    assert all_serve(at_one)
    assert witness.answers.failures == ()
    assert witness.answers.total > 200
    assert witness.timeline.fewest("auth") == 2
    versions = {version for _host, version in witness.answers.served}
    assert versions == {"1.0.0", "1.1.0"}


def test_a_further_run_changes_nothing(at_one: Rehearsal) -> None:
    before = invocations(at_one)
    report = at_one.report("deploy", "--app", "auth", "--version", "1.0.0")
    assert [host["outcome"] for host in report["hosts"]] == ["unchanged"] * 3
    assert invocations(at_one) == before


@pytest.mark.parametrize("version", ["1.2.0", "1.3.0"], ids=["does not start", "is sick"])
def test_a_bad_version_touches_one_host_and_fails_no_request(
    at_one: Rehearsal, witness, version: str
) -> None:
    before = invocations(at_one)
    with witness:
        done = at_one.fab("deploy", "--app", "auth", "--version", version, check=False)
    assert done.returncode == 1
    assert witness.answers.failures == ()
    assert witness.answers.total > 100
    assert installed(at_one) == ["ii |1.0.0-1"] * 3
    assert running(at_one) == {"1.0.0"}
    assert all_serve(at_one)
    after = invocations(at_one)
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, True, True]
    assert "returned" in done.text
    assert done.text.count("untouched") >= 2
    assert "on purpose" in done.text, done.text
    assert SECRET not in done.text + done.stderr.decode()


@pytest.mark.parametrize("moment", ["out", "installing", "restarting"])
def test_a_killed_roller_is_finished_by_the_next(
    at_one: Rehearsal, witness, tmp_path: Path, moment: str
) -> None:
    words = {"out": "leaving", "installing": "installing", "restarting": "restarting"}
    log = tmp_path / "fab.log"
    with witness:
        roller = at_one.start_fab("deploy", "--app", "auth", "--version", "1.1.0", log=log)
        # The second host's turn, so that the fleet is split when the roller dies.
        wait_for(log, f"{at_one.hosts[1]}: {words[moment]}")
        if moment == "out":
            until(lambda: "DRAIN" in serving(at_one))
        os.killpg(roller.pid, signal.SIGKILL)
        roller.process.wait()
        assert any(one.startswith("DRAIN") for one in serving(at_one)), (
            "it died while a host was out"
        )
        report = at_one.report("deploy", "--app", "auth", "--version", "1.1.0")
    assert witness.answers.failures == ()
    assert {host["outcome"] for host in report["hosts"]} <= {"changed", "unchanged"}
    assert installed(at_one) == ["ii |1.1.0-1"] * 3
    assert running(at_one) == {"1.1.0"}
    assert all_serve(at_one)
    before = invocations(at_one)
    again = at_one.report("deploy", "--app", "auth", "--version", "1.1.0")
    assert [host["outcome"] for host in again["hosts"]] == ["unchanged"] * 3
    assert invocations(at_one) == before


def wait_for(log: Path, words: str) -> None:
    until(lambda: words in log.read_text(), told=log.read_text)


@pytest.mark.parametrize("moment", ["leaving", "installing", "restarting", "returning"])
def test_what_a_killed_roller_left_is_restored_from_another_machine(
    at_one: Rehearsal, witness, tmp_path: Path, moment: str
) -> None:
    log = tmp_path / "fab.log"
    with witness:
        roller = at_one.start_fab("deploy", "--app", "auth", "--version", "1.1.0", log=log)
        wait_for(log, f"{at_one.hosts[1]}: {moment}")
        os.killpg(roller.pid, signal.SIGKILL)
        roller.process.wait()
        report = at_one.report("restore", "--app", "auth", secret="")
    assert witness.answers.failures == ()
    assert all_serve(at_one)
    assert {host["outcome"] for host in report["hosts"]} <= {"changed", "unchanged", "returned"}
    assert sorted({state[:3] for state in installed(at_one)}) == ["ii "]
    for host in at_one.hosts:
        left = at_one.enter(host, "ls", "/var/lib/debship/auth").text
        assert "out.json" not in left
        assert at_one.enter(host, "cat", "/var/lib/debship/auth/lock").text.startswith("- ")
    again = at_one.report("restore", "--app", "auth", secret="")
    assert [host["outcome"] for host in again["hosts"]] == ["unchanged"] * 3


def test_a_second_roll_is_refused_and_a_broken_lock_ends_the_first(
    at_one: Rehearsal, tmp_path: Path
) -> None:
    log = tmp_path / "fab.log"
    roller = at_one.start_fab("deploy", "--app", "auth", "--version", "1.1.0", log=log)
    wait_for(log, "leaving")
    # Stopped, it does not beat; its process lives, so nobody takes its lock before the lease ends.
    os.killpg(roller.pid, signal.SIGSTOP)
    try:
        refused = at_one.fab("unlock", "--app", "auth", check=False)
        assert refused.returncode == 3
        assert "is being rolled by" in refused.stderr.decode()
        told = at_one.fab("unlock", "--app", "auth", "--force").text
        assert told.count("was locked by") == 3
        second = at_one.report("deploy", "--app", "auth", "--version", "1.0.0")
        assert second["stopped"] == ""
    finally:
        os.killpg(roller.pid, signal.SIGCONT)
    assert roller.process.wait(timeout=120) in {1, 4}
    assert "no longer holds the lock" in log.read_text()
    assert installed(at_one) == ["ii |1.0.0-1"] * 3
    assert running(at_one) == {"1.0.0"}
    assert all_serve(at_one)


def test_ctrl_c_lets_the_batch_end(at_one: Rehearsal, witness, tmp_path: Path) -> None:
    log = tmp_path / "fab.log"
    with witness:
        roller = at_one.start_fab("deploy", "--app", "auth", "--version", "1.1.0", log=log)
        wait_for(log, "leaving")
        os.kill(roller.pid, signal.SIGINT)
        assert roller.process.wait(timeout=120) == 1
    assert "a person asked to stop" in log.read_text()
    assert sorted(installed(at_one)) == ["ii |1.0.0-1", "ii |1.0.0-1", "ii |1.1.0-1"]
    assert all_serve(at_one)
    assert witness.answers.failures == ()
    rolls = json.loads(at_one.fab("history", "--app", "auth", "--json").stdout)["result"]["rolls"]
    assert list(rolls[0]["hosts"].values()) == ["changed"]


def test_configuration_alone_is_rolled_and_is_secret(at_one: Rehearsal, witness) -> None:
    other = "another secret of some length"
    before = invocations(at_one)
    with witness:
        report = at_one.report("deploy", "--app", "auth", "--version", "1.0.0", secret=other)
    assert [host["outcome"] for host in report["hosts"]] == ["changed"] * 3
    assert witness.answers.failures == ()
    assert not set(before) & set(invocations(at_one))
    for host in at_one.hosts:
        assert other in at_one.enter(host, "cat", MANAGED).text
        assert at_one.enter(host, "stat", "-c", "%a %U %G", MANAGED).text == "600 root root"
    journals = (at_one.folder / "state").rglob("*.jsonl")
    told = "".join(path.read_text() for path in journals) + json.dumps(report)
    assert other not in told
    assert SECRET not in told
    logs = at_one.enter(at_one.hosts[0], "journalctl", "-q", "--no-pager").text
    assert other not in logs


def test_an_edited_conffile_is_kept_and_told(at_one: Rehearsal) -> None:
    host = at_one.hosts[0]
    conffile = "/etc/mycompany/auth/auth.conf"
    original = at_one.enter(host, "cat", conffile).stdout
    try:
        at_one.enter(host, "sh", "-c", f"echo '# mine' >> {conffile}")
        report = at_one.report("deploy", "--app", "auth", "--version", "1.1.0")
        assert report["hosts"][0]["edited"] == [conffile]
        assert "# mine" in at_one.enter(host, "cat", conffile).text
    finally:
        at_one.enter(host, "tee", conffile, stdin=original)


def test_status_shows_the_whole_of_a_host_and_marks_drift(at_one: Rehearsal) -> None:
    assert "DRIFT" not in at_one.fab("status", "--app", "auth").text
    at_one.enter(at_one.hosts[1], "systemctl", "stop", "auth.service")
    told = at_one.fab("status", "--app", "auth").text.splitlines()
    assert ["DRIFT" in line for line in told] == [False, True, False]
    report = at_one.report("deploy", "--app", "auth", "--version", "1.0.0")
    assert sorted(host["outcome"] for host in report["hosts"]) == [
        "changed",
        "unchanged",
        "unchanged",
    ]


def test_what_cannot_be_is_found_before_any_host_is_taken_out(at_one: Rehearsal) -> None:
    before = invocations(at_one)
    for words, code, message in (
        (("--app", "nope"), 2, 'error: fleet.toml has no application "nope"'),
        (("--app", "auth", "--version", "9.9"), 2, "error: auth 9.9 is not in the repository"),
    ):
        done = at_one.fab("deploy", *words, check=False)
        assert done.returncode == code
        assert message in done.stderr.decode()
        assert "hint: " in done.stderr.decode()
        assert "Traceback" not in done.stderr.decode()
    assert invocations(at_one) == before
    assert all_serve(at_one)


def test_a_host_that_does_not_answer_stops_the_deploy_before_it_begins(
    at_one: Rehearsal, tmp_path: Path
) -> None:
    fleet = tmp_path / "fleet.toml"
    text = (at_one.state / "fleet.toml").read_text()
    nowhere = at_one.hosts[0].rsplit(".", 1)[0] + ".99"
    fleet.write_text(text.replace(at_one.hosts[2], nowhere))
    before = invocations(at_one)
    done = at_one.fab(
        "deploy", "--app", "auth", "--version", "1.1.0", "--fleet", str(fleet), check=False
    )
    assert done.returncode == 1
    assert f"error: {nowhere}: no connection" in done.stderr.decode()
    assert invocations(at_one) == before


def test_a_plan_is_printed_and_nothing_is_touched(at_one: Rehearsal) -> None:
    before = invocations(at_one)
    done = at_one.fab("deploy", "--app", "auth", "--version", "1.1.0", "--plan")
    assert done.text.startswith("roll auth 1.1.0-1 over 3 hosts")
    assert SECRET not in done.text
    assert invocations(at_one) == before
    assert installed(at_one) == ["ii |1.0.0-1"] * 3
