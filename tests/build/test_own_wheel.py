"""The application's own wheel: as it is made elsewhere, beside what a lock names, and broken."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from sample import Sample, lock_wheels, make_wheel

from debship.config.app import Service
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
