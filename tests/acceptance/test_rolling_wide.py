"""More of the roll on real hosts: split packages, hooks, configuration alone, least rights."""

import json
import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from examples.rehearsal import SECRET, Rehearsal
from test_rolling import all_serve, installed, invocations, running, wait_for

pytestmark = pytest.mark.acceptance

MANAGED = "/etc/mycompany/auth/secrets.env"


def fleet_of(stage: Rehearsal, folder: Path, **changes: Any) -> str:
    """A fleet.toml like the lab's, with changes to its application and its [ssh]."""
    fleet = tomllib.loads((stage.state / "fleet.toml").read_text())
    fleet["ssh"] |= changes.pop("ssh", {})
    fleet["apps"]["auth"] |= changes
    path = folder / "fleet.toml"
    path.write_text(tomli_w.dumps(fleet))
    return str(path)


def dependencies(stage: Rehearsal, host: str) -> set[str]:
    words = ("dpkg-query", "-W", "-f=${db:Status-Abbrev}${Package}\n", "auth-deps-*")
    told = stage.enter(host, *words, check=False).text.splitlines()
    return {line.split()[1] for line in told if line.startswith("ii ")}


def test_dependencies_are_on_every_host_before_the_first_leaves(
    at_one: Rehearsal, witness, tmp_path: Path
) -> None:
    log = tmp_path / "fab.log"
    with witness:
        roller = at_one.start_fab("deploy", "--app", "auth", "--version", "2.0.0", log=log)
        wait_for(log, "leaving the balancer")
        there = [dependencies(at_one, host) for host in at_one.hosts]
        last = installed(at_one)[2]
        assert roller.process.wait(timeout=120) == 0, log.read_text()
    assert there[0] == there[1] == there[2]
    assert len(there[0]) == 1
    names = at_one.enter(at_one.hosts[0], "apt-mark", "showauto", *there[0]).text
    assert names.split() == list(there[0])  # apt takes them away with who needs them
    assert last == "ii |1.0.0-1"
    assert running(at_one) == {"2.0.0"}
    assert witness.answers.failures == ()

    # A change of the code alone: kilobytes, both ways, with nothing kept from before.
    for host in at_one.hosts:
        at_one.enter(host, "apt-get", "clean")
    assert [h["outcome"] for h in deployed(at_one, "2.0.1")] == ["changed"] * 3
    for host in at_one.hosts:
        assert dependencies(at_one, host) == there[0]
        sizes = at_one.enter(host, "sh", "-c", "stat -c %s /var/cache/apt/archives/*.deb").text
        assert sum(map(int, sizes.split())) < 30_000

    # Other dependencies stand beside those in use, and going back needs no network for them.
    assert [h["outcome"] for h in deployed(at_one, "2.1.0")] == ["changed"] * 3
    assert len(dependencies(at_one, at_one.hosts[0])) == 2
    back = at_one.report("rollback", "--app", "auth")
    assert running(at_one) == {"2.0.1"}
    assert back["stopped"] == ""


def deployed(stage: Rehearsal, version: str, *words: str) -> list[dict[str, Any]]:
    report = stage.report("deploy", "--app", "auth", "--version", version, *words)
    hosts: list[dict[str, Any]] = report["hosts"]
    return hosts


def test_hooks_run_and_events_and_the_page_are_told(at_one: Rehearsal, tmp_path: Path) -> None:
    migrate = "echo \"$DEBSHIP_VERSION $(dpkg-query -W -f '${Version}' auth)\" >> /var/tmp/migrated"
    hooks = [
        {
            "name": "migrate",
            "when": "before-restart",
            "once": True,
            "command": ["sh", "-c", migrate],
        },
        {"name": "tell", "when": "after-roll", "on": "here", "command": ["touch", "told"]},
    ]
    fleet = fleet_of(at_one, tmp_path, hooks=hooks)
    events, html = tmp_path / "events", tmp_path / "roll.html"
    words = ("--fleet", fleet, "--events", str(events), "--html", str(html))
    assert [h["outcome"] for h in deployed(at_one, "1.1.0", *words)] == ["changed"] * 3
    assert (tmp_path / "told").exists()
    told = [
        at_one.enter(host, "cat", "/var/tmp/migrated", check=False).text for host in at_one.hosts
    ]
    assert told == ["1.1.0-1 1.1.0-1", "", ""]
    lines = [json.loads(line) for line in events.read_text().splitlines()]
    assert {line["app"] for line in lines} == {"auth"}
    assert lines[0]["event"] == "begin"
    assert [line["event"] for line in lines].count("take-out") == 3
    assert lines[-1]["event"] == "end"
    assert SECRET not in events.read_text() + html.read_text()
    assert html.read_text().count("<g data-host=") == 3

    # Somebody else rolls one host back and forth: the migration of that version was made.
    deployed(at_one, "1.0.0", "--fleet", fleet, "--only", at_one.hosts[1])
    deployed(at_one, "1.1.0", "--fleet", fleet, "--only", at_one.hosts[1])
    made = at_one.enter(at_one.hosts[1], "cat", "/var/tmp/migrated", check=False).text
    assert "1.1.0" not in made.replace("1.0.0-1 1.0.0-1", "")


