"""Packages of three releases, built on this machine, each installed on its own."""

import io
import itertools
import os
import sys
import tarfile
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from sample import DATE, Sample, make_sample, make_wheel

from debship.build.papers import papers_beside
from debship.build.plan import Surroundings, plan_build
from debship.build.releases import Workshop, build_in_roots, build_packages, sources
from debship.build.together import together
from debship.build.uv import Uv
from debship.cell import open_cell
from debship.cell.shows import Show
from debship.cli.cache import cache_folder
from debship.config.app import App, Service
from debship.debian.releases import Release, release
from debship.errors import DebshipError, Failed, Refused
from debship.model import Architecture, Deb
from debship.roots import clean_root
from debship.run import run

ROOTS = cache_folder() / "roots"  # of this machine, whatever the tests of builds have else
RELEASES = tuple(release(name) for name in ("bullseye", "bookworm", "trixie"))

on_roots = pytest.mark.acceptance


def shop(sample: Sample) -> Workshop:
    """Roots are those of this machine; all else that is kept is this sample's alone."""
    cache = sample.output.parent / "cache"
    if not cache.exists():
        cache.mkdir()
        ROOTS.mkdir(parents=True, exist_ok=True)
        (cache / "roots").symlink_to(ROOTS)
    return Workshop(cache, os.environ, run, say=lambda step: None, level=3)


def build(sample: Sample, *releases: Release, app: App | None = None, **how: bool) -> list[Deb]:
    app = app or sample.app
    app = replace(app, build=replace(app.build, releases=tuple(r.codename for r in releases)))
    files = frozenset(path.name for path in app.directory.iterdir())
    seen = Surroundings(sample.machine, files, source_date_epoch=DATE)
    plans = [plan_build(app, one, seen) for one in releases]
    return list(build_in_roots(plans, sample.output, shop(sample), **how))


def field(deb: Deb, name: str) -> str:
    return run(["dpkg-deb", "-f", deb.path, name]).text


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, machine: Architecture) -> list[Deb]:
    """The sample for each release, oldest first."""
    sample = make_sample(tmp_path_factory.mktemp("three"), RELEASES[0], machine)
    return build(sample, *RELEASES)


def test_what_a_root_holds(sample: Sample) -> None:
    app = sample.with_build(needs=("libpq-dev", "gcc"))
    seen = Surroundings(sample.machine, frozenset({"requirements.txt"}))
    packages = {one.codename: build_packages(plan_build(app, one, seen)) for one in RELEASES}
    assert packages["trixie"][0] == "python3.13"
    assert packages["bullseye"][0] == "python3.9"
    assert "python3-distutils" in packages["bullseye"]
    assert "python3-distutils" not in packages["trixie"]
    assert all(names[-2:] == ("libpq-dev", "gcc") for names in packages.values())


def test_a_literal_version_gets_the_suffix_too(sample: Sample) -> None:
    seen = Surroundings(sample.machine, frozenset({"requirements.txt"}))
    app = replace(sample.with_build(releases=("trixie",)), version="1:2.0-3")
    assert str(plan_build(app, release("trixie"), seen).version) == "1:2.0-3~deb13u1"


def test_a_build_reads_the_whole_checkout_and_the_lock(sample: Sample) -> None:
    folder = sample.app.directory
    service = folder / "services/auth"
    service.mkdir(parents=True)
    run(["git", "init", "--quiet", folder])
    app = replace(
        sample.app, directory=service, build=replace(sample.app.build, lock=folder / "uv.lock")
    )
    plan = plan_build(app, sample.release, Surroundings(sample.machine))
    assert set(sources(plan, run)) == {service, folder}


@on_roots
def test_versions_sort_by_release(built: list[Deb]) -> None:
    versions = [str(deb.version) for deb in built]
    assert versions == ["1.0-1~deb11u1", "1.0-1~deb12u1", "1.0-1~deb13u1"]
    for older, newer in itertools.pairwise((*versions, "1.0-1")):
        run(["dpkg", "--compare-versions", older, "lt", newer])
    assert [deb.path.name for deb in built] == [f"tiny_{v}_all.deb" for v in versions]
    beside = sorted(built[0].path.parent.iterdir())
    assert beside == sorted(path for deb in built for path in (deb.path, *papers_beside(deb)))


