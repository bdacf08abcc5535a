import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from debship.cli import doctor
from debship.cli.doctor import NEEDS, Need, install_line, missing
from debship.cli.main import _COMMANDS


def test_what_is_missing_is_installed_by_one_line() -> None:
    lacking = missing(NEEDS, lambda what: what not in ("gpg", "haproxy", "ip"))
    assert {need.command for need in lacking} == {"publish", "repo", "lab"}
    assert install_line(lacking) == "apt-get install --no-install-recommends gpg haproxy iproute2"
    assert install_line(()) is None


def test_it_shows_who_lacks_what(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        doctor,
        "NEEDS",
        (Need("lab", "no-such-program", "its-package"), Need("build", "sh", "dash")),
    )
    result = CliRunner().invoke(doctor.command, [])
    assert result.exit_code == 1
    assert "lab             lacks no-such-program\n" in result.stdout
    assert "build           ok\n" in result.stdout
    assert result.stdout.endswith("\n\napt-get install --no-install-recommends its-package\n")
    assert CliRunner().invoke(doctor.command, ["build"]).exit_code == 0
    found = json.loads(CliRunner().invoke(doctor.command, ["lab", "--json"]).stdout)["result"]
    assert found["lacks"] == {"lab": ["no-such-program"]}


def test_a_program_is_found_where_root_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    assert doctor._has("dpkg")
    assert doctor._has("ldconfig")
    assert not doctor._has("/no/such/file")


def test_it_knows_the_commands() -> None:
    assert {need.command.partition(" ")[0] for need in NEEDS} <= {*_COMMANDS, "fab"}


def test_a_package_has_what_is_said_of_it() -> None:
    """Ask dpkg about those that are installed here."""
    for need in NEEDS:
        path = need.what if need.what.startswith("/") else f"*/{need.what}"
        found = subprocess.run(
            ["dpkg-query", "-L", need.package], check=False, capture_output=True, text=True
        )
        if found.returncode == 0:
            assert any(Path(line).match(path) for line in found.stdout.splitlines()), need


@pytest.mark.parametrize(("user", "lacks"), [(0, []), (1000, ["newuidmap", "newgidmap"])])
def test_who_is_not_root_needs_ids_of_others(
    monkeypatch: pytest.MonkeyPatch, user: int, lacks: list[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: user)
    monkeypatch.setattr(doctor, "_has", lambda what: not what.startswith("new"))
    result = CliRunner().invoke(doctor.command, ["build --release", "--json"])
    assert json.loads(result.stdout)["result"]["lacks"] == {"build --release": lacks}
