"""The split layout: two packages that are one virtualenv."""

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sample import DATE, Sample, lock_wheels, make_wheel

from debship.config.app import App
from debship.debian.releases import Release
from debship.errors import Refused
from debship.model import Deb
from debship.run import run

pytestmark = pytest.mark.slow

MakeSample = Callable[..., Sample]


@pytest.fixture
def split_in(sample_in: MakeSample) -> MakeSample:
    def make(folder: Path, version: str = "1.0") -> Sample:
        sample = sample_in(folder, version=version)
        sample.app = replace(sample.app, layout="split")
        return sample

    return make


@pytest.fixture
def split(split_in: MakeSample, tmp_path: Path) -> Sample:
    return split_in(tmp_path / "app")


def _field(deb: Deb, name: str) -> str:
    return run(["dpkg-deb", "-f", deb.path, name]).text


def _listed(deb: Deb) -> dict[str, str]:
    lines = run(["dpkg-deb", "-c", deb.path]).text.splitlines()
    names = (re.split(r"\s+", line, maxsplit=5)[5] for line in lines)
    return {name.partition(" -> ")[0]: name.partition(" -> ")[2] for name in names}


def _installed(debs: tuple[Deb, ...], root: Path, release: Release) -> Path:
    """Unpack packages; give an interpreter that believes that it lies where it should."""
    for deb in debs:
        run(["dpkg-deb", "-x", deb.path, root])
    (root / "usr/bin").mkdir()
    (root / f"usr/bin/python{release.python}").symlink_to(f"/usr/bin/python{release.python}")
    for path in root.rglob("*_dependencies.pth"):
        path.write_text(path.read_text().replace("/usr/lib/", f"{root}/usr/lib/"))
    return root / "usr/lib/tiny/bin/python"


def test_it_is_two_packages_and_one_needs_exactly_the_other(split: Sample) -> None:
    mine, theirs = split.build_all()
    assert re.fullmatch(r"tiny-deps-[0-9a-f]{8}", theirs.package)
    assert f"{theirs.package} (= {theirs.version})" in _field(mine, "Depends").split(", ")
    assert _field(theirs, "Depends") == f"python{split.release.python}"
    assert mine.size < 30_000
    # Of a removed package without conffiles and without a postrm, dpkg remembers nothing.
    control = run(["dpkg-deb", "-I", theirs.path]).text
    assert " prerm " in control
    assert not [name for name in ("postrm", "conffiles", "preinst") if f" {name} " in control]
    assert {path.suffix for path in split.output.iterdir()} >= {".deb", ".changes", ".buildinfo"}
    changes = (split.output / "tiny_1.0-1_all.changes").read_text()
    assert theirs.path.name in changes
    names = set(_listed(mine)) & set(_listed(theirs))
    assert {name for name in names if not name.endswith("/")} == set()


def test_the_application_sees_both_as_one(split: Sample, release: Release, tmp_path: Path) -> None:
    folder = split.app.directory
    rich = make_wheel(
        folder / "wheels",
        "lib_c",
        files={
            "lib_c.pth": "import os; os.environ['SEEN'] = 'yes'\n",
            "lib_c-1.0.data/data/share/lib_c/words.txt": "word\n",
        },
        scripts=("serve",),
    )
    lock_wheels(folder, *sorted({*(folder / "wheels").glob("*.whl"), rich}))
    debs = split.build_all()
    root = tmp_path / "root"
    python = _installed(debs, root, release)
    code = """
import importlib.metadata as m, json, os, sys, tiny.app, lib_a.deep, shared
names = sorted(d.metadata['Name'] for d in m.distributions())
scripts = sorted(e.name for e in m.entry_points(group='console_scripts'))
words = open(sys.prefix + '/share/lib_c/words.txt').read()
print(json.dumps([sys.prefix, names, scripts, os.environ['SEEN'], words, shared.WHO]))
"""
    seen = json.loads(run([python, "-c", code]).text)
    assert seen == [
        f"{root}/usr/lib/tiny",
        ["lib_a", "lib_b", "lib_c", "tiny"],
        ["serve", "tiny-job", "tiny-web"],
        "yes",
        "word\n",
        "b",
    ]
    for script in ("serve", "lib-env", "tiny-web"):
        first = (python.parent / script).read_text().splitlines()[0]
        assert first == "#!/usr/lib/tiny/bin/python"
    assert (python.parent / "serve").readlink() == Path(f"../../{debs[1].package}/bin/serve")


