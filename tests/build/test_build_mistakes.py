"""What a user can cause is told in a line, with the way out, and leaves nothing behind."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from sample import DATE, Sample, make_wheel
from test_build_cli import FILE

from debship.build.installed import Installed
from debship.build.lock_file import lock_table, lock_text, own_parts
from debship.build.places import check_places
from debship.build.plan import Surroundings, plan_build
from debship.build.recipe import check_needs
from debship.build.together import check_folder, made, together
from debship.cli.previous import read_what_hosts_have
from debship.config.app import ExtraFile, RunSettings
from debship.config.app_file import read_app
from debship.errors import DebshipError, Failed, Misused, Refused
from debship.model import PackageName
from debship.run import run

DEBSHIP = Path(sys.executable).with_name("debship")
SCRIPTS = ("tiny-web", "tiny-job")


def _debship(*words: object, cwd: Path | None = None, **env: str) -> tuple[int, str]:
    done = subprocess.run(
        [DEBSHIP, *map(str, words)],
        env={**os.environ, "SOURCE_DATE_EPOCH": str(DATE), **env},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


# Where the package goes.


def _file(folder: Path) -> Path:
    (folder / "file").touch()
    return folder / "file/out"


def _dangling(folder: Path) -> Path:
    (folder / "link").symlink_to("nowhere")
    return folder / "link"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_file, "file/out: .*/file: it is no folder"),
        (lambda folder: _file(folder).parent, "file: it is no folder"),
        (_dangling, "link: it is a link that leads nowhere"),
        (lambda folder: Path("/proc/x/y"), "/proc/x/y: /proc: nothing can be made there: "),
    ],
)
def test_where_no_package_can_go_is_told_before_the_work(
    sample: Sample, tmp_path: Path, make: Callable[[Path], Path], message: str
) -> None:
    output = make(tmp_path)
    with pytest.raises(Refused, match=message):
        check_folder(output)
    with pytest.raises(Refused, match=message):
        sample.build(sample.with_build(test="false"), output=output)


def test_a_folder_that_can_be_made_is_not_made_by_looking(tmp_path: Path) -> None:
    check_folder(tmp_path / "a/b")
    check_folder(tmp_path)
    assert not list(tmp_path.iterdir())


def _refused_beside(file: Path) -> None:
    file.touch()
    raise Refused("x")


def test_a_folder_that_nothing_came_into_goes_again(tmp_path: Path) -> None:
    with pytest.raises(Refused), made(tmp_path / "a/b"):
        raise Refused("x")
    assert not list(tmp_path.iterdir())
    with pytest.raises(Refused), made(tmp_path / "a/b"):
        _refused_beside(tmp_path / "a/file")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["file"]


def _write(folder: Path, *names: str) -> None:
    with together(folder) as files:
        for name in names:
            with files.open(name) as (_, sink):
                sink.write(b"new")
        files.appear(names)


def test_of_files_whose_place_a_folder_holds_none_appears(tmp_path: Path) -> None:
    (tmp_path / "b.deb").mkdir()
    (tmp_path / "a").write_text("older")
    with pytest.raises(Refused, match=r"b\.deb: a folder lies where the file goes"):
        _write(tmp_path, "a", "b.deb", "c")
    assert (tmp_path / "a").read_text() == "older"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b.deb"]


# Locks.


def test_a_lock_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_bytes(b"# a\n# \xe9\n")
    with pytest.raises(Misused, match=r"requirements\.txt:2: not UTF-8"):
        lock_text(tmp_path / "requirements.txt")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-e ../gd", '"-e ../gd" has no hash'),
        ("../gd", '"../gd" has no hash'),
        ("-r nope.txt", "it includes .*nope.txt, which is not there"),
        ("-r https://u:PW@h.example/x.txt", r"includes https://\[hidden\]@h\.example/x\.txt"),
    ],
)
def test_a_lock_is_looked_at_before_anything_runs(sample: Sample, line: str, message: str) -> None:
    (sample.app.directory / "pyproject.toml").write_text('[project]\nname = "tiny"\n')
    (sample.app.directory / "requirements.txt").write_text(f"{line}\n")
    app = sample.with_build(wheel=None, test="touch ran")
    with pytest.raises((Misused, Refused), match=message):
        sample.build(app)
    assert not (sample.app.directory / "ran").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["requirements.txt", "uv.lock", "pylock.toml"])
@pytest.mark.parametrize("built", [False, True])
def test_a_build_of_a_lock_that_is_not_utf8(sample: Sample, name: str, built: bool) -> None:
    (sample.app.directory / name).write_bytes(b"# \xe9\n")
    (sample.app.directory / "pyproject.toml").write_text('[project]\nname = "tiny"\n')
    lock = sample.app.directory / name
    app = sample.with_build(lock=lock, wheel=None if built else "dist/*.whl")
    with pytest.raises(Misused, match=rf"{re.escape(name)}:1: not UTF-8"):
        sample.build(app)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("packages = 3", "packages: expected a list of tables, got int"),
        ("package = [1]", "package: expected a list of tables, got list"),
        ('[[packages]]\nname = "a"\nwheels = 3', r"packages\[0\]\.wheels: expected a list of"),
        ('[[packages]]\nname = "a"\nsdist = 3', r"packages\[0\]\.sdist: expected a table, got int"),
        ("[[packages]]\nwheels = []", r"packages\[0\]\.name: expected a string, got NoneType"),
        ('[[packages]]\nname = "a"\nversion = 1', r"packages\[0\]\.version: expected a string"),
        ('[[packages]]\nname = "a"\nsdist = {hashes = 3}', r"packages\[0\]\.hashes: expected a"),
        ("extras = 3", "extras: expected a list of strings, got int"),
        ("[[", r"pylock\.toml: "),
    ],
)
def test_a_lock_of_another_form(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "pylock.toml").write_text(text)
    with pytest.raises(Misused, match=message):
        lock_table(tmp_path / "pylock.toml")


@pytest.mark.slow
@pytest.mark.parametrize("wheel", [None, "dist/*.whl"])
@pytest.mark.parametrize("text", ["packages = 3", '[[packages]]\nname = "a"\nwheels = 3'])
def test_a_build_of_a_lock_of_another_form(sample: Sample, text: str, wheel: str | None) -> None:
    (sample.app.directory / "pylock.toml").write_text(f'lock-version = "1.0"\n{text}\n')
    (sample.app.directory / "pyproject.toml").write_text('[project]\nname = "tiny"\n')
    with pytest.raises(Misused, match=r"pylock\.toml: packages"):
        sample.build(sample.with_build(wheel=wheel, lock=sample.app.directory / "pylock.toml"))


@pytest.mark.parametrize("key", ["name", "version"])
def test_a_name_that_files_cannot_bear(tmp_path: Path, key: str) -> None:
    about = {"name": "tiny", "summary": "x", "maintainer": "A <a@b>", "version": "1"}
    about[key] = "1" * 101
    lines = "".join(f'{name} = "{value}"\n' for name, value in about.items())
    (tmp_path / "debship.toml").write_text(f"[app]\n{lines}")
    with pytest.raises(Misused, match=f"app.{key}: is too long for names of files"):
        read_app(tmp_path)


def test_a_name_that_dpkg_does_not_take() -> None:
    with pytest.raises(Refused, match=r"'usr/lib/a\\nb': dpkg takes no name with a line break"):
        check_places(["usr/lib/a\nb"])


# All else.


@pytest.mark.slow
def test_a_pattern_that_is_none(sample: Sample) -> None:
    with pytest.raises(Misused, match=r"build\.wheel: \*\*x/\*\.whl: invalid pattern"):
        sample.build(sample.with_build(wheel="**x/*.whl"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"# \xe9\n", "it is not UTF-8"),
        (b"{{ 1 // 0 }}\n", "division"),
        (b"{% if %}", "Expected"),
        (b"{{ servic }}", "'servic' is undefined"),
    ],
)
def test_a_template_that_cannot_be_rendered(sample: Sample, content: bytes, message: str) -> None:
    folder = sample.app.directory / "templates/package"
    folder.mkdir(parents=True)
    (folder / "copyright").write_bytes(content)
    with pytest.raises(DebshipError, match=f"template package/copyright: .*{message}") as caught:
        sample.build(sample.with_build(templates=folder.parent))
    assert caught.value.hint == f"the file is {folder / 'copyright'}"
    assert not sample.output.exists()


def test_a_date_that_no_package_can_have(sample: Sample) -> None:
    with pytest.raises(Misused, match="SOURCE_DATE_EPOCH: 99999999999999999 is later than"):
        sample.build(source_date_epoch=99999999999999999)


@pytest.mark.slow
def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    script = 'cd "$1" && rmdir "$1" && exec "$2" build'
    done = subprocess.run(
        ["sh", "-c", script, "sh", tmp_path / "gone", DEBSHIP],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: the folder that this was called in is gone\nhint: ")


@pytest.mark.slow
def test_the_language_of_the_shell_changes_no_byte(sample: Sample, tmp_path: Path) -> None:
    text = FILE.replace("Tiny service", "Tïny service")
    (sample.app.directory / "debship.toml").write_text(text, "utf-8")
    built = []
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for number, env in enumerate(({}, plain)):
        words = ("build", sample.app.directory, "--output", tmp_path / str(number), "--level", "3")
        code, said = _debship(*words, DEBSHIP_CACHE=str(tmp_path / f"cache{number}"), **env)
        assert code == 0, said
        built.append((tmp_path / str(number) / "tiny_1.0-1_all.deb").read_bytes())
    assert built[0] == built[1]


@pytest.mark.slow
@pytest.mark.parametrize("script", ["preinst", "postinst", "prerm", "postrm"])
def test_a_script_of_comments_alone(sample: Sample, tmp_path: Path, script: str) -> None:
    snippet = tmp_path / "snippet.sh"
    snippet.write_text("#!/bin/sh\n\n# Nothing yet.\n  # Or later.\n")
    deb = sample.build(replace(sample.app, scripts=((script, snippet),)))
    assert "# Nothing yet." in run(["dpkg-deb", "-I", deb.path, script]).text


UV_LOCK = """\
version = 1
revision = 3
requires-python = ">=3.9"

