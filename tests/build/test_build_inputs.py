"""Where what is built comes from: locks of each kind, indexes with a password, C code, libraries."""

import io
import os
import re
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from private_index import PASSWORD, USER, PrivateIndex
from sample import DATE, Sample, lock_wheels, make_wheel
from sdists import make_sdist, pinned, unpack

from debship.build.plan import Surroundings, plan_build
from debship.build.uv import Uv
from debship.config.app import App, BuildSettings
from debship.debian.releases import Release
from debship.errors import DebshipError, Failed, Misused, Refused
from debship.model import Architecture, Deb
from debship.run import run


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of uv's for each test: what another downloaded would hide what this one cannot."""
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))


@pytest.fixture
def uv(release: Release) -> Callable[..., None]:
    python = ("--python", f"/usr/bin/python{release.python}")
    return lambda *words, cwd: Uv(run, DATE)(*words, *python, cwd=cwd) and None


@pytest.fixture
def tag(release: Release) -> str:
    version = "cp" + release.python.replace(".", "")
    return f"{version}-{version}-linux_{os.uname().machine}"


def _everything(deb: Deb) -> bytes:
    """Every byte that the package holds, none of it compressed."""
    control = run(["dpkg-deb", "--ctrl-tarfile", deb.path]).stdout
    return control + run(["dpkg-deb", "--fsys-tarfile", deb.path]).stdout


def _file(deb: Deb, ending: str) -> bytes:
    data = run(["dpkg-deb", "--fsys-tarfile", deb.path]).stdout
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        member = next(member for member in tar if member.name.endswith(ending))
        file = tar.extractfile(member)
        assert file is not None
        return file.read()


def _installed(deb: Deb) -> set[str]:
    names = run(["dpkg-deb", "-c", deb.path]).text.splitlines()
    infos = {name.split("/")[-2] for name in names if name.endswith(".dist-info/METADATA")}
    return {info.partition("-")[0] for info in infos}


def _depends(deb: Deb) -> str:
    return run(["dpkg-deb", "-f", deb.path, "Depends"]).text


# An index with a password.


@pytest.fixture
def index(sample: Sample) -> Iterator[PrivateIndex]:
    with PrivateIndex(sample.app.directory / "wheels") as served:
        yield served


PROJECT = """\
[project]
name = "tiny"
version = "1.0"
requires-python = ">=3.9"
dependencies = ["lib-a", "lib-b"]
{more}
[[tool.uv.index]]
name = "house"
url = "{url}"
{explicit}
"""
SOURCES = '[tool.uv.sources]\nlib-a = { index = "house" }\nlib-b = { index = "house" }\n'


def _as_uv_lock(sample: Sample, index: PrivateIndex, uv: Callable[..., None]) -> None:
    project = PROJECT.format(url=index.url, explicit="explicit = true", more=SOURCES)
    (sample.app.directory / "pyproject.toml").write_text(project)
    uv("lock", cwd=sample.app.directory)


def _as_pylock(sample: Sample, index: PrivateIndex, uv: Callable[..., None]) -> None:
    project = PROJECT.format(url=index.url, explicit="default = true", more="")
    (sample.app.directory / "pyproject.toml").write_text(project)
    uv("pip", "compile", "pyproject.toml", "-o", "pylock.toml", cwd=sample.app.directory)


def _as_requirements(sample: Sample, url: str) -> None:
    wheels = sorted((sample.app.directory / "wheels").glob("*.whl"))
    text = f"--index-url {url}\n" + "".join(pinned(wheel) for wheel in wheels)
    (sample.app.directory / "requirements.txt").write_text(text)


@pytest.fixture
def locked_from(
    sample: Sample,
    index: PrivateIndex,
    uv: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str], None]:
    """Lock the sample from the index, and log in the way that is named."""

    def lock(way: str) -> None:
        monkeypatch.setenv("UV_INDEX_HOUSE_USERNAME", USER)
        monkeypatch.setenv("UV_INDEX_HOUSE_PASSWORD", PASSWORD)
        (sample.app.directory / "requirements.txt").unlink()
        if way == "uv.lock and the environment":
            _as_uv_lock(sample, index, uv)
            return
        if way == "pylock.toml and the environment":
            _as_pylock(sample, index, uv)
            return
        monkeypatch.delenv("UV_INDEX_HOUSE_USERNAME")
        monkeypatch.delenv("UV_INDEX_HOUSE_PASSWORD")
        if way == "the address in the lock":
            _as_requirements(sample, index.url_with_password)
            return
        if way == "the address of each file in pylock.toml":
            _pylock(sample.app.directory)
            lock = sample.app.directory / "pylock.toml"
            place = index.url_with_password.replace("/simple", "/files")
            lock.write_text(lock.read_text().replace('path = "wheels', f'url = "{place}'))
            return
        if way == "the address of each file in requirements.txt":
            wheels = sorted((sample.app.directory / "wheels").glob("*.whl"))
            place = index.url_with_password.replace("/simple", "/files")
            lines = (pinned(wheel).replace("==1.0", f" @ {place}/{wheel.name}") for wheel in wheels)
            (sample.app.directory / "requirements.txt").write_text("".join(lines))
            return
        _as_requirements(sample, index.url)
        netrc = tmp_path / "netrc"
        netrc.write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
        monkeypatch.setenv("NETRC", str(netrc))

    return lock