@on_roots
def test_each_is_of_its_release(built: list[Deb]) -> None:
    for deb, one in zip(built, RELEASES, strict=True):
        assert field(deb, "Depends").split(", ")[0] == f"python{one.python}"
        members = run(["ar", "t", deb.path]).text.split()
        assert members[2] == ("data.tar.xz" if one.codename == "bullseye" else "data.tar.zst")
        packed = run(["dpkg-deb", "--fsys-tarfile", deb.path]).stdout
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            site = f"./usr/lib/tiny/lib/python{one.python}/site-packages"
            cached = f"__pycache__/deep.cpython-{one.python.replace('.', '')}.pyc"
            assert tar.getmember(f"{site}/lib_a/{cached}").mtime == one.date
            assert tar.getmember("./usr/lib/tiny/bin/python").linkname.endswith(one.python)


@on_roots
@pytest.mark.parametrize("index", range(3), ids=[one.codename for one in RELEASES])
def test_it_installs_runs_and_goes(built: list[Deb], index: int, tmp_path: Path) -> None:
    deb, one = built[index], RELEASES[index]
    packages = (f"python{one.python}", "systemd")  # as the smoke test has them
    root = clean_root(one, packages, run=run, cache=ROOTS, say=lambda step: None)
    with open_cell(
        root,
        name=one.codename,
        layer=tmp_path / "layer",
        show=[Show(deb.path)],
        environment=None,
        variables={},
        run=run,
    ) as cell:
        cell(["dpkg", "--install", deb.path])
        assert cell(["/usr/lib/tiny/bin/tiny-web"]).text == "tiny"
        version = "import sys; print('%d.%d' % sys.version_info[:2], sys.prefix)"
        said = cell(["/usr/lib/tiny/bin/python", "-c", version]).text
        assert said == f"{one.python} /usr/lib/tiny"
        assert cell(["getent", "passwd", "_tiny"]).text
        assert cell(["dpkg", "--verify", "tiny"]).text == ""
        cell(["dpkg", "--purge", "tiny"])
        assert cell(["ls", "/usr/lib/tiny"], check=False).returncode


@on_roots
def test_the_same_bytes_from_elsewhere(
    built: list[Deb], machine: Architecture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_sample(tmp_path / "another place", RELEASES[0], machine)
    (tmp_path / "t").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "t"))
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    old = os.umask(0o077)
    try:
        again = build(other, *RELEASES, smoke=False)
    finally:
        os.umask(old)
    assert [deb.sha256 for deb in again] == [deb.sha256 for deb in built]
    assert not list((tmp_path / "t").iterdir())


@on_roots
def test_a_release_does_not_see_what_another_wrote(sample: Sample) -> None:
    folder = sample.app.directory
    (folder / "dist").rename(folder / "made")
    script = (
        "test ! -e dist && mkdir dist && cp made/*.whl dist && touch made/here "
        "&& ! command -v lintian && python3 -V"
    )
    (folder / "build.sh").write_text(script)
    app = sample.with_build(command="sh build.sh", wheel="dist/*.whl", test="test ! -e made/here")
    debs = build(sample, *RELEASES[1:], app=app, smoke=False)
    assert len(debs) == 2
    assert not (folder / "dist").exists()
    assert not (folder / "made/here").exists()


@on_roots
def test_both_packages_of_a_split_application_are_tried(sample: Sample) -> None:
    debs = build(sample, RELEASES[2], app=replace(sample.app, layout="split"))
    assert [deb.package.partition("-")[0] for deb in debs] == ["tiny", "tiny"]
    exactly = f"{debs[1].package} (= {debs[1].version})"
    assert exactly in field(debs[0], "Depends").split(", ")


