"""The scripts that dpkg runs, called in every form of Policy 6.5."""

import os
from pathlib import Path

import pytest

from debship.run import run

# Policy 6.5; and what debhelper's scripts do in each. {host} is where systemd runs.
FORMS = {
    "preinst": [
        "install",
        "install 0.9-1 1.0-1",
        "upgrade 0.9-1 1.0-1",
        "abort-upgrade 1.1-1",
    ],
    "postinst": [
        "configure",
        "configure 0.9-1",
        "abort-upgrade 1.1-1",
        "abort-remove",
        "abort-remove in-favour x 1",
        "abort-deconfigure in-favour x 1 removing y 1",
    ],
    "prerm": [
        "remove",
        "remove in-favour x 1",
        "upgrade 1.1-1",
        "failed-upgrade 0.9-1 1.0-1",
        "deconfigure in-favour x 1 removing y 1",
    ],
    "postrm": [
        "remove",
        "purge",
        "upgrade 1.1-1",
        "failed-upgrade 0.9-1 1.0-1",
        "abort-install",
        "abort-install 0.9-1 1.0-1",
        "abort-upgrade 0.9-1 1.0-1",
        "disappear x 1",
    ],
}


@pytest.mark.parametrize("script", FORMS)
def test_the_scripts_are_these(script: str, root: Path, golden) -> None:
    golden(f"build/{script}", (root / "DEBIAN" / script).read_text())
    run(["sh", "-n", root / "DEBIAN" / script])


@pytest.fixture
def host(root: Path, tmp_path: Path):
    """Run a script where systemd seems to run; give the programs that it called."""
    stubs, booted = tmp_path / "stubs", tmp_path / "run/systemd/system"
    stubs.mkdir()
    booted.mkdir(parents=True)
    log = tmp_path / "log"
    (stubs / "dpkg-query").write_text('#!/bin/sh\nprintf "%s" "$INSTALLED"\n')
    (stubs / "dpkg-query").chmod(0o755)
    for name in ("systemctl", "deb-systemd-helper", "deb-systemd-invoke", "systemd-sysusers"):
        code = '[ -z "$DISABLED" ] || [ "$2" != was-enabled ]' if "helper" in name else "true"
        (stubs / name).write_text(f'#!/bin/sh\necho "{name} $*" >>{log}\n{code}\n')
        (stubs / name).chmod(0o755)

    def call(line: str, **env: str) -> list[str]:
        script, *words = line.split()
        text = (root / "DEBIAN" / script).read_text()
        here = tmp_path / script
        text = text.replace("/run/systemd/system", str(booted))
        text = text.replace("${DPKG_ROOT:-}/var/lib/debship", f"{tmp_path}/var/lib/debship")
        text = text.replace("/usr/lib/tiny", f"{tmp_path}/usr/lib/tiny")
        for place in ('/etc/systemd/system"', "/var/lib/systemd/"):
            text = text.replace(f"${{DPKG_ROOT:-}}{place}", f"{tmp_path}{place}")
        here.write_text(text.replace('"${DPKG_ROOT:-}"/etc', f"{tmp_path}/etc"))
        log.unlink(missing_ok=True)
        path = f"{stubs}:{os.environ['PATH']}"
        run(
            ["sh", here, *words], env={"DEBSHIP_ROLL": None, "DPKG_ROOT": None, "PATH": path, **env}
        )
        return log.read_text().splitlines() if log.exists() else []

    return call


@pytest.mark.parametrize(
    "form", [f"{script} {form}" for script, forms in FORMS.items() for form in forms]
)
def test_what_each_form_calls(form: str, host, golden, request) -> None:
    by_hand, roll = host(form), host(form, DEBSHIP_ROLL="r1")
    text = "".join(f"{line}\n" for line in by_hand) + "in a roll:\n"
    golden(f"build/forms/{form.replace(' ', '_')}", text + "".join(f"{line}\n" for line in roll))
    verbs = {line.split()[1] for line in roll if line.startswith("deb-systemd-invoke")}
    assert not verbs  # a roll starts, restarts and stops by itself
    assert [line for line in by_hand if "-invoke" not in line] == roll


def test_who_installs_by_hand_gets_a_running_service(host) -> None:
    assert host("postinst configure")[-1] == "deb-systemd-invoke start tiny.service tiny-job.timer"
    assert (
        host("postinst configure 0.9-1")[-1]
        == "deb-systemd-invoke restart tiny.service tiny-job.timer"
    )
    assert host("prerm remove") == [
        "deb-systemd-invoke stop tiny-job.timer tiny-job.service tiny.service"
    ]
    assert host("prerm upgrade 1.1-1") == []


OLD = "/.\n/lib/systemd/system/tiny.service\n/usr/lib/systemd/system/tiny-old.timer\n"


