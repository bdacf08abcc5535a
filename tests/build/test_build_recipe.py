"""A package is built from wheels made here, and looked at with Debian's own tools."""

import base64
import csv
import hashlib
import io
import marshal
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sample import DATE, Sample, lock_wheels, make_wheel

from debship.config.app import ConfigFile, Service
from debship.debian.releases import Release
from debship.errors import DebshipError, Failed, Misused, Refused
from debship.model import Deb
from debship.run import run

pytestmark = pytest.mark.slow

MakeSample = Callable[..., Sample]


def _tar(deb: Deb) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(run(["dpkg-deb", "--fsys-tarfile", deb.path]).stdout))


def _field(deb: Deb, name: str) -> str:
    return run(["dpkg-deb", "-f", deb.path, name]).text


def test_the_same_input_is_the_same_bytes(sample_in: MakeSample, tmp_path: Path) -> None:
    one = sample_in(tmp_path / "one").build()
    old, temporary = os.umask(0o077), tempfile.tempdir
    tempfile.tempdir = str(tmp_path / ("t" * 140))  # longer than a first line may be
    Path(tempfile.tempdir).mkdir()
    try:
        two = sample_in(tmp_path / "another" / "place").build()
    finally:
        os.umask(old)
        tempfile.tempdir = temporary
    assert one.path.read_bytes() == two.path.read_bytes()
    assert one.sha256 == hashlib.sha256(two.path.read_bytes()).hexdigest()
    assert two.path.stat().st_mode & 0o777 == 0o644
    assert two.size == two.path.stat().st_size


def test_a_dependency_does_not_see_the_application_change(
    sample_in: MakeSample, tmp_path: Path
) -> None:
    one = sample_in(tmp_path / "one").build()
    two = sample_in(tmp_path / "two", version="1.1").build(source_date_epoch=DATE + 86400)
    assert (str(one.version), str(two.version)) == ("1.0-1", "1.1-1")
    with _tar(one) as mine, _tar(two) as theirs:
        for member in mine.getmembers():
            if "/lib_" in member.name:
                assert theirs.getmember(member.name).tobuf() == member.tobuf()
                if member.isfile():
                    file, other = mine.extractfile(member), theirs.extractfile(member.name)
                    assert file is not None
                    assert other is not None
                    assert file.read() == other.read(), member.name


def test_of_two_wheels_that_bring_one_file_the_last_by_name_wins(
    sample: Sample, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # With an empty cache, uv unpacks in the order in which downloads end.
    sample.cache = None
    names = [f"lib_{letter}" for letter in "cdefgh"]
    for name in names:
        files = {"shared/__init__.py": f"WHO = {name!r}\n"}
        make_wheel(sample.app.directory / "wheels", name, files=files)
    lock_wheels(sample.app.directory, *sorted((sample.app.directory / "wheels").glob("*.whl")))
    path = f"./usr/lib/tiny/lib/python{sample.release.python}/site-packages/shared/__init__.py"
    for turn in range(2):
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / f"cache{turn}"))
        with _tar(sample.build()) as tar:
            file = tar.extractfile(path)
            assert file is not None
            assert file.read() == b"WHO = 'lib_h'\n"


def test_what_the_control_fields_say(deb: Deb, release: Release) -> None:
    assert deb.path.name == "tiny_1.0-1_all.deb"
    assert _field(deb, "Architecture") == "all"
    depends = _field(deb, "Depends").split(", ")
    assert depends[0] == f"python{release.python}"
    assert depends[1:] == ["systemd | systemd-standalone-sysusers | systemd-sysusers"]
    conffiles = run(["dpkg-deb", "-I", deb.path, "conffiles"]).stdout
    assert conffiles == b"/etc/mycompany/tiny/tiny.conf\n"


def test_a_description_is_filled_and_its_lists_are_kept(sample: Sample) -> None:
    text = "word " * 40 + "\n\n  * one\n  * two\n\n\nThe\nend."
    deb = sample.build(replace(sample.app, description=text))
    lines = _field(deb, "Description").splitlines()
    assert all(len(line) < 80 for line in lines)
    assert [line.strip() for line in lines[1:4]] == [
        "word " * 14 + "word",
        "word " * 14 + "word",
        "word " * 9 + "word",
    ]
    assert lines[4:9] == [" .", "   * one", "   * two", " .", " The end."]