[[package]]
name = "tiny"
version = "1.0"
source = { virtual = "." }

[package.metadata]
provides-extras = ["redis"]

[package.metadata.requires-dev]
docs = []
"""
PROJECT = """\
[project]
name = "tiny"
version = "1.0"
requires-python = ">=3.9"
[project.optional-dependencies]
redis = []
[dependency-groups]
docs = []
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"extras": ("rediss",)}, r'build\.extras: uv\.lock has no "rediss"; it has redis'),
        ({"groups": ("doc",)}, r'build\.groups: uv\.lock has no "doc"; it has docs'),
    ],
)
def test_a_part_that_the_lock_of_uv_has_not(sample: Sample, settings, message: str) -> None:
    folder = sample.app.directory
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "uv.lock").write_text(UV_LOCK)
    with pytest.raises(Misused, match=message):
        sample.build(sample.with_build(lock=folder / "uv.lock", **settings))
    assert own_parts(folder / "uv.lock") == (["redis"], ["docs"])


@pytest.mark.parametrize("given", ["", " ", "dist/tiny_1.0-1_all", "./stable", "tiny.deb.xz/"])
def test_what_is_neither_a_package_nor_a_suite(sample: Sample, given: str) -> None:
    with pytest.raises(Misused, match=f'--previous: "{given}" is neither a .deb nor the name'):
        read_what_hosts_have(given, None, sample.app, [sample.release], sample.machine)


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ('[app]\nsummary = "x \\\\"', "app.summary"),
        ('[[service]]\nexec = "x"\nunit = { Nice = "5\\\\" }', r"service\[0\].unit.Nice"),
        (
            '[[service]]\nexec = "x"\nunit = { Environment = ["A=1", "B=2\\\\"] }',
            r"service\[0\].unit.Environment\[1\]",
        ),
    ],
)
def test_what_would_swallow_the_next_line_of_a_unit(tmp_path: Path, more: str, where: str) -> None:
    about = '[app]\nname = "tiny"\nmaintainer = "A <a@b>"\n'
    summary = "" if "summary" in more else 'summary = "x"\n'
    text = more.replace("[app]\n", about) if "[app]" in more else f"{about}{summary}{more}"
    (tmp_path / "debship.toml").write_text(f"{text}\n")
    with pytest.raises(Misused, match=f"{where}: ends in a backslash"):
        read_app(tmp_path)


