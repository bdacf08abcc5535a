"""How a fleet stands, also where something of it cannot be told: the rest is shown."""

import json
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest
from invoke.context import Context
from invoke.exceptions import Exit
from test_roll import OUT, SECRETS, Rig

import debship.fabfile
from debship.deploy import recipe
from debship.deploy.host import Unreachable
from debship.deploy.status import HostStatus, look
from debship.errors import Failed

from fakes_fleet import File, lose_link

FLEET = """
[repository]
store = "apt"
url = "http://apt"
suite = "production"
[ssh]
user = "root"
port = PORT
known_hosts = "/dev/null"
connect_timeout = 1
[apps.auth]
hosts = ["127.0.0.1"]
balancers = [{ kind = "none" }]
"""


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def status(rig: Rig, **changes) -> list[HostStatus]:
    fleet, world = rig.doors(**changes)
    return list(look(fleet, rig.app, world))


def test_a_fleet_that_stands_as_it_is_to(rig: Rig) -> None:
    found = status(rig)
    assert [host.line(3) for host in found] == [
        f"{name}    installed 1.0-1  running 1.0-1  configuration as the fleet says  fake/auth in"
        for name in ("a", "b", "c")
    ]
    assert [(host.unknown, host.hints) for host in found] == [((), ())] * 3


def test_a_host_that_is_down_hides_no_other(rig: Rig) -> None:
    rig.hosts[1].dead = True
    rig.hosts[2].files[SECRETS].content = b"PASSWORD=old\n"
    a, b, c = status(rig)
    assert a.unknown == c.unknown == ()
    assert b.line(1) == "b  unknown: no connection  fake/auth down  DRIFT: balancer"
    assert b.as_dict()["unknown"] == ["no connection"]
    assert c.drift == ("configuration",)


def test_a_host_that_has_nothing_yet(rig: Rig) -> None:
    rig.hosts[0].abbrev, rig.hosts[0].version, rig.hosts[0].running = "un ", None, None
    assert status(rig)[0].line(1).startswith("a  installed nothing  running")


def test_a_link_that_is_lost_once_is_opened_again(rig: Rig) -> None:
    rig.hosts[1].fault = lose_link("before observe")
    assert [host.unknown for host in status(rig)] == [(), (), ()]


def test_a_damaged_record_hides_no_other_host(rig: Rig) -> None:
    rig.hosts[0].files[OUT] = File(b"{")
    a, b, _c = status(rig)
    assert a.line(1).startswith(f"a  unknown: {OUT} is damaged  fake/auth")
    assert b.installed == "1.0-1"


def test_without_the_secrets_all_else_is_shown(rig: Rig) -> None:
    found = status(rig, env={})
    assert {host.configuration for host in found} == {
        "unknown: secret password: the environment has no PASSWORD"
    }
    assert {(host.running, host.places) for host in found} == {("1.0-1", "fake/auth in")}
    assert found[0].hints == ("nothing was changed; see apps.*.secrets in fleet.toml",)


def test_a_balancer_that_does_not_answer_hides_no_host(rig: Rig) -> None:
    rig.balancer.broken = True
    found = status(rig)
    assert {(h.running, h.places, h.unknown) for h in found} == {
        ("1.0-1", "unknown: fake/auth: no answer", ("fake/auth: no answer",))
    }


def test_a_host_that_is_in_no_balancer_hides_no_other(rig: Rig) -> None:
    rig.balancer.hosts = rig.hosts[:2]
    a, _b, c = status(rig)
    assert (a.places, a.unknown) == ("fake/auth in", ())
    assert c.places.startswith("unknown: fake/auth: c is not in this balancer")
    assert c.running == "1.0-1"


def test_a_lock_is_broken_where_a_host_answers_and_the_others_are_named(rig: Rig) -> None:
    rig.hosts[0].dead = True
    rig.hosts[1].lock = ["20251231-zz", "3", "2026-01-01T03:00", "ann@ci", "here/1/1"]
    _, world = rig.doors()
    found = recipe.unlock(rig.app, world)
    held, unknown = recipe.unlocked_lines(found)
    assert held.startswith("b: was locked by ann@ci since 2026-01-01T03:00")
    assert unknown == "a: its lock is unknown: no connection"
    assert rig.hosts[1].lock[0] == "-"