def test_the_name_is_the_contents_alone(split_in: MakeSample, tmp_path: Path) -> None:
    first = split_in(tmp_path / "one").build_all()
    old = os.umask(0o077)
    try:
        sample = split_in(tmp_path / "another" / "place", version="1.1")
        second = sample.build_all(source_date_epoch=DATE + 86400)
    finally:
        os.umask(old)
    assert first[1].path.name == second[1].path.name
    assert first[1].path.read_bytes() == second[1].path.read_bytes()
    assert first[0].version != second[0].version
    lib = make_wheel(sample.app.directory / "wheels", "lib_b", "1.1")
    lock_wheels(
        sample.app.directory, next((sample.app.directory / "wheels").glob("lib_a*.whl")), lib
    )
    assert sample.build_all()[1].package != first[1].package


def test_a_change_of_the_code_alone_leaves_the_other_package(
    split_in: MakeSample, tmp_path: Path
) -> None:
    sample = split_in(tmp_path / "app")
    one = sample.build_all()
    stamp = one[1].path.stat().st_ino
    shutil.rmtree(tmp_path / "app/dist")
    changed = split_in(tmp_path / "app", version="1.1")
    two = changed.build_all()
    assert two[1] == one[1]
    assert two[1].path.stat().st_ino == stamp
    assert two[0].path.name == "tiny_1.1-1_all.deb"
    # One that was damaged, or is gone, is written again.
    content = one[1].path.read_bytes()
    one[1].path.write_bytes(content[:-3])
    assert changed.build_all() == two
    assert one[1].path.read_bytes() == content
    # And so it is where the cache is damaged too.
    one[1].path.unlink()
    for path in (tmp_path / "app/cache").glob("*/*"):
        path.write_bytes(path.read_bytes()[:-1])
    assert changed.build_all() == two
    assert one[1].path.read_bytes() == content


def _reaches_in(sample: Sample) -> App:
    make_wheel(
        sample.app.directory / "dist",
        "tiny",
        files={"lib_a/sub/more.py": ""},
        scripts=("tiny-web", "tiny-job"),
    )
    return sample.app


def _is_reached_into(sample: Sample) -> App:
    folder = sample.app.directory
    plugin = make_wheel(folder / "wheels", "plugin", files={"tiny/plugin.py": ""})
    lock_wheels(folder, *sorted({*(folder / "wheels").glob("*.whl"), plugin}))
    return sample.app


def _names_itself(sample: Sample) -> App:
    folder = sample.app.directory
    own = next((folder / "dist").glob("*.whl"))
    lock_wheels(folder, own, *sorted((folder / "wheels").glob("*.whl")))
    return sample.app


def _lacks(sample: Sample) -> App:
    make_wheel(
        sample.app.directory / "dist",
        "tiny",
        requires=("absent",),
        scripts=("tiny-web", "tiny-job"),
    )
    return sample.app


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_reaches_in, "tiny brings .*more.py, into a package of lib-a"),
        (_is_reached_into, "plugin brings .*plugin.py, into a package of tiny"),
        (_names_itself, "it names tiny, which is the application"),
        (_lacks, "does not hold what the application needs"),
    ],
)
def test_what_cannot_lie_in_two_folders_is_refused(
    split: Sample, change: Callable[[Sample], App], message: str
) -> None:
    with pytest.raises(Refused, match=message):
        split.build_all(change(split))
    assert not split.output.exists() or not list(split.output.iterdir())


def test_an_application_that_the_lock_names(split: Sample) -> None:
    folder = split.app.directory
    own = next((folder / "dist").glob("*.whl"))
    lock_wheels(folder, own, *sorted((folder / "wheels").glob("*.whl")))
    mine, theirs = split.build_all(split.with_build(wheel=None, requirement="tiny"))
    assert str(mine.version) == "1.0-1"
    assert _listed(mine)["./usr/lib/tiny/bin/tiny-web"] == (f"../../{theirs.package}/bin/tiny-web")