# Where its result goes.


@pytest.mark.parametrize(
    ("stdout", "code", "told"),
    [(">/dev/full", 1, "error: what this printed could not be written: No space"), (">&-", 0, "")],
)
@pytest.mark.parametrize("words", ["--help", "build --plan"])
def test_a_result_that_cannot_be_written(
    sample: Sample, stdout: str, code: int, told: str, words: str
) -> None:
    (sample.app.directory / "debship.toml").write_text(FILE)
    line = f"exec {DEBSHIP} {words} {stdout}"
    done = run(["sh", "-c", line], cwd=sample.app.directory, check=False)
    said = done.stderr.decode()
    assert (done.returncode, said[: len(told)]) == (code, told)
    assert "Traceback" not in said
    assert "Exception ignored" not in said


# What uv and commands say.


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("requirements.txt", "lib-a==1 --hash=sha256:zz\n"),
        ("requirements.txt", f"!!! lib-a --hash=sha256:{'0' * 64}\n"),
        ("requirements.txt", f"lib-a>=1 --hash=sha256:{'0' * 64}\n"),
        ("pylock.toml", 'lock-version = "2.0"\ncreated-by = "x"\npackages = []\n'),
        ("uv.lock", "version = 99\n"),
        ("uv.lock", "version = 1\n"),
    ],
)
def test_what_uv_cannot_read_is_no_lock(sample: Sample, name: str, text: str) -> None:
    folder = sample.app.directory
    (folder / "requirements.txt").unlink()
    (folder / "pyproject.toml").write_text('[project]\nname = "tiny"\nversion = "1"\n')
    (folder / name).write_text(text)
    with pytest.raises(
        Misused, match=f"/{re.escape(name)}: uv cannot take it as a lock\n"
    ) as raised:
        sample.build()
    assert (raised.value.hint or "").startswith("uv ")