def test_nobody_holds_the_lock_only_where_all_hosts_say_so(rig: Rig) -> None:
    _, world = rig.doors()
    assert recipe.unlocked_lines(recipe.unlock(rig.app, world)) == ("nobody holds the lock",)
    rig.hosts[0].dead = True
    assert recipe.unlocked_lines(recipe.unlock(rig.app, world)) == (
        "no host that answers is locked",
        "a: its lock is unknown: no connection",
    )


def test_where_no_host_answers_nothing_is_said_of_the_lock(rig: Rig) -> None:
    for host in rig.hosts:
        host.dead = True
    _, world = rig.doors()
    with pytest.raises(Failed, match="no host answers\na: no connection\nb: no connection"):
        recipe.unlock(rig.app, world)


def test_whose_memory_is_not_at_hand_is_named(rig: Rig) -> None:
    rig.deploy()
    rig.hosts[2].dead = True
    _, world = rig.doors()
    found = recipe.history(rig.app, world)
    roll, unknown = found.lines()
    assert "2 changed" in roll
    assert unknown == "c: what it remembers is unknown: no connection"
    assert found.as_dict()["silent"] == {"c": "no connection"}


@pytest.fixture
def nobody(tmp_path: Path) -> str:
    """A fleet of one host, whose port is closed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    file = tmp_path / "fleet.toml"
    file.write_text(FLEET.replace("PORT", str(port)))
    return str(file)


def ended(task: str, fleet: str, **options) -> int:
    with pytest.raises(Exit) as caught:
        getattr(debship.fabfile, task)(Context(), app="auth", fleet=fleet, **options)
    return caught.value.code


def test_the_task_shows_a_host_that_does_not_answer_and_ends_with_its_code(
    nobody: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended("status", nobody) == 4
    written = capsys.readouterr()
    assert written.out.startswith("127.0.0.1  unknown: no connection: ")
    assert written.out.endswith("  none\n")
    assert written.err == (
        "hint: check that it is up, that ssh reaches it, and that its key is in known_hosts\n"
    )
    assert ended("status", nobody, json=True) == 4
    (host,) = json.loads(capsys.readouterr().out)["result"]["hosts"]
    assert host["unknown"][0].startswith("no connection: ")
    assert (host["installed"], host["running"]) == ("unknown", "unknown")


def test_a_lock_that_unlock_could_not_break_is_named_as_such(rig: Rig, monkeypatch, capsys) -> None:
    rig.hosts[0].lock, rig.hosts[0].working = ["r1", "4", "T", "ann@ci", "here/1"], 1
    _, world = rig.doors()
    monkeypatch.setattr(
        "debship.fabfile.open_doors", lambda *_: (None, SimpleNamespace(app=rig.app), world)
    )
    with pytest.raises(Exit) as caught:
        debship.fabfile.unlock(Context(), "auth", force=True)
    told = capsys.readouterr()
    assert (caught.value.code, told.out.count("\n")) == (1, 1)
    assert "a: the lock was not broken: a command of ann@ci since T" in told.out
    assert "fuser -v" in told.err


def test_unlock_says_the_way_to_a_host_that_it_could_not_ask(rig: Rig, monkeypatch, capsys) -> None:
    def away(*_: object, **__: object) -> None:
        raise Unreachable("a: no connection: timed out", "switch it on")

    monkeypatch.setattr(rig.hosts[0], "run", away)
    _, world = rig.doors()
    monkeypatch.setattr(
        "debship.fabfile.open_doors", lambda *_: (None, SimpleNamespace(app=rig.app), world)
    )
    with pytest.raises(Exit) as caught:
        debship.fabfile.unlock(Context(), "auth")
    told = capsys.readouterr()
    assert caught.value.code == 4
    assert "a: its lock is unknown: no connection: timed out" in told.out
    assert told.err == "hint: switch it on\n"


@pytest.mark.parametrize("task", ["unlock", "history"])
def test_where_no_host_answers_that_is_an_error(
    task: str, nobody: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(task, nobody) == 1
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.startswith("error: no host answers\n127.0.0.1: no connection: ")
