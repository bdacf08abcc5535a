"""What a user reads who wrote something that cannot be meant: each file of bad/ begins with it."""

from pathlib import Path

import pytest

from debship.config.app_file import read_app
from debship.config.fleet_file import read_fleet
from debship.errors import Misused

BAD = Path(__file__).parent / "bad"
MARK = "#= "


def _cases(kind: str):
    return [pytest.param(path, id=path.stem) for path in sorted((BAD / kind).glob("*.toml"))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that holds the files which the cases may name."""
    for name in ("auth.conf", "uv.lock", "secrets.env.j2"):
        (tmp_path / name).touch()
    return tmp_path


def _expected(case: Path) -> list[str]:
    lines = case.read_text(errors="replace").splitlines()
    return [line.removeprefix(MARK) for line in lines if line.startswith(MARK)]


@pytest.mark.parametrize("case", _cases("app"))
def test_a_bad_debship_toml(case: Path, folder: Path) -> None:
    path = folder / "debship.toml"
    path.write_bytes(case.read_bytes())
    with pytest.raises(Misused) as raised:
        read_app(folder)
    assert raised.value.message.splitlines() == _expected(case)
    assert raised.value.hint == f"the file is {path}"


@pytest.mark.parametrize("case", _cases("fleet"))
def test_a_bad_fleet_toml(case: Path, folder: Path) -> None:
    path = folder / "fleet.toml"
    path.write_bytes(case.read_bytes())
    with pytest.raises(Misused) as raised:
        read_fleet(path)
    assert raised.value.message.splitlines() == _expected(case)
    assert raised.value.hint == f"the file is {path}"