def test_a_command_that_fails_is_named(sample: Sample) -> None:
    with pytest.raises(Failed, match=r"^build\.test: false exited with 1: false$"):
        sample.build(sample.with_build(test="false"))
    with pytest.raises(
        Failed, match=r"^build\.command: no-such is not installed on this machine$"
    ) as raised:
        sample.build(sample.with_build(command="no-such -q"))
    assert (raised.value.hint or "").endswith("uv run --frozen no-such")


# What a build needs.


def test_what_provides_a_need_meets_it(sample: Sample) -> None:
    python = f"python{sample.release.python}"
    files = frozenset({"requirements.txt"})
    around = Surroundings(sample.machine, files, source_date_epoch=DATE)
    plan = plan_build(sample.with_build(needs=("awk", "gcc")), sample.release, around)
    there = [_installed(python), _installed("mawk", "awk"), _installed("gcc")]
    check_needs(plan, there)
    with pytest.raises(Refused, match="this machine lacks what the build needs: awk") as raised:
        check_needs(plan, [there[0], there[2]])
    assert raised.value.hint == "apt-get install awk"
    with pytest.raises(
        Failed, match="a clean root lacks what it was made with: awk, gcc"
    ) as failed:
        check_needs(plan, there[:1], Path("/proc/1/root"))
    assert "debship cache --clear" in (failed.value.hint or "")


@pytest.mark.parametrize("name", ["dpkg", "coreutils", "libc6", "python3"])
def test_a_package_that_every_host_has_is_not_replaced(sample: Sample, name: str) -> None:
    with pytest.raises(Refused, match=rf"app\.name: {name} is a package of Debian that every host"):
        sample.build(replace(sample.app, name=PackageName(name), services=()))
    assert not sample.output.exists()


@pytest.mark.parametrize("where", ["a command", "a file"])
def test_a_file_that_every_host_has_is_not_written_over(sample: Sample, where: str) -> None:
    """On merged hosts /usr/bin/ls is /bin/ls of coreutils, and dpkg does not see that."""
    make_wheel(sample.app.directory / "dist", "tiny", scripts=("ls", *SCRIPTS))
    if where == "a command":
        app = replace(sample.app, run=RunSettings(commands=("ls",)))
    else:
        file = ExtraFile(PurePosixPath("/usr/bin/ls"), sample.app.directory / "tiny.conf")
        app = replace(sample.app, files=(file,))
    with pytest.raises(Refused, match=r"/usr/bin/ls is Debian's own, on every host"):
        sample.build(app)
    assert not sample.output.exists()


def _installed(name: str, *provides: str) -> Installed:
    return Installed(name, "amd64", "1", essential=False, depends="", provides=provides)