def test_installed_size_is_what_debian_counts(deb: Deb, tmp_path: Path) -> None:
    run(["dpkg-deb", "-x", deb.path, tmp_path / "root"])
    kib = 0
    for path in (tmp_path / "root", *(tmp_path / "root").rglob("*")):
        content = path.is_symlink() or path.is_file()
        kib += -(-path.lstat().st_size // 1024) if content else 1
    assert int(_field(deb, "Installed-Size")) == kib


def test_md5sums_name_every_file_but_conffiles(root: Path) -> None:
    run(["md5sum", "--check", "--strict", "--quiet", "DEBIAN/md5sums"], cwd=root)
    lines = (root / "DEBIAN/md5sums").read_text().splitlines()
    files = {
        str(p.relative_to(root)) for p in root.rglob("*") if p.is_file() and not p.is_symlink()
    }
    shipped = {file for file in files if not file.startswith("DEBIAN/")}
    assert {line[34:] for line in lines} == shipped - {"etc/mycompany/tiny/tiny.conf"}


def test_everybody_may_read_and_only_root_may_write(deb: Deb) -> None:
    with _tar(deb) as tar:
        names = [member.name for member in tar]
        assert len(set(names)) == len(names)
        for member in tar:
            assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "root", "root")
            if not member.issym():
                executable = member.isdir() or member.name.startswith("./usr/lib/tiny/bin/")
                assert member.mode == (0o755 if executable else 0o644), member.name
            parent = member.name.rpartition("/")[0]
            assert parent in names[: names.index(member.name)] or parent in ("", ".")


def test_dates_are_the_releases_and_the_applications(deb: Deb, release: Release) -> None:
    with _tar(deb) as tar:
        site = f"./usr/lib/tiny/lib/python{release.python}/site-packages"
        assert tar.getmember(f"{site}/lib_a/deep.py").mtime == release.date
        assert tar.getmember(f"{site}/tiny/app.py").mtime == DATE
        assert tar.getmember("./usr/share/doc/tiny/copyright").mtime == DATE


def test_without_a_date_the_wheel_has_one(sample: Sample) -> None:
    with _tar(sample.build(source_date_epoch=None)) as tar:  # type: ignore[arg-type]
        assert tar.getmember("./usr/share/doc/tiny/copyright").mtime == 1714979290


def test_nothing_of_the_build_is_left(root: Path, deb: Deb) -> None:
    names = [path.name for path in root.rglob("*")]
    for unwanted in ("activate", "pip", "direct_url.json", "uv_cache.json", ".lock", ".gitignore"):
        assert unwanted not in names
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            assert b"debship-" not in content.replace(b"debship-1", b""), path
            assert str(deb.path.parents[1]).encode() not in content, path


def test_scripts_run_in_the_virtualenv_and_their_record_knows_them(
    root: Path, release: Release
) -> None:
    prefix = root / "usr/lib/tiny"
    for script in ("tiny-web", "lib-env"):
        first = (prefix / "bin" / script).read_text().splitlines()[0]
        assert first == "#!/usr/lib/tiny/bin/python"
    assert (prefix / "bin/python").readlink() == Path(f"../../../bin/python{release.python}")
    site = prefix / f"lib/python{release.python}/site-packages"
    checked = 0
    for record in site.glob("*.dist-info/RECORD"):
        for name, digest, size in csv.reader(record.open()):
            content = (site / name).read_bytes()
            if digest:
                expected = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
                # Of a file that two wheels claim, the RECORD of one is wrong; here lib_a's.
                if (record.parent.name, name) == ("lib_a-1.0.dist-info", "shared/__init__.py"):
                    continue
                assert digest == f"sha256={expected.rstrip(b'=').decode()}", name
                assert int(size) == len(content)
                checked += 1
    assert checked > 10


def test_the_virtualenv_works(deb: Deb, release: Release, tmp_path: Path) -> None:
    run(["dpkg-deb", "-x", deb.path, tmp_path])
    python = tmp_path / "usr/lib/tiny/bin/python"
    python.unlink()  # it points four levels up, to a /usr/bin that is not here
    python.symlink_to(f"/usr/bin/python{release.python}")
    code = "import sys, tiny.app, shared; tiny.app.main(); print(sys.prefix, shared.WHO)"
    assert run([python, "-c", code]).text == f"tiny\n{tmp_path}/usr/lib/tiny b"


def test_bytecode_is_trusted_and_names_the_final_path(root: Path, release: Release) -> None:
    site = root / f"usr/lib/tiny/lib/python{release.python}/site-packages"
    tag = release.python.replace(".", "")
    compiled = (site / f"lib_a/__pycache__/deep.cpython-{tag}.pyc").read_bytes()
    assert int.from_bytes(compiled[4:8], "little") == 0b01  # by hash, and never checked (PEP 552)
    assert (
        f"/usr/lib/tiny/lib/python{release.python}/site-packages/lib_a/deep.py".encode() in compiled
    )
    assert not (site / f"lib_a/__pycache__/broken.cpython-{tag}.pyc").exists()
    if release.python == "3.11":
        assert marshal.loads(compiled[16:]).co_filename.startswith("/usr/lib/tiny/")


def test_compiled_wheels_bring_their_dependencies(sample: Sample, release: Release) -> None:
    module = next(Path(f"/usr/lib/python{release.python}/lib-dynload").glob("_ctypes.*.so"))
    tag = "cp" + release.python.replace(".", "")
    wheel = make_wheel(
        sample.app.directory / "wheels",
        "native",
        files={
            f"native/{module.name}": module.read_bytes(),
            "native/foreign.so": b"\x7fELF" + bytes(60),
        },
        tag=f"{tag}-{tag}-linux_{os.uname().machine}",
    )
    wheels = sorted((sample.app.directory / "wheels").glob("*.whl"))
    assert wheel in wheels
    lock_wheels(sample.app.directory, *wheels)
    deb = sample.build()
    assert deb.architecture == sample.machine
    assert "libffi8 (>= " in _field(deb, "Depends")
    assert "libc6 (>= " in _field(deb, "Depends")


