"""What an application lacks is found as uv finds it, without asking uv."""

import errno
from pathlib import Path

import pytest
from sample import Sample

from debship.build.dists import Dist
from debship.build.unpacked import lacking
from debship.build.uv import Uv
from debship.debian.releases import Release
from debship.errors import Failed, Misused
from debship.run import run


def _dist(name: str, version: str = "1.0", *needs: str, python: str = "") -> Dist:
    return Dist(name, version, (), True, "", "", "", "", needs=needs, needs_python=python)


CASES: dict[str, tuple[Dist, ...]] = {
    "nothing": (_dist("app"),),
    "what is there": (_dist("app", "1.0", "lib>=1", "Other_Lib"), _dist("lib"), _dist("other-lib")),
    "too old": (_dist("app", "1.0", "lib>=2"), _dist("lib")),
    "absent": (_dist("app", "1.0", "lib"), _dist("other")),
    "another system": (_dist("app", "1.0", 'lib; sys_platform == "win32"'),),
    "this system": (_dist("app", "1.0", 'lib; sys_platform == "linux"'),),
    "another Python": (_dist("app", "1.0", 'lib; python_version < "3.6"'),),
    "this Python": (_dist("app", "1.0", 'lib; python_full_version > "3.6.0"'),),
    "an extra": (_dist("app", "1.0", 'lib; extra == "x"'),),
    "with an extra": (_dist("app", "1.0", "lib[x]==1.0"), _dist("lib", "1.0", 'y; extra == "x"')),
    "a prerelease": (_dist("app", "1.0", "lib>=1"), _dist("lib", "1.1rc1")),
    "a local version": (_dist("app", "1.0", "lib==1.0"), _dist("lib", "1.0+cpu")),
    "Python too old": (_dist("app", "1.0", python=">=4"),),
    "Python as wanted": (_dist("app", "1.0", python=">=3.6,<4"),),
    "a plugin of another": (_dist("app", "2.0"), _dist("plugin", "1.0", "app<2")),
    "a plugin of this": (_dist("app", "1.9"), _dist("plugin", "1.0", "app<2")),
    "itself": (_dist("app", "1.0", "app[x]", 'lib; extra == "x"'),),
}


@pytest.fixture(scope="module")
def python(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    venv = tmp_path_factory.mktemp("check") / "venv"
    Uv(run, 0)("venv", "--no-project", "--python", f"/usr/bin/python{release.python}", venv)
    return venv / "bin/python"


@pytest.mark.parametrize("case", CASES)
def test_it_finds_what_uv_finds(case: str, python: Path, release: Release, tmp_path: Path) -> None:
    own, *others = CASES[case]
    version = run([python, "-c", "import platform; print(platform.python_version())"]).text
    site = python.parents[1] / f"lib/python{release.python}/site-packages"
    folders = []
    for dist in CASES[case]:
        info = site / f"{dist.name.replace('-', '_')}-{dist.version}.dist-info"
        info.mkdir()
        folders.append(info)
        lines = ["Metadata-Version: 2.1", f"Name: {dist.name}", f"Version: {dist.version}"]
        lines += [f"Requires-Dist: {need}" for need in dist.needs]
        lines += [f"Requires-Python: {dist.needs_python}"] if dist.needs_python else []
        (info / "METADATA").write_text("\n".join(lines) + "\n")
        (info / "WHEEL").write_text("Wheel-Version: 1.0\nTag: py3-none-any\n")
    try:
        Uv(run, 0)("pip", "check", "--python", python)
        complains = False
    except Failed:
        complains = True
    for folder in folders:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    found = lacking(own, others, version)
    assert bool(found) is complains, found


def test_a_wheel_that_may_not_be_read(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read all, so the answer is the kernel's to another user."""

    def refused(path: Path, *_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("debship.build.unpacked._install", refused)
    with pytest.raises(Misused, match=r"/tiny-1\.0-py3-none-any\.whl: Permission denied"):
        sample.build()
