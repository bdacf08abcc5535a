"""A build that finds its layers gives what a build that makes them gives."""

import os
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sample import DATE, Sample, lock_wheels, make_sample, make_wheel

import debship.run
from debship.debian.releases import Release
from debship.errors import Refused
from debship.model import Deb, PackageName
from debship.run import Completed, run

pytestmark = pytest.mark.slow

MakeSample = Callable[..., Sample]


@pytest.fixture
def shared(sample_in: MakeSample, tmp_path: Path) -> MakeSample:
    """Samples that share a cache."""

    def make(name: str, version: str = "1.0") -> Sample:
        sample = sample_in(tmp_path / name, version=version)
        sample.cache = tmp_path / "shared"
        return sample

    return make


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory, release: Release, machine) -> tuple[Deb, Path]:
    """The sample's package, and the cache that is left of its build; not to be changed."""
    sample = make_sample(tmp_path_factory.mktemp("packed") / "app", release, machine)
    sample.cache = sample.output.parent / "cache"
    return sample.build(), sample.cache


@pytest.fixture
def kept(shared: MakeSample, packed: tuple[Deb, Path], tmp_path: Path) -> MakeSample:
    """Samples that share a cache, in which a build of the sample left what it packed."""
    shutil.copytree(packed[1], tmp_path / "shared")
    return shared


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Every program that a build ran."""
    seen: list[tuple[str, ...]] = []

    def spy(argv, **kwargs) -> Completed:
        seen.append((Path(argv[0]).name, *map(str, argv[1:])))
        return run(argv, **kwargs)

    monkeypatch.setattr("sample.run", spy)
    return seen


def _uncached(sample: Sample, app=None) -> Deb:
    kept, sample.cache = sample.cache, sample.output.parent / "no-cache"
    shutil.rmtree(sample.cache, ignore_errors=True)
    try:
        return sample.build(app, output=sample.output.parent / "fresh")
    finally:
        sample.cache = kept


def _programs(ran: list[tuple[str, ...]]) -> set[tuple[str, ...]]:
    return {call[:3] if call[0] == "uv" else call[:1] for call in ran}


def test_a_change_of_the_code_alone_installs_the_code_alone(shared: MakeSample, ran) -> None:
    shared("one").build()
    assert ("uv", "pip", "sync") in _programs(ran)
    ran.clear()
    changed = shared("two", version="1.1")
    deb = changed.build()
    assert ("uv", "pip", "sync") not in _programs(ran)
    assert ("dpkg-shlibdeps",) not in _programs(ran)
    assert deb.sha256 == _uncached(changed).sha256


def test_of_a_changed_lock_what_changed_is_packed(
    kept: MakeSample, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = kept("two")
    folder = changed.app.directory
    wheels = sorted((folder / "wheels").glob("*.whl"))
    lock_wheels(folder, *wheels, make_wheel(folder / "wheels", "lib_c"))
    packed = []
    pack = debship.build.layers.wheel_part
    monkeypatch.setattr(
        "debship.build.layers.wheel_part",
        lambda dist, *rest: packed.append(dist.name) or pack(dist, *rest),
    )
    deb = changed.build()
    assert packed == ["lib-c", "tiny"]
    assert deb.sha256 == _uncached(changed).sha256


def _relock(sample: Sample) -> Sample:
    folder = sample.app.directory
    lock_wheels(folder, *sorted((folder / "wheels").glob("*.whl")))
    return sample


@pytest.fixture
def plain(shared: MakeSample) -> MakeSample:
    """Samples none of whose distributions brings what another brings."""

    def make(name: str) -> Sample:
        sample = shared(name)
        wheels = sample.app.directory / "wheels"
        make_wheel(wheels, "lib_b", files={"lib_b/__init__.py": "WHO = 'b'\n"})
        return _relock(sample)

    return make


def test_of_a_changed_lock_what_is_new_is_installed_alone(plain: MakeSample, ran) -> None:
    plain("one").build()
    changed = plain("two")
    make_wheel(changed.app.directory / "wheels", "lib_c")
    ran.clear()
    deb = _relock(changed).build()
    installs = [call for call in ran if call[:3] == ("uv", "pip", "sync")]
    assert len(installs) == 1
    assert "/some/" in " ".join(installs[0])
    assert deb.sha256 == _uncached(changed).sha256


def test_what_is_new_and_brings_what_is_there_is_installed_with_it(plain: MakeSample) -> None:
    plain("one").build()
    changed = plain("two")
    files = {"lib_b/__init__.py": "WHO = 'rival'\n"}
    make_wheel(changed.app.directory / "wheels", "zz_rival", files=files)
    assert _relock(changed).build().sha256 == _uncached(changed).sha256


def test_of_what_is_new_two_that_bring_one_file_are_installed_with_all(
    plain: MakeSample, ran
) -> None:
    plain("one").build()
    changed = plain("two")
    for name in ("xx_one", "yy_two"):
        make_wheel(changed.app.directory / "wheels", name, files={"both/__init__.py": name})
    ran.clear()
    deb = _relock(changed).build()
    installs = [" ".join(call) for call in ran if call[:3] == ("uv", "pip", "sync")]
    assert ["/some/" in install for install in installs[:2]] == [True, False]
    assert deb.sha256 == _uncached(changed).sha256


def test_a_changed_lock_that_lacks_something_is_refused(plain: MakeSample) -> None:
    plain("one").build()
    changed = plain("two")
    make_wheel(changed.app.directory / "wheels", "lib_c", requires=("nowhere-to-be-found",))
    with pytest.raises(Refused, match="lib-c requires nowhere-to-be-found") as no:
        _relock(changed).build()
    assert "does not hold what the application needs" in no.value.message


def test_a_wheel_of_the_same_record_and_another_hash_is_another(kept: MakeSample) -> None:
    two = kept("two")
    wheel = next((two.app.directory / "wheels").glob("lib_b*.whl"))
    # Someone changed a file and not the RECORD: the lock has another hash, and so it is another.
    content = wheel.read_bytes()
    assert content.count(b"WHO = 'b'") == 1
    patched = content.replace(b"WHO = 'b'", b"WHO = 'x'")
    import zlib

    for old, new in ((b"WHO = 'b'\n", b"WHO = 'x'\n"),):
        patched = patched.replace(
            zlib.crc32(old).to_bytes(4, "little"), zlib.crc32(new).to_bytes(4, "little")
        )
    wheel.write_bytes(patched)
    lock_wheels(two.app.directory, *sorted((two.app.directory / "wheels").glob("*.whl")))
    deb = two.build()
    assert b"WHO = 'x'" in run(["dpkg-deb", "--fsys-tarfile", deb.path]).stdout
    assert deb.sha256 == _uncached(two).sha256


def test_an_application_that_brings_a_file_of_a_dependency(kept: MakeSample) -> None:
    over = kept("two")
    make_wheel(
        over.app.directory / "dist",
        "tiny",
        files={"shared/__init__.py": "WHO = 'tiny'\n"},
        scripts=("tiny-web", "tiny-job"),
        requires=("lib_a", "lib_b"),
    )
    deb = over.build()
    assert b"WHO = 'tiny'" in run(["dpkg-deb", "--fsys-tarfile", deb.path]).stdout
    assert deb.sha256 == _uncached(over).sha256
    # And nothing of it stays for the next, which brings no such file.
    after = kept("three", version="1.2")
    assert after.build().sha256 == _uncached(after).sha256


def test_what_the_application_needs_is_checked_against_kept_layers(kept: MakeSample) -> None:
    greedy = kept("two")
    for needs in ("lib_a>=2", "absent"):
        make_wheel(
            greedy.app.directory / "dist",
            "tiny",
            scripts=("tiny-web", "tiny-job"),
            requires=(needs,),
        )
        with pytest.raises(Refused, match="does not hold what"):
            greedy.build()


def test_a_dependency_may_need_the_application(shared: MakeSample) -> None:
    sample = shared("one")
    folder = sample.app.directory
    plugin = make_wheel(folder / "wheels", "plugin", requires=("tiny<1.1",))
    wheels = {*(folder / "wheels").glob("*.whl"), plugin}
    lock_wheels(folder, *sorted(wheels))
    sample.build()
    next((folder / "dist").glob("*.whl")).unlink()
    make_wheel(folder / "dist", "tiny", "1.1", scripts=("tiny-web", "tiny-job"))
    with pytest.raises(Refused, match="does not hold what"):
        sample.build()


def test_damage_in_the_cache_changes_no_byte(shared: MakeSample, tmp_path: Path) -> None:
    sample = shared("one")
    fresh = sample.build().sha256
    entries = sorted(path for path in (tmp_path / "shared").glob("*/*"))
    assert len(entries) == 3  # the lock, and two layers
    for path in entries:
        content = bytearray(path.read_bytes())
        content[-5] ^= 1
        path.write_bytes(content)
        assert sample.build().sha256 == fresh
        assert path.read_bytes() != bytes(content)
        path.write_bytes(path.read_bytes()[:40])
        assert sample.build().sha256 == fresh


def test_uvs_own_cache_is_left_as_it_was(
    sample: Sample, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    sample.cache = None
    first = sample.build().sha256
    files = [path for path in (tmp_path / "uv").rglob("*") if path.is_file()]
    stamps = {path: (path.read_bytes(), path.stat().st_mode) for path in files}
    assert any(path.name == "RECORD" for path in files)
    shutil.rmtree(sample.output.parent / "cache")
    assert sample.build().sha256 == first
    assert {path: (path.read_bytes(), path.stat().st_mode) for path in stamps} == stamps


OTHERWISE = {
    "another level": lambda s: replace(s, level=9),
    "another place": lambda s: replace(s, app=replace(s.app, name=PackageName("small"))),
    "another compressor": lambda s: replace(s, release=replace(s.release, compression="xz")),
    "another date of the release": lambda s: replace(s, release=replace(s.release, date=DATE)),
}


@pytest.mark.parametrize("case", OTHERWISE)
def test_what_was_packed_for_something_else_is_not_taken(
    kept: MakeSample, packed: tuple[Deb, Path], case: str
) -> None:
    other = OTHERWISE[case](kept("two"))
    deb = other.build()
    assert deb.sha256 == _uncached(other).sha256
    assert deb.sha256 != packed[0].sha256


def test_several_builds_at_once(shared: MakeSample) -> None:
    samples = [shared(f"sample{number}") for number in range(3)]
    with ThreadPoolExecutor(3) as pool:
        digests = set(pool.map(lambda sample: sample.build().sha256, samples))
    assert digests == {_uncached(samples[0]).sha256}


def test_relations_follow_the_libraries_of_this_machine(
    shared: MakeSample, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = shared("native")
    folder = sample.app.directory
    module = next(Path(f"/usr/lib/python{release.python}/lib-dynload").glob("_ctypes.*.so"))
    tag = "cp" + release.python.replace(".", "")
    make_wheel(
        folder / "wheels",
        "native",
        files={f"native/{module.name}": module.read_bytes()},
        tag=f"{tag}-{tag}-manylinux_2_17_{os.uname().machine}",
    )
    lock_wheels(folder, *sorted((folder / "wheels").glob("*.whl")))
    libc, asked = "1", []

    def other_libc(argv, **kwargs) -> Completed:
        done = run(argv, **kwargs)
        if argv[:2] == ["dpkg-query", "--search"]:
            asked.append(libc)
        if argv[:2] == ["dpkg-query", "-W"]:
            text = re.sub(r"(?m)^(libc6\t[^\t]*\t)[^\t]*", rf"\g<1>{libc}", done.text)
            return Completed(done.argv, 0, text.encode(), b"")
        return done

    monkeypatch.setattr("sample.run", other_libc)
    first = sample.build()
    sample.build()
    assert asked == ["1"]
    libc = "2"
    packed = []
    monkeypatch.setattr(
        "debship.build.layers.wheel_part",
        lambda dist, *rest, make=debship.build.layers.wheel_part: (
            packed.append(dist.name) or make(dist, *rest)
        ),
    )
    assert sample.build().sha256 == first.sha256
    assert asked == ["1", "2"]
    assert packed == ["tiny"]  # the bytes of the layer are as they were
    sample.build()
    assert asked == ["1", "2"]