@on_roots
def test_another_build_leaves_a_running_one_its_packages(
    sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept = []

    def meanwhile(*_: object) -> None:
        with together(sample.output):
            swept.append(list(sample.output.glob(".debship-*/*.deb")))

    monkeypatch.setattr("debship.build.releases.try_packages", meanwhile)
    monkeypatch.setattr("debship.build.releases.partial", lambda function, **_: function)
    assert len(build(sample, *RELEASES[1:])) == 2
    assert len(swept[1]) == 1  # the first release's, whole and waiting for the second


@on_roots
def test_where_one_release_fails_no_package_appears(sample: Sample) -> None:
    app = sample.with_build(test="test -e /usr/bin/python3.11")
    with pytest.raises(Failed, match="in a root of trixie: test exited with 1"):
        build(sample, *RELEASES[1:], app=app, smoke=False)
    assert not sample.output.exists()


EXTENSION = """\
#include <Python.h>
#include <openssl/crypto.h>
static PyObject *version(PyObject *self, PyObject *none) {
    return PyUnicode_FromString(OpenSSL_version(OPENSSL_VERSION));
}
static PyMethodDef methods[] = {{"version", version, METH_NOARGS, 0}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_auth", 0, -1, methods};
PyMODINIT_FUNC PyInit__auth(void) { return PyModule_Create(&module); }
"""
PYPROJECT = """\
[build-system]
requires = ["setuptools>=68"]
build-backend = "setuptools.build_meta"
[project]
name = "auth"
version = "2.0"
[project.scripts]
auth = "auth:main"
[tool.setuptools]
py-modules = ["auth"]
ext-modules = [{ name = "_auth", sources = ["auth.c"], libraries = ["crypto"] }]
"""
NEEDS = ("gcc", "libc6-dev", "libssl-dev", "python3-dev")


@pytest.fixture
def compiled(sample: Sample) -> Sample:
    """A project in C, without a dependency."""
    folder = sample.app.directory
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "auth.c").write_text(EXTENSION)
    (folder / "auth.py").write_text("import _auth\ndef main():\n    print(_auth.version())\n")
    (folder / "requirements.txt").write_text("")
    (folder / "build.in").write_text("setuptools\n")
    words = ("pip", "compile", "--generate-hashes", "build.in", "-o", "build-requirements.txt")
    Uv(run, DATE)(*words, "--python-version", "3.11", cwd=folder)
    sample.app = replace(
        sample.app,
        build=replace(
            sample.app.build,
            wheel=None,
            needs=NEEDS,
            backends=folder / "build-requirements.txt",
        ),
        services=(Service("auth", "auth"),),
        configs=(),
    )
    return sample


@on_roots
def test_machine_code_is_compiled_in_each_root(compiled: Sample) -> None:
    for deb, ssl in zip(build(compiled, *RELEASES[1:]), ("libssl3 (", "libssl3t64 ("), strict=True):
        assert deb.architecture == compiled.machine
        assert ssl in field(deb, "Depends")
    assert not (compiled.app.directory / "build").exists()


@on_roots
def test_a_compiler_is_the_applications_to_name(compiled: Sample) -> None:
    app = compiled.with_build(needs=())
    with pytest.raises(DebshipError, match=r"(?s)trixie.*gcc") as raised:
        build(compiled, RELEASES[2], app=app)
    assert "[build] needs" in (raised.value.hint or "")


UNFIT = {
    "a module that lacks another": (
        {"tiny/__init__.py": "import absent\n"},
        {},
        "import tiny fails where the package is installed: ModuleNotFoundError",
    ),
    "a unit that systemd does not take": (
        {},
        {"services": (Service("tiny", "tiny-job", kind="timer", schedule="never ever"),)},
        "systemd would not take a unit as it is",
    ),
    "a package that the release has not": (
        {},
        {"depends": ("libssl1.1",)},
        "trixie has no package libssl1.1",
    ),
}


@on_roots
@pytest.mark.parametrize("case", UNFIT)
def test_what_cannot_work_does_not_appear(sample: Sample, case: str) -> None:
    files, change, message = UNFIT[case]
    scripts = () if files else ("tiny-web", "tiny-job")
    files = files or {"tiny/__init__.py": "def main():\n    pass\n"}
    make_wheel(sample.app.directory / "dist", "tiny", files=files, scripts=scripts)
    app = sample.app
    app = replace(app, services=change.get("services", app.services if scripts else ()))
    app = replace(app, run=replace(app.run, depends=change.get("depends", ())))
    with pytest.raises((Refused, Failed), match=message) as raised:
        build(sample, RELEASES[2], app=app)
    assert "trixie" in raised.value.message
    assert not sample.output.exists()


@on_roots
def test_the_command_builds_for_a_release(
    sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from test_build_cli import FILE

    folder = sample.app.directory
    (folder / "debship.toml").write_text(FILE)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(DATE))
    monkeypatch.setenv("DEBSHIP_CACHE", str(shop(sample).cache))
    words = ("-m", "debship", "build", folder, "--release", "trixie", "--output", tmp_path / "out")
    name, trying = "tiny_1.0-1~deb13u1_all.deb", "trixie: trying tiny in a clean root"
    done = run([sys.executable, *words])
    assert done.text == f"{tmp_path}/out/{name}"
    assert trying in done.stderr.decode()
    again = run([sys.executable, *words, "--no-smoke", "--verify"])
    assert again.text.startswith(f"built twice, the same bytes:\n  {name}\n")
    assert trying not in again.stderr.decode()