def test_a_unit_that_is_no_more_is_stopped_and_forgotten(host) -> None:
    for roll in ({}, {"DEBSHIP_ROLL": "r1"}):
        assert host("preinst upgrade 0.9-1 1.0-1", INSTALLED=OLD, **roll) == [
            "deb-systemd-helper --quiet was-enabled tiny-old.timer",
            "deb-systemd-helper purge tiny-old.timer",
            "deb-systemd-invoke stop tiny-old.timer",
        ]
    assert host("preinst install 0.9-1 1.0-1", INSTALLED=OLD) == []


def test_what_is_known_of_a_disabled_unit_that_is_no_more_stays(host) -> None:
    calls = host("preinst upgrade 0.9-1 1.0-1", INSTALLED=OLD, DISABLED="1")
    assert calls[1:] == ["deb-systemd-invoke stop tiny-old.timer"]


def test_what_an_administrator_disabled_stays_disabled(host) -> None:
    calls = host("postinst configure 0.9-1", DISABLED="1")
    assert "deb-systemd-helper enable tiny.service" not in calls
    assert "deb-systemd-helper update-state tiny.service" in calls


def _enabled(top: Path, unit: str, target: str) -> None:
    """What deb-systemd-helper leaves of a unit that it enabled."""
    link, noted = f"{target}.wants/{unit}", top / "var/lib/systemd/deb-systemd-helper-enabled"
    for folder in (top / "etc/systemd/system", noted):
        (folder / link).parent.mkdir(parents=True, exist_ok=True)
    (top / "etc/systemd/system" / link).symlink_to(f"/usr/lib/systemd/system/{unit}")
    (noted / link).touch()
    (noted / f"{unit}.dsh-also").write_text(f"/etc/systemd/system/{link}\n")


def test_what_is_enabled_as_it_is_to_be_is_not_enabled_again(host, tmp_path: Path) -> None:
    _enabled(tmp_path, "tiny.service", "multi-user.target")
    calls = host("postinst configure 0.9-1")
    assert not [line for line in calls if "deb-systemd-helper" in line and "tiny.service" in line]
    assert "deb-systemd-helper enable tiny-job.timer" in calls
    _enabled(tmp_path, "tiny-job.timer", "timers.target")
    calls = host("postinst configure 0.9-1")
    assert not [line for line in calls if "deb-systemd-helper" in line]
    assert calls[-1] == "deb-systemd-invoke restart tiny.service tiny-job.timer"


@pytest.mark.parametrize(
    "change",
    [
        "rm etc/systemd/system/multi-user.target.wants/tiny.service",
        "ln -s /dev/null etc/systemd/system/tiny.service",
        "cp /etc/hostname etc/systemd/system/tiny.service",
        "rm var/lib/systemd/deb-systemd-helper-enabled/tiny.service.dsh-also",
        "rm var/lib/systemd/deb-systemd-helper-enabled/multi-user.target.wants/tiny.service",
        "sed -i s/multi-user/other/ "
        "var/lib/systemd/deb-systemd-helper-enabled/tiny.service.dsh-also",
    ],
)
def test_whatever_else_is_true_is_left_to_the_helper(change: str, host, tmp_path: Path) -> None:
    _enabled(tmp_path, "tiny.service", "multi-user.target")
    run(["sh", "-c", f"cd {tmp_path} && {change}"])
    assert "deb-systemd-helper unmask tiny.service" in host("postinst configure 0.9-1")


def test_purge_takes_what_the_deploy_wrote_and_nothing_else(host, tmp_path: Path) -> None:
    folder = tmp_path / "etc/mycompany/tiny"
    folder.mkdir(parents=True)
    (folder / "secrets.env").write_text("x")
    (tmp_path / "etc/mycompany/other.conf").write_text("x")
    aside = tmp_path / "var/lib/debship/tiny/kept/etc/mycompany/tiny/secrets.env"
    aside.parent.mkdir(parents=True)
    aside.write_text("x")
    host("postrm remove")
    assert aside.exists()
    assert (folder / "secrets.env").exists()
    host("postrm purge")
    assert not folder.exists()
    assert not (tmp_path / "var/lib/debship/tiny/kept").exists()
    assert (tmp_path / "etc/mycompany/other.conf").exists()
    host("postrm purge")


def test_bytecode_that_came_later_does_not_hold_the_prefix(host, tmp_path: Path) -> None:
    stray = tmp_path / "usr/lib/tiny/lib/x/__pycache__"
    stray.mkdir(parents=True)
    (stray / "x.opt-1.pyc").write_text("x")
    host("postrm upgrade 1.1-1")
    assert stray.exists()
    host("postrm remove")
    assert not (tmp_path / "usr/lib/tiny").exists()
