"""What an unprivileged user may do as root: a roll, and nothing else."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from test_roll import Rig

from debship.config.fleet import HookSettings, SshSettings
from debship.deploy import apt, campaign, hooks
from debship.deploy.command import put_words
from debship.deploy.fence import guarded
from debship.deploy.gate import gate_mark, gate_program, gate_rules, sudoers
from debship.deploy.gatekeeper import inner, matching
from debship.deploy.host import Answer
from debship.deploy.lock import lock_path
from debship.errors import Failed
from debship.model import DebVersion, PackageName

AUTH, OTHER = PackageName("auth"), PackageName("other")
ONE = DebVersion("1:1.0+b1~rc1-1")


@pytest.fixture
def app(tmp_path: Path):
    hook = HookSettings("m", "before-restart", ("flask", "db upgrade"))
    return replace(Rig(tmp_path).app, hooks=(hook,))


def allowed(app, *words: str) -> bool:
    rules = gate_rules(app)
    return matching(inner(list(words), rules["guard"]), rules["commands"]) is not None


def test_a_hook_passes_as_it_is_run_and_no_longer_than_it_may(app) -> None:
    (hook,) = app.hooks
    told = hooks.told(hook, "auth", str(ONE), "r", "h1")
    words = ("env", *(f"{name}={value}" for name, value in told.items()))
    assert allowed(app, *words, *hooks.bounded(hook))
    assert not allowed(app, *words, *hooks.bounded(replace(hook, timeout=9000.0)))
    assert not allowed(app, *words, *hook.command)


def test_a_roll_of_the_application_passes(app) -> None:
    assert allowed(app, *apt.carried(apt.install(AUTH, ONE), AUTH, "20260101T0-ab"))
    assert allowed(app, *guarded(apt.simulate(AUTH, ONE), lock_path(AUTH), "20260101T0-ab"))
    assert allowed(app, *put_words("/etc/mycompany/auth/secrets.env", "root", "root", 0o600))


@pytest.mark.parametrize(
    "words",
    [
        ("sh", "-c", "id"),
        ("sh", "-s"),
        ("id",),
        apt.install(OTHER, ONE),
        apt.carried(apt.install(OTHER, ONE), AUTH, "r"),
        apt.carried(apt.install(AUTH, ONE), AUTH, "r --property=ExecStartPre=/bin/sh"),
        (*apt.install(AUTH, ONE), "other"),
        put_words("/etc/passwd", "root", "root", 0o600),
        put_words("/etc/mycompany/auth/secrets.env", "root", "root", 0o4755),
        guarded(("id",), lock_path(AUTH), "r"),
        guarded(("true",), lock_path(OTHER), "r"),
        ("systemctl", "stop", "--now"),
        ("cat", "--", "/etc/shadow"),
        ("env", "LD_PRELOAD=/tmp/x", "flask", "db upgrade"),
    ],
    ids=lambda words: " ".join(words)[:60],
)
def test_whatever_else_is_refused(app, words: tuple[str, ...]) -> None:
    assert not allowed(app, *words)


def test_the_gate_of_another_fleet_is_not_the_one_that_a_roll_asks_for(app) -> None:
    changed = replace(app, hooks=())
    assert allowed(app, *gate_mark(app))
    assert not allowed(app, *gate_mark(changed))
    assert not allowed(changed, *gate_mark(app))


def test_a_gate_of_another_day_is_found_before_a_roll_begins(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    fleet, world = rig.doors()
    fleet = replace(fleet, ssh=SshSettings(gate=True))
    names = campaign.host_names(rig.app)
    with campaign.let_through(fleet, rig.app, names, world) as hosts:
        assert tuple(hosts) == names
    rig.hosts[1]._true = lambda _: Answer(
        1, b"", b"debship-gate: this command is no part of a roll"
    )
    with (
        pytest.raises(Failed, match=r"b: its gate is of another fleet\.toml") as caught,
        campaign.let_through(fleet, rig.app, names, world),
    ):
        raise AssertionError("the roll began")
    assert caught.value.hint == "bring it up to date: fab bootstrap --app auth --login ADMIN"


def test_the_program_on_the_host_refuses_and_becomes(app, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    gate.write_text(gate_program(app))

    def through(*words: str, stdin: bytes = b"") -> subprocess.CompletedProcess:
        command = [sys.executable, "-I", str(gate), *words]
        return subprocess.run(command, input=stdin, capture_output=True, check=False)

    assert through("true").returncode == 0
    assert b"no part of a roll" in through("id").stderr
    observe = ("sh", "-s", "--", "auth")
    assert b"not debship's" in through(*observe, stdin=b"id").stderr
    script = (Path(apt.__file__).parent / "observe.sh").read_bytes()
    done = through(*observe, stdin=script)
    assert (done.returncode, b"debship-gate" in done.stderr) == (0, False)


def test_the_sudoers_file_names_the_gate_alone(app) -> None:
    lines = [line for line in sudoers([app], "deploy").splitlines() if not line.startswith("#")]
    assert lines == ["deploy ALL=(root) NOPASSWD: /usr/local/sbin/debship-gate-auth"]
