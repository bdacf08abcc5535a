import hashlib
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

import debship.deploy
from debship.deploy.host import Answer
from debship.deploy.observation import PackageState, observe, parse
from debship.errors import Failed
from debship.model import DebVersion, PackageName

AUTH = PackageName("auth")
SAMPLE = """\
package ii |1.1-1
unit Id=shutdown.target
unit ActiveState=inactive
unit
unit Id=debship-install-auth.service
unit LoadState=loaded
unit ActiveState=active
unit
unit MainPID=412
unit NRestarts=0
unit Result=success
unit Id=auth.service
unit ActiveState=active
unit SubState=running
unit InvocationID=0f3a
unit UnitFileState=enabled
unit
unit Id=auth-clean.timer
unit ActiveState=active
unit SubState=waiting
unit UnitFileState=enabled
unit
unit Id=auth-clean.service
unit MainPID=0
unit ActiveState=inactive
unit UnitFileState=static
unit
process 412 1700000000 1.1-1
file 640 root _auth 1699999999 e3b0 /etc/mycompany/a file with spaces
edited /etc/mycompany/auth/auth.conf
out.json {"roll": "20260101", "version": "1.1-1"}
version.json {"version": "1.0-1", "previous": null}
"""


def test_what_is_no_state_is_not_taken_for_an_empty_host() -> None:
    host = SimpleNamespace(address="h", run=lambda *_, **__: Answer(0, b"no commands here\n", b""))
    with pytest.raises(Failed, match=r'h: what it said of its state cannot be read: "no commands'):
        observe(host, AUTH, ())


def test_a_state_is_read() -> None:
    state = parse(SAMPLE, AUTH, "h")
    assert state.package.installed
    assert state.package.version == DebVersion("1.1-1")
    assert [unit.name for unit in state.wanted_units] == ["auth.service", "auth-clean.timer"]
    assert state.runs(DebVersion("1.1-1"))
    assert not state.runs(DebVersion("1.0-1"))
    assert state.files[0].path == "/etc/mycompany/a file with spaces"
    assert (state.files[0].mode, state.files[0].group) == (0o640, "_auth")
    assert state.stale() == ()
    assert state.edited == ("/etc/mycompany/auth/auth.conf",)
    assert state.out is not None
    assert state.out["roll"] == "20260101"
    assert state.history == {"version": "1.0-1", "previous": None}
    assert state.install == "active"
    assert not state.going_down


def test_a_file_that_changed_after_the_start_is_stale() -> None:
    state = parse(SAMPLE.replace("1699999999", "1700000001"), AUTH, "h")
    assert state.stale() == ("/etc/mycompany/a file with spaces",)


@pytest.mark.parametrize("enabled", ["disabled", "masked", "masked-runtime"])
def test_where_nothing_is_to_run_nothing_is_missed(enabled: str) -> None:
    text = f"package ii |1.0-1\nunit Id=auth.service\nunit UnitFileState={enabled}\nunit ActiveState=inactive"
    assert parse(text, AUTH, "h").resting


@pytest.mark.parametrize(
    "told",
    [
        "unit ActiveState=inactive\nunit Job=412",  # somebody said reboot
        "unit ActiveState=active",
        "unit",  # systemd answers no more: only the name is known
    ],
)
def test_a_host_that_is_shut_down_is_seen(told: str) -> None:
    before = "unit Id=shutdown.target\nunit ActiveState=inactive"
    assert parse(SAMPLE.replace(before, f"unit Id=shutdown.target\n{told}"), AUTH, "h").going_down


def test_a_unit_that_an_administrator_disabled_is_not_missed() -> None:
    was = "unit ActiveState=active\nunit SubState=running\nunit InvocationID=0f3a\nunit UnitFileState="
    now = was.replace("active", "inactive").replace("running", "dead") + "disabled"
    state = parse(
        SAMPLE.replace(f"{was}enabled", now).replace("MainPID=412", "MainPID=0"), AUTH, "h"
    )
    assert [unit.name for unit in state.wanted_units] == ["auth-clean.timer"]


def test_nothing_installed_is_absent() -> None:
    state = parse("", AUTH, "h")
    assert state.package.absent
    assert not state.package.installed
    assert state.units == ()


@pytest.mark.parametrize(
    ("abbrev", "installed", "absent", "held"),
    [
        ("ii ", True, False, False),
        ("hi ", True, False, True),
        ("iF ", False, False, False),
        ("iU ", False, False, False),
        ("iHR", False, False, False),
        ("iiR", False, False, False),
        ("rc ", False, True, False),
        ("un ", False, True, False),
    ],
)
def test_what_dpkg_says(abbrev: str, installed: bool, absent: bool, held: bool) -> None:
    state = PackageState(abbrev, None)
    assert (state.installed, state.absent, state.held) == (installed, absent, held)


def test_a_damaged_record_is_an_error_not_a_guess() -> None:
    for text in ("out.json {", "out.json "):
        with pytest.raises(Failed, match=r"h: /var/lib/debship/auth/out\.json is damaged"):
            parse(text, AUTH, "h")


def test_a_memory_that_is_damaged_is_none() -> None:
    assert parse("version.json ", AUTH, "h").history is None


def test_the_script_reads_this_machine_and_changes_nothing(tmp_path: Path) -> None:
    script = Path(debship.deploy.__file__).parent / "observe.sh"
    file = tmp_path / "a file; echo"
    file.write_text("x")
    file.chmod(0o604)
    done = subprocess.run(
        ["sh", "-s", "--", "dpkg", file, "/nowhere"],
        input=script.read_text(),
        capture_output=True,
        text=True,
        check=True,
    )
    state = parse(done.stdout, PackageName("dpkg"), "here")
    assert state.package.installed
    assert [f.path for f in state.files] == [str(file)]
    assert state.files[0].mode == 0o604
    assert state.files[0].sha256 == hashlib.sha256(b"x").hexdigest()


def test_the_script_finds_an_unknown_package_absent() -> None:
    script = Path(debship.deploy.__file__).parent / "observe.sh"
    done = subprocess.run(
        ["sh", "-s", "--", "no-such-package"],
        input=script.read_text(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert parse(done.stdout, AUTH, "here").package.absent
    assert done.stderr == ""
