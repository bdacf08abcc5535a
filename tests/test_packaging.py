"""What is in the wheel: all that the code reads beside itself."""

import sys
import zipfile
from pathlib import Path

import pytest

from debship import template_files
from debship.run import run

TOP = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    out = tmp_path_factory.mktemp("wheel")
    uv = Path(sys.executable).with_name("uv")
    run([uv, "build", "--quiet", "--wheel", "--no-build-isolation", "--out-dir", out, TOP])
    return zipfile.ZipFile(next(out.glob("*.whl")))


def test_the_wheel_has_the_templates_of_the_checkout(wheel: zipfile.ZipFile) -> None:
    here = TOP / "debian-templates"
    assert template_files.directory() == here
    prefix = "debship/debian-templates/"
    shipped = {
        name.removeprefix(prefix): wheel.read(name)
        for name in wheel.namelist()
        if name.startswith(prefix)
    }
    mine = {
        str(path.relative_to(here)): path.read_bytes() for path in here.rglob("*") if path.is_file()
    }
    assert shipped == mine
    assert mine


def test_the_wheel_has_what_the_code_reads_beside_itself(wheel: zipfile.ZipFile) -> None:
    source = TOP / "src"
    wanted = {
        str(path.relative_to(source))
        for path in (source / "debship").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted <= set(wheel.namelist())
    assert {"debship/py.typed", "debship/deploy/observe.sh"} <= wanted