WAYS = [
    "uv.lock and the environment",
    "pylock.toml and the environment",
    "the address in the lock",
    "the address of each file in pylock.toml",
    "the address of each file in requirements.txt",
    "requirements.txt and ~/.netrc",
]


@pytest.mark.acceptance
@pytest.mark.parametrize("way", WAYS)
def test_who_may_log_in_to_the_index_is_told_to_nobody(
    sample: Sample, index: PrivateIndex, locked_from: Callable[[str], None], way: str
) -> None:
    locked_from(way)
    index.answered.clear()
    plain = replace(sample.app.build, lock=None)
    deb = sample.build(replace(sample.app, build=plain))
    assert _installed(deb) == {"lib_a", "lib_b", "tiny"}
    assert any("lib_a" in path for path in index.answered), "nothing was asked of the index"
    assert PASSWORD.encode() not in _everything(deb)
    papers = [path for path in sample.output.iterdir() if path.is_file()]
    assert len(papers) > 3
    assert not [path for path in papers if PASSWORD.encode() in path.read_bytes()]
    assert index.seen == set()


def _texts(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield from (str(error), repr(error), repr(error.args), str(getattr(error, "hint", "")))
        error = error.__cause__ or error.__context__


LEAKY = {
    "a line without a hash": "lib_a @ {url}/lib_a-1.0-py3-none-any.whl\n",
    "a line that uv cannot read": "lib a @ {url}/x.whl --hash=sha256:00\n",
    "a wheel by another name": "lib_b @ {url}/xlib_b-1.0-py3-none-any.whl --hash=sha256:00\n",
    "an option that uv cannot read": "--index-url {url} --nonsense\nlib_a==1.0 --hash=sha256:00\n",
}


@pytest.mark.parametrize("case", LEAKY)
def test_no_error_names_a_password(sample: Sample, index: PrivateIndex, case: str) -> None:
    text = LEAKY[case].format(url=index.url_with_password)
    (sample.app.directory / "requirements.txt").write_text(text)
    with pytest.raises(DebshipError) as raised:
        sample.build()
    assert not [text for text in _texts(raised.value) if PASSWORD in text]
    assert index.seen == set()


def test_an_index_that_lets_nobody_in(sample: Sample, index: PrivateIndex) -> None:
    _as_requirements(sample, index.url_with_password.replace(PASSWORD, "guessed"))
    with pytest.raises(Failed, match="401 Unauthorized") as raised:
        sample.build()
    assert "UV_INDEX_NAME_PASSWORD, or from ~/.netrc" in (raised.value.hint or "")
    assert "guessed" not in str(raised.value)


# Extras and groups.

GROUPED = """\
[project]
name = "tiny"
version = "1.0"
requires-python = ">=3.9"
dependencies = ["lib-a", "lib-b"]
[project.optional-dependencies]
ldap = ["lib-ldap"]
[dependency-groups]
dev = ["lib-dev"]
production = ["lib-production"]
[[tool.uv.index]]
url = "{url}"
default = true
"""


@pytest.fixture
def grouped(sample: Sample, index: PrivateIndex) -> Sample:
    for name in ("lib_ldap", "lib_dev", "lib_production"):
        make_wheel(sample.app.directory / "wheels", name)
    text = GROUPED.replace("{url}", index.url_with_password)
    (sample.app.directory / "pyproject.toml").write_text(text)
    (sample.app.directory / "requirements.txt").unlink()
    return sample


def _pylock(folder: Path, name: str = "pylock.toml") -> None:
    text = (
        'lock-version = "1.0"\ncreated-by = "a test"\nextras = ["ldap"]\n'
        'dependency-groups = ["dev", "production"]\ndefault-groups = ["production"]\n'
    )
    asks = {"lib_ldap": "'ldap' in extras"}
    asks |= {f"lib_{group}": f"'{group}' in dependency_groups" for group in ("dev", "production")}
    for wheel in sorted((folder / "wheels").glob("*.whl")):
        own = wheel.name.partition("-")[0]
        digest = pinned(wheel).rpartition(":")[2].strip()
        marker = f'marker = "{asks[own]}"\n' if own in asks else ""
        text += (
            f'[[packages]]\nname = "{own.replace("_", "-")}"\nversion = "1.0"\n{marker}'
            f'wheels = [{{ path = "wheels/{wheel.name}", hashes = {{ sha256 = "{digest}" }} }}]\n'
        )
    (folder / name).write_text(text)


@pytest.mark.acceptance
@pytest.mark.parametrize("kind", ["uv.lock", "pylock.toml"])
def test_extras_and_groups_are_those_that_are_named(
    grouped: Sample, uv: Callable[..., None], kind: str
) -> None:
    folder = grouped.app.directory
    if kind == "uv.lock":
        uv("lock", cwd=folder)
    else:
        _pylock(folder)
    base = {"lib_a", "lib_b", "tiny"}
    default = set() if kind == "uv.lock" else {"lib_production"}  # its own default-groups
    assert _installed(grouped.build()) == base | default
    named = grouped.with_build(extras=("ldap",), groups=("dev",))
    assert _installed(grouped.build(named)) == base | {"lib_ldap", "lib_dev"}
    for wrong in ({"extras": ("lpad",)}, {"groups": ("prod",)}):
        with pytest.raises((Misused, Failed), match=r"lpad|prod"):
            grouped.build(grouped.with_build(**wrong))


def _plan(app: App, release: Release, machine: Architecture) -> None:
    files = frozenset(path.name for path in app.directory.iterdir())
    plan_build(app, release, Surroundings(machine, files))


def test_what_a_lock_cannot_tell_apart_is_refused_before_anything_is_done(
    grouped: Sample, release: Release, machine: Architecture
) -> None:
    _pylock(grouped.app.directory, "pylock.prod.toml")
    lock = grouped.app.directory / "pylock.prod.toml"
    with pytest.raises(Misused, match=r"uv reads groups from pylock\.toml alone"):
        _plan(grouped.with_build(lock=lock, groups=("dev",)), release, machine)
    (grouped.app.directory / "requirements.txt").touch()
    for key, option in (("extras", "--extra"), ("groups", "--group")):
        with pytest.raises(Misused, match=f"{key}: requirements.txt is one list") as raised:
            _plan(grouped.with_build(**{key: ("ldap",)}), release, machine)
        assert option in (raised.value.hint or "")


# What exists only as source.


@pytest.fixture
def with_sdist(sample_in: Callable[..., Sample], tag: str) -> Callable[..., tuple[Sample, Path]]:
    """The sample, one dependency of which is C code."""

    def make(folder: Path, **settings: object) -> tuple[Sample, Path]:
        sample = sample_in(folder)
        sdist = make_sdist(folder / "wheels", "native", tag, **settings)  # type: ignore[arg-type]
        wheels = sorted((folder / "wheels").glob("*.whl"))
        lock = lock_wheels(folder, *wheels)
        lock.write_text(lock.read_text() + pinned(sdist))
        return sample, sdist

    return make


@pytest.mark.acceptance
def test_c_code_is_compiled_and_brings_its_libraries(
    with_sdist, tmp_path: Path, release: Release
) -> None:
    sample, _ = with_sdist(tmp_path / "app")
    deb = sample.build()
    assert deb.architecture == sample.machine
    assert "zlib1g (>= " in _depends(deb)
    run(["dpkg-deb", "-x", deb.path, tmp_path / "root"])
    site = tmp_path / f"root/usr/lib/tiny/lib/python{release.python}/site-packages"
    code = "import native; print(native.answer())"
    env = {"PYTHONPATH": str(site)}
    assert run([f"/usr/bin/python{release.python}", "-c", code], env=env).text.startswith("1.")


@pytest.mark.acceptance
def test_c_code_is_the_same_bytes_wherever_it_is_compiled(
    with_sdist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uv: Callable[..., None]
) -> None:
    one = with_sdist(tmp_path / "one")[0].build()
    assert b"-ffile-prefix-map" not in _everything(one)
    # Another path, other flags, and a cache in which the user's own uv left what it compiled.
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "elsewhere" / "uv"))
    monkeypatch.setenv("CFLAGS", "-O0 -DX=1")
    sample, sdist = with_sdist(tmp_path / "elsewhere" / "two")
    lines = f"--no-index\n--find-links {sdist.parent}\n{pinned(sdist)}"
    (tmp_path / "own.txt").write_text(lines)
    uv("venv", "own", cwd=tmp_path)
    own = ("--prefix", tmp_path / "own")
    run_uv = Uv(run, DATE + 1)
    run_uv("pip", "sync", *own, tmp_path / "own.txt", cwd=tmp_path)
    (tmp_path / "t" / "mp").mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "t" / "mp"))
    two = sample.build()
    assert one.path.read_bytes() == two.path.read_bytes()


