"""The application's own wheel: as it is made elsewhere, beside what a lock names, and broken."""

import os
import re
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sample import DATE, Sample, lock_wheels, make_wheel

from debship.build.cache import Cache
from debship.build.plan import Surroundings, plan_build
from debship.build.recipe import build
from debship.config.app import Service
from debship.errors import Failed, Refused
from debship.run import run

pytestmark = pytest.mark.slow

SCRIPTS = ("tiny-web", "tiny-job")


def _unpacked(deb: Path, folder: Path) -> Path:
    run(["dpkg-deb", "-x", deb, folder])
    return folder


def test_scripts_may_be_executed_whatever_the_archive_says(sample: Sample, tmp_path: Path) -> None:
    """What makes wheels on Windows writes no modes."""
    files = {
        "tiny-1.0.data/scripts/tiny-tool": "#!python\nprint('tool')\n",
        "tiny-1.0.data/scripts/deep/tool": "#!/bin/sh\necho tool\n",
        "tiny-1.0.data/scripts/notes.txt": "read me\n",
    }
    make_wheel(sample.app.directory / "dist", "tiny", files=files, scripts=SCRIPTS)
    app = replace(sample.app, services=(Service("tiny", "tiny-tool"),))
    root = _unpacked(sample.build(app).path, tmp_path / "root")
    for name in ("tiny-tool", "deep/tool", "tiny-web"):
        assert os.access(root / "usr/lib/tiny/bin" / name, os.X_OK), name
    assert (root / "usr/lib/tiny/bin/notes.txt").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("locked", ["0.9", "1.0"])
def test_the_own_wheel_goes_before_one_that_the_lock_names(
    sample: Sample, tmp_path: Path, locked: str
) -> None:
    folder = sample.app.directory
    make_wheel(folder / "wheels", "tiny", locked, files={"tiny/gone.py": ""}, scripts=("old",))
    lock_wheels(folder, *sorted((folder / "wheels").glob("*.whl")))
    sample.cache = None
    deb = sample.build()
    assert sample.build(output=tmp_path / "again").sha256 == deb.sha256
    root = _unpacked(deb.path, tmp_path / "root")
    names = {path.name for path in root.rglob("*")}
    assert "tiny-1.0.dist-info" in names
    assert not names & {"tiny-0.9.dist-info", "gone.py", "old", "REQUESTED"}


def _changed(wheel: Path, ending: str, change: Callable[[bytes], bytes | None]) -> None:
    with zipfile.ZipFile(wheel) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in members.items():
            new = change(content) if name.endswith(ending) else content
            if new is not None:
                archive.writestr(name, new)


def _entry(value: bytes) -> Callable[[bytes], bytes]:
    return lambda text: text + b"bad = " + value + b"\n"


WHEELS = {
    "a row of RECORD": ("/RECORD", lambda text: b"x\n" + text, "expected 3 elements, got 1"),
    "a size in RECORD": (
        "/RECORD",
        lambda text: re.sub(rb"(app.py,.*,)", rb"\1x", text),
        "`size` cannot be non-integer",
    ),
    "a hash in RECORD": (
        "/RECORD",
        lambda text: re.sub(rb"(app.py,)sha256=", rb"\1", text),
        "`hash` does not follow the required format",
    ),
    "no RECORD": ("/RECORD", lambda text: None, "no item named 'tiny-1.0.dist-info/RECORD'"),
    "no WHEEL": ("/WHEEL", lambda text: None, "no item named 'tiny-1.0.dist-info/WHEEL'"),
    "no METADATA": ("/METADATA", lambda text: None, "has no METADATA with a name and a version"),
    "METADATA without a name": (
        "/METADATA",
        lambda text: text.replace(b"Name: tiny\n", b""),
        "has no METADATA with a name and a version",
    ),
    "METADATA that is not UTF-8": (
        "/METADATA",
        lambda text: text.replace(b"Ann", b"\xe9"),
        "what it says of itself is not UTF-8",
    ),
    "an entry without a function": (
        "entry_points.txt",
        _entry(b"tiny"),
        'its script bad is to start "tiny", which is no entry point',
    ),
    "an entry of words": (
        "entry_points.txt",
        _entry(b"tiny main"),
        'its script bad is to start "tiny main", which is no entry point',
    ),
    "an entry twice": ("entry_points.txt", lambda text: text + b"tiny-web = a:b\n", "already"),
    "no archive": (None, b"x", "not a zip file"),
}


@pytest.mark.parametrize("case", WHEELS)
def test_a_wheel_that_is_broken(sample: Sample, case: str) -> None:
    ending, change, message = WHEELS[case]
    wheel = next((sample.app.directory / "dist").glob("*.whl"))
    if ending is None:
        wheel.write_bytes(change)
    else:
        _changed(wheel, ending, change)
    with pytest.raises(Refused, match=message):
        sample.build()
    assert not sample.output.exists()