def test_an_application_that_the_lock_names(sample: Sample) -> None:
    tiny = next((sample.app.directory / "dist").glob("*.whl"))
    others = sorted((sample.app.directory / "wheels").glob("*.whl"))
    lock_wheels(sample.app.directory, tiny, *others)
    deb = sample.build(sample.with_build(wheel=None, requirement="Tiny==1.0"))
    assert str(deb.version) == "1.0-1"
    with pytest.raises(Refused, match=r'"tiny==2\.0" is wanted, it has tiny 1\.0'):
        sample.build(sample.with_build(wheel=None, requirement="tiny==2.0"))


def test_a_command_builds_the_wheel_after_the_tests(sample: Sample) -> None:
    (sample.app.directory / "dist").rename(sample.app.directory / "made")
    command = "sh -c 'test -e tested && mkdir dist && cp made/*.whl dist && date > dist/$SOURCE_DATE_EPOCH'"
    app = sample.with_build(command=command, wheel=None, test="touch tested")
    assert sample.build(app).path.exists()
    assert (sample.app.directory / f"dist/{DATE}").exists()


def test_a_stale_wheel_beside_the_new_one_is_not_taken(sample: Sample) -> None:
    make_wheel(sample.app.directory / "new", "tiny", "1.1", scripts=("tiny-web", "tiny-job"))
    app = sample.with_build(command="cp new/tiny-1.1-py3-none-any.whl dist")
    assert str(sample.build(app).version) == "1.1-1"
    with pytest.raises(Refused, match="which of them"):
        sample.build(sample.with_build(wheel="dist/*.whl"))


def test_an_application_without_services(sample: Sample, tmp_path: Path) -> None:
    deb = sample.build(replace(sample.app, services=()))
    run(["dpkg-deb", "-R", deb.path, tmp_path / "root"])
    assert not (tmp_path / "root/usr/lib/sysusers.d").exists()
    assert not (tmp_path / "root/DEBIAN/postinst").exists()
    assert "systemd" not in _field(deb, "Depends")


def _unlocked(sample: Sample) -> Sample:
    make_wheel(
        sample.app.directory / "dist",
        "tiny",
        scripts=("tiny-web", "tiny-job"),
        requires=("absent",),
    )
    return sample


def _climbing(sample: Sample) -> Sample:
    lock_wheels(
        sample.app.directory,
        make_wheel(sample.app.directory / "wheels", "lib_a", files={"../../../../../../x": "x"}),
    )
    return sample


def _other_hash(sample: Sample) -> Sample:
    lock = sample.app.directory / "requirements.txt"
    lock.write_text(re.sub(r"sha256:....", "sha256:0000", lock.read_text()))
    return sample


REFUSED = {
    "a script that is not there": (
        lambda s: replace(s.app, services=(Service("tiny", "tiny-wbe"),)),
        'no script "tiny-wbe"',
    ),
    "a lock without what the application needs": (lambda s: _unlocked(s).app, "does not hold what"),
    "a failing test": (lambda s: s.with_build(test="false"), "false exited with 1"),
    "a wheel that is not there": (lambda s: s.with_build(wheel="no/*.whl"), "there is no wheel"),
    "a package that is not installed": (
        lambda s: s.with_build(needs=("no-such-package",)),
        "lacks what the build needs: no-such-package",
    ),
    "a hash that is another's": (lambda s: _other_hash(s).app, "is not what was locked"),
    "a wheel that climbs out": (lambda s: _climbing(s).app, "exited with|outside the virtualenv"),
    "a conffile that is not there": (
        lambda s: replace(
            s.app, configs=(ConfigFile(s.app.configs[0].path, s.app.directory / "gone", False),)
        ),
        "gone: No such file",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_nothing_is_left_of_what_is_refused(sample: Sample, tmp_path: Path, case: str) -> None:
    change, message = REFUSED[case]
    temporary = tempfile.tempdir
    tempfile.tempdir = str(tmp_path / "tmp")
    (tmp_path / "tmp").mkdir()
    try:
        with pytest.raises((Refused, Failed, Misused), match=message) as raised:
            sample.build(change(sample))
        assert isinstance(raised.value, DebshipError)
    finally:
        tempfile.tempdir = temporary
    assert not list((tmp_path / "tmp").iterdir())
    assert not sample.output.exists() or not list(sample.output.iterdir())


def test_an_interrupt_leaves_nothing(
    sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("debship.build.bundle.write_ar", interrupted)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    with pytest.raises(KeyboardInterrupt):
        sample.build()
    assert not list((tmp_path / "tmp").iterdir())
    assert not sample.output.exists()
    shutil.rmtree(tmp_path / "tmp")