@pytest.mark.acceptance
def test_an_application_of_c_code_is_the_same_bytes_too(
    with_sdist, sample_in: Callable[..., Sample], tmp_path: Path, tag: str
) -> None:
    debs = []
    for place in ("one", "another/place"):
        sample = sample_in(tmp_path / place)
        sdist = make_sdist(tmp_path / place, "tinyc", tag)
        project = unpack(sdist, tmp_path / place)
        (project / "requirements.txt").touch()
        app = replace(sample.app, directory=project, build=BuildSettings(), services=())
        debs.append(sample.build(app))
    assert debs[0].path.read_bytes() == debs[1].path.read_bytes()
    assert "zlib1g" in _depends(debs[0])


@pytest.mark.acceptance
def test_what_a_wheel_is_built_with_needs_a_hash(
    with_sdist, tmp_path: Path, uv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")  # a narrow terminal folds what uv says
    sample, _ = with_sdist(tmp_path / "app", requires=("lib_b",))
    backend = sample.app.directory / "wheels" / "lib_b-1.0-py3-none-any.whl"
    assert sample.build().path.exists()  # the lock names it, though for another reason

    sample, _ = with_sdist(tmp_path / "other", requires=("lib_tool",))
    tool = make_wheel(sample.app.directory / "wheels", "lib_tool")
    with pytest.raises(Refused, match="nothing names the hash of lib-tool") as raised:
        sample.build()
    assert "echo lib-tool | uv pip compile" in (raised.value.hint or "")
    named = sample.app.directory / "build-requirements.txt"
    named.write_text(pinned(backend))
    with pytest.raises(Refused, match=r"build-requirements\.txt: nothing names") as raised:
        sample.build()
    # What it names already is not to be lost.
    assert "write lib-tool into build-requirements.in, beside" in (raised.value.hint or "")
    named.write_text(pinned(tool))
    assert sample.build().path.exists()
    named.write_text("lib_tool==1.0\n")
    with pytest.raises(Refused, match=r'build-requirements\.txt:1: "lib_tool==1\.0" has no hash'):
        sample.build()


@pytest.mark.acceptance
@pytest.mark.parametrize("kind", ["uv.lock", "pylock.toml"])
def test_a_project_is_built_by_what_its_lock_names(
    grouped: Sample, uv: Callable[..., None], kind: str
) -> None:
    folder = grouped.app.directory
    system = '[build-system]\nrequires = ["lib-dev"]\nbuild-backend = "lib_dev"\n'
    project = folder / "pyproject.toml"
    project.write_text(system + project.read_text())
    made = next((folder / "dist").glob("tiny*.whl")).rename(folder / "tiny.bin")
    code = (
        "import pathlib, shutil\n"
        "def build_wheel(out, config=None, metadata=None):\n"
        f"    name = {'tiny-1.0-py3-none-any.whl'!r}\n"
        f"    shutil.copy({str(made)!r}, pathlib.Path(out) / name)\n"
        "    return name\n"
    )
    make_wheel(folder / "wheels", "lib_dev", files={"lib_dev/__init__.py": code})
    if kind == "uv.lock":
        uv("lock", cwd=folder)
    else:
        _pylock(folder)
    built = grouped.with_build(wheel=None)
    assert "lib_dev" not in _installed(grouped.build(built))
    project.write_text(
        project.read_text().replace('requires = ["lib-dev"]', 'requires = ["lib-x"]')
    )
    make_wheel(folder / "wheels", "lib_x")
    with pytest.raises(Refused, match="nothing names the hash of lib-x") as raised:
        grouped.build(built)
    assert ("uv add --group build lib-x" in (raised.value.hint or "")) is (kind == "uv.lock")


def test_a_local_file_has_no_hash_in_a_uv_lock(grouped: Sample, uv: Callable[..., None]) -> None:
    project = grouped.app.directory / "pyproject.toml"
    local = '[tool.uv]\nno-index = true\nfind-links = ["wheels"]\n'
    project.write_text(project.read_text().partition("[[tool.uv")[0] + local)
    uv("lock", cwd=grouped.app.directory)
    with pytest.raises(Refused, match=r'uv\.lock: "lib-a" has no hash'):
        grouped.build()


@pytest.mark.acceptance
def test_code_that_does_not_compile(with_sdist, tmp_path: Path) -> None:
    sample, _ = with_sdist(tmp_path / "app", declarations="#include <no/such/header.h>")
    with pytest.raises(Failed, match=r"no/such/header\.h: No such file") as raised:
        sample.build()
    assert "[build] needs" in (raised.value.hint or "")


# What is for others.

FOREIGN = {
    "another Python": "cp39-cp39-manylinux_2_17_x86_64",
    "another architecture": "{python}-{python}-manylinux_2_17_s390x",
    "a newer libc": "{python}-{python}-manylinux_2_99_x86_64",
}


@pytest.mark.parametrize(
    ("case", "kind"),
    [("another Python", "requirements.txt"), *((case, "pylock.toml") for case in FOREIGN)],
)
def test_a_wheel_for_others_is_refused(
    sample: Sample, release: Release, case: str, kind: str
) -> None:
    folder = sample.app.directory
    python = "cp" + release.python.replace(".", "")
    make_wheel(folder / "wheels", "lib_c", tag=FOREIGN[case].format(python=python))
    if kind == "requirements.txt":
        lock_wheels(folder, *sorted((folder / "wheels").glob("*.whl")))
    else:
        (folder / "requirements.txt").unlink()
        _pylock(folder)
    with pytest.raises(Refused) as raised:
        sample.build()
    what = f"lib-c(==1.0)? has no file for Python {release.python} on {sample.machine}"
    assert re.search(what, raised.value.message), raised.value.message
    assert (raised.value.hint or "").endswith("--upgrade-package lib-c")
    assert not sample.output.exists()


def test_a_wheel_for_a_newer_python_is_refused(
    sample: Sample, release: Release, index: PrivateIndex
) -> None:
    make_wheel(sample.app.directory / "wheels", "lib_c", python=">=3.99")
    _as_requirements(sample, index.url_with_password)
    with pytest.raises(Refused, match=r"requirements\.txt: lib-c wants Python>=3\.99") as raised:
        sample.build()
    assert f"{release.codename} has {release.python}" in raised.value.message
    assert f"--universal --python-version {release.python}" in (raised.value.hint or "")
    assert not sample.output.exists()


# Libraries that Debian does not have.


def _library(folder: Path, name: str) -> Path:
    """Compile an empty shared library."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "empty.c").write_text("int nothing(void) { return 0; }\n")
    path = folder / name
    run(["cc", "-shared", "-fPIC", f"-Wl,-soname,{name}", folder / "empty.c", "-o", path])
    return path


def _needing(sample: Sample, library: Path, tag: str, **more: bytes) -> None:
    """Put a wheel into the lock whose module needs a library."""
    module = library.with_name("module.so")
    link = ("-Wl,--no-as-needed", library, "-o", module)
    run(["cc", "-shared", "-fPIC", library.with_name("empty.c"), *link])
    files = {"lib_gpu/module.so": module.read_bytes(), **more}
    make_wheel(sample.app.directory / "wheels", "lib_gpu", files=files, tag=tag)
    lock_wheels(sample.app.directory, *sorted((sample.app.directory / "wheels").glob("*.whl")))


@pytest.mark.acceptance
def test_a_library_that_no_package_here_holds(sample: Sample, tag: str, tmp_path: Path) -> None:
    library = _library(tmp_path / "made", "libfarcuda.so.1")
    _needing(sample, library, tag)
    with pytest.raises(Refused, match=r"module\.so needs libfarcuda\.so\.1, which is in no") as no:
        sample.build()
    assert 'ignore_libraries = ["libfarcuda.so.1"]' in (no.value.hint or "")
    deb = sample.build(sample.with_build(ignore_libraries=("libfarcuda.so.1",)))
    assert "cuda" not in _depends(deb)


@pytest.mark.acceptance
def test_a_library_that_another_wheel_brings(sample: Sample, tag: str, tmp_path: Path) -> None:
    library = _library(tmp_path / "made", "libfarcuda.so.1")
    brings = {"far/lib/libfarcuda.so.1": library.read_bytes()}
    make_wheel(sample.app.directory / "wheels", "far", files=brings, tag=tag)
    _needing(sample, library, tag)
    assert sample.build().path.exists()