def test_a_wheel_with_a_file_in_no_known_place(sample: Sample) -> None:
    files = {"tiny-1.0.data/foo/bar": "x"}
    make_wheel(sample.app.directory / "dist", "tiny", files=files, scripts=SCRIPTS)
    with pytest.raises(Refused) as raised:
        sample.build()
    assert raised.value.message == (
        "tiny-1.0-py3-none-any.whl cannot be unpacked: tiny-1.0.data/foo/bar is not contained in a "
        "valid .data subdirectory."
    )
    assert "unzip -l " in (raised.value.hint or "")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_wheel_with_a_file_twice(sample: Sample) -> None:
    wheel = next((sample.app.directory / "dist").glob("*.whl"))
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("tiny/app.py", "")
    with pytest.raises(Refused, match=r"cannot be unpacked: File already exists: tiny/app\.py$"):
        sample.build()


def test_a_broken_wheel_of_a_dependency_is_named(sample: Sample) -> None:
    folder = sample.app.directory
    make_wheel(folder / "wheels", "lib_a", scripts=("../../tool",))
    lock_wheels(folder, *sorted((folder / "wheels").glob("*.whl")))
    with pytest.raises(Failed) as raised:
        sample.build()
    assert (raised.value.hint or "").startswith("lib_a-1.0-py3-none-any.whl itself is amiss: ")


def test_a_file_where_another_wheel_has_a_folder(sample: Sample) -> None:
    folder = sample.app.directory
    make_wheel(folder / "wheels", "lib_a", files={"shared": "a file\n"})
    lock_wheels(folder, *sorted((folder / "wheels").glob("*.whl")))
    with pytest.raises(
        (Failed, Refused)
    ) as raised:  # uv lays wheels down at once, and may not see it
        sample.build()
    assert re.search("another wheel brings a folder|another path", raised.value.hint or "")


def test_machine_code_of_another_machine_alone_is_noted(sample: Sample) -> None:
    """Whoever forgot to tag the wheel; some carry code for several machines as data."""
    elf = bytearray(Path(sys.executable).resolve().read_bytes()[:64])
    elf[18:20] = b"\xfe\xfe"
    files = {"tiny/fast.so": bytes(elf)}
    make_wheel(sample.app.directory / "dist", "tiny", files=files, scripts=SCRIPTS)
    told: list[str] = []
    around = Surroundings(sample.machine, frozenset({"requirements.txt"}), source_date_epoch=DATE)
    plan = plan_build(sample.app, sample.release, around)
    cache = Cache(sample.output.parent / "cache")
    build(plan, sample.output, run=run, say=told.append, cache=cache, level=3)
    [note] = [line for line in told if "another machine" in line]
    assert note.startswith("note: tiny: ")
    assert "site-packages/tiny/fast.so" in note


@pytest.mark.parametrize(
    ("project", "hint"),
    [
        ('name = "tiny"', "mend [project] of pyproject.toml"),
        ('name = "tiny"\nversion = "1"', 'module-name = "NAME" under [tool.uv.build-backend]'),
    ],
)
def test_a_project_that_makes_no_wheel(sample: Sample, project: str, hint: str) -> None:
    backend = '[build-system]\nrequires = ["uv_build"]\nbuild-backend = "uv_build"\n'
    (sample.app.directory / "pyproject.toml").write_text(f"[project]\n{project}\n{backend}")
    with pytest.raises(Failed) as raised:
        sample.build(sample.with_build(wheel=None))
    assert hint in (raised.value.hint or "")


def test_names_that_are_too_long(sample: Sample, tmp_path: Path) -> None:
    long = "m" * 245
    files = {f"tiny/{long}.py": "X = 1\n"}
    make_wheel(sample.app.directory / "dist", "tiny", files=files, scripts=SCRIPTS)
    deb = sample.build()  # without bytecode: Python has no room for its name
    assert long in run(["dpkg-deb", "-c", deb.path]).text
    make_wheel(sample.app.directory / "dist", "tiny", files={f"tiny/{long * 2}.py": ""})
    with pytest.raises(Refused, match=r"cannot be unpacked: .*File name too long"):
        sample.build()


def test_a_version_that_no_file_can_bear(sample: Sample) -> None:
    """The wheel fits, and the package's papers do not."""
    next((sample.app.directory / "dist").glob("*.whl")).unlink()
    make_wheel(sample.app.directory / "dist", "tiny", f"1.0+{'a' * 220}", scripts=SCRIPTS)
    with pytest.raises(Refused, match=r"no file system takes such a name: .*a-1_all\.deb"):
        sample.build()
    assert not sample.output.exists()


def test_a_file_whose_name_has_a_line_break(sample: Sample) -> None:
    """uv takes no dependency with one."""
    make_wheel(sample.app.directory / "dist", "tiny", files={"tiny/a\nb.txt": "x"}, scripts=SCRIPTS)
    wheel = next((sample.app.directory / "dist").glob("*.whl"))
    _changed(wheel, "/RECORD", lambda text: text.replace(b"tiny/a\nb.txt", b'"tiny/a\nb.txt"'))
    with pytest.raises(Refused, match=r"a\\nb\.txt': dpkg takes no name with a line break"):
        sample.build()
    assert not sample.output.exists()