def test_configuration_alone_restarts_only_where_it_changed(
    at_one: Rehearsal, witness, tmp_path: Path
) -> None:
    files = tomllib.loads((at_one.state / "fleet.toml").read_text())["apps"]["auth"]["files"]
    files[0]["check"] = ["grep", "-q", "SECRET", "{path}"]
    fleet = fleet_of(at_one, tmp_path, files=files)
    other = at_one.hosts[1]
    at_one.enter(other, "sh", "-c", f"echo '# by hand' >> {MANAGED}")
    before = invocations(at_one)
    with witness:
        report = at_one.report("config", "--app", "auth", "--fleet", fleet)
    assert [host["outcome"] for host in report["hosts"]].count("changed") == 1
    after = invocations(at_one)
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, True]
    assert "by hand" not in at_one.enter(other, "cat", MANAGED).text
    assert witness.answers.failures == ()

    files[0]["check"] = ["grep", "-q", "no such line", "{path}"]
    fleet = fleet_of(at_one, tmp_path, files=files)
    done = at_one.fab("config", "--app", "auth", "--fleet", fleet, check=False, secret="a new one")
    assert done.returncode == 1
    assert f"refuses the new {MANAGED}" in done.stderr.decode()
    assert invocations(at_one) == after
    assert at_one.enter(other, "sh", "-c", f"ls {MANAGED}*").text == MANAGED
    assert all_serve(at_one)


@contextmanager
def user(stage: Rehearsal, name: str) -> Iterator[None]:
    """An unprivileged user on every host, whom the lab's key opens."""
    keys = Path(f"{stage.lab['ssh']['identity']}.pub").read_bytes()
    line = (
        f"useradd -m -s /bin/sh {name} && mkdir -m 700 ~{name}/.ssh && "
        f"cat > ~{name}/.ssh/authorized_keys && chown -R {name} ~{name}/.ssh"
    )
    for host in stage.hosts:
        stage.enter(host, "sh", "-c", line, stdin=keys)
    try:
        yield
    finally:
        for host in stage.hosts:
            stage.enter(host, "sh", "-c", f"pkill -u {name}; userdel -r {name} 2>/dev/null; true")


def test_an_unprivileged_user_rolls_by_the_printed_sudoers_file(
    at_one: Rehearsal, witness, tmp_path: Path
) -> None:
    fleet = fleet_of(at_one, tmp_path, ssh={"user": "roller", "gate": True})
    words = ("--app", "auth", "--fleet", fleet)
    sudoers = at_one.fab("bootstrap", *words, "--sudoers").stdout
    with user(at_one, "roller"):
        refused = at_one.fab("deploy", *words, "--version", "1.1.0", check=False)
        assert refused.returncode == 1
        at_one.fab("bootstrap", *words, "--login", "root")
        for host in at_one.hosts:
            at_one.enter(host, "sh", "-c", "umask 337; cat > /etc/sudoers.d/roller", stdin=sudoers)
            at_one.enter(host, "visudo", "-c", "-q", "-f", "/etc/sudoers.d/roller")
        with witness:
            assert [h["outcome"] for h in deployed(at_one, "1.1.0", "--fleet", fleet)] == [
                "changed"
            ] * 3
            back = at_one.report("rollback", "--app", "auth", "--fleet", fleet)
        assert back["stopped"] == ""
        assert witness.answers.failures == ()
        assert at_one.fab("history", *words).returncode == 0
        for command in ("id", "/usr/local/sbin/debship-gate-auth id"):
            line = f"sudo -n {command}"
            done = at_one.enter(
                at_one.hosts[0], "runuser", "-u", "roller", "--", "sh", "-c", line, check=False
            )
            assert done.returncode != 0
            assert "uid=" not in done.text
    assert running(at_one) == {"1.0.0"}


def test_user_data_makes_a_bare_host_what_the_others_are(at_one: Rehearsal, tmp_path: Path) -> None:
    done = at_one.fab("bootstrap", "--app", "auth", "--user-data")
    assert f"note: {MANAGED} comes with the next roll" in done.stderr.decode()
    assert SECRET not in done.text
    bare = at_one.hosts[2]
    wipe = (
        "apt-get -q -y purge auth && rm -rf /etc/apt/sources.list.d/debship.sources "
        "/var/lib/debship /var/lib/apt/lists/* /var/cache/apt/archives/*.deb /etc/mycompany"
    )
    at_one.enter(bare, "sh", "-c", wipe)
    assert "auth" not in at_one.enter(bare, "sh", "-c", "apt-cache policy auth").text
    at_one.enter(bare, "sh", "-s", stdin=done.stdout)
    ask = ("curl", "-fsS", "--retry", "30", "--retry-connrefused", "--retry-delay", "1")
    health = at_one.enter(bare, *ask, "http://127.0.0.1:8101/healthz").text
    assert json.loads(health)["version"] == "1.0.0"
    # The next roll brings what the user data could not: the file with the secret.
    report = at_one.report("config", "--app", "auth")
    assert [h["outcome"] for h in report["hosts"]].count("changed") == 1
    assert re.search(r"SECRET", at_one.enter(bare, "cat", MANAGED).text)
