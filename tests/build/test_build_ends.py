"""How a build ends that cannot: on a full disk, by a signal. Nothing half-written stays."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sample import DATE, Sample, lock_wheels, make_wheel
from test_build_cli import FILE

from debship.build.scratch import held, scratch_folder, sweep
from debship.build.together import together
from debship.run import run

DEBSHIP = Path(sys.executable).with_name("debship")


@pytest.fixture
def folder(sample: Sample) -> Path:
    """The sample beside a wheel of three megabytes that nothing makes smaller."""
    wheels = sample.app.directory / "wheels"
    make_wheel(wheels, "lib_c", files={"lib_c/noise.bin": os.urandom(3_000_000)})
    lock_wheels(sample.app.directory, *sorted(wheels.glob("*.whl")))
    (sample.app.directory / "debship.toml").write_text(FILE)
    return sample.app.directory


@pytest.fixture
def on_small_disk(folder: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Build with a small disk somewhere; it is gone with the namespace that it is mounted in."""

    def build(size: str, *words: object, **env: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "small").mkdir()
        script = (
            'mount -t tmpfs -o size="$1" none "$2" || exit 99; small=$2; shift 2; "$@"; code=$?; '
            'find "$small" -mindepth 1 -printf "left: %p\\n"; exit $code'
        )
        command = ("sh", "-c", script, "sh", size, tmp_path / "small", DEBSHIP, "build", folder)
        return subprocess.run(
            [str(word) for word in ("unshare", "-m", *command, *words)],
            env={**os.environ, "SOURCE_DATE_EPOCH": str(DATE), **env},
            capture_output=True,
            text=True,
            check=False,
        )

    return build


@pytest.mark.acceptance
def test_a_full_disk_where_the_package_goes(on_small_disk, tmp_path: Path) -> None:
    done = on_small_disk("1m", "--output", tmp_path / "small")
    assert done.returncode == 1, done.stderr
    assert "error: a disk is full" in done.stderr
    assert f"1 MB free for the package in {tmp_path}/small" in done.stderr
    assert "hint: make room, or build elsewhere" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.acceptance
@pytest.mark.parametrize("size", ["200k", "2m", "4m", "5m"])
def test_a_full_disk_where_the_build_works(
    on_small_disk, folder: Path, tmp_path: Path, size: str
) -> None:
    out = tmp_path / "out"
    done = on_small_disk(size, "--output", out, TMPDIR=str(tmp_path / "small"))
    assert done.returncode == 1, done.stderr
    assert "error: a disk is full" in done.stderr
    assert f"free for the build in {tmp_path}/small" in done.stderr
    assert "Traceback" not in done.stderr.partition("free for")[2]
    assert done.stdout == ""
    assert not out.exists() or not list(out.iterdir())


@pytest.mark.acceptance
def test_what_a_killed_build_left_goes_with_the_next(folder: Path, tmp_path: Path) -> None:
    toml, out, temporary = folder / "debship.toml", tmp_path / "out", tmp_path / "tmp"
    temporary.mkdir()
    env = {"TMPDIR": str(temporary), "SOURCE_DATE_EPOCH": str(DATE)}
    kill = """[build]\ntest = "sh -c 'kill -9 $PPID'"\n"""
    toml.write_text(FILE.replace("[build]\n", kill))
    done = run([DEBSHIP, "build", folder, "--output", out], env=env, check=False)
    assert done.returncode == -9
    assert len(list(temporary.glob("debship-build-*"))) == 1
    assert not out.exists()
    toml.write_text(FILE)
    run([DEBSHIP, "build", folder, "--output", out], env=env)
    assert not list(temporary.glob("debship-build-*"))
    assert len(list(out.glob("*.deb"))) == 1


@pytest.mark.acceptance
@pytest.mark.parametrize(
    ("number", "code", "step"),
    [
        (signal.SIGINT, 130, "installing"),
        (signal.SIGINT, 130, "packing lib-c"),
        (signal.SIGTERM, 143, "packing lib-c"),
        (signal.SIGHUP, 129, "building"),
    ],
)
def test_a_signal_leaves_nothing(
    folder: Path, tmp_path: Path, number: int, code: int, step: str
) -> None:
    wheels = folder / "wheels"
    make_wheel(wheels, "lib_c", files={"lib_c/noise.bin": os.urandom(20_000_000)})
    lock_wheels(folder, *sorted(wheels.glob("*.whl")))
    out, temporary, cache = tmp_path / "out", tmp_path / "tmp", tmp_path / "cache"
    temporary.mkdir()
    # As from a terminal: what a shell began in the background ignores Ctrl-C, and so would this.
    heard = ("env", "--default-signal=INT,HUP")
    process = subprocess.Popen(
        [*heard, DEBSHIP, "build", folder, "--output", out],
        env={**os.environ, "TMPDIR": str(temporary), "DEBSHIP_CACHE": str(cache)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert any(step in line for line in process.stderr)
    process.send_signal(number)
    said = process.stderr.read()
    assert process.wait() == code, said
    assert "Traceback" not in said
    assert not list(temporary.iterdir())
    assert not out.exists() or not list(out.iterdir())
    assert not [path for path in cache.rglob("*") if path.name.startswith(".")]


def test_a_build_that_runs_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "debship-build-dead" / "root").mkdir(parents=True)
    (tmp_path / "others").mkdir()
    with scratch_folder(tmp_path) as mine:
        assert sorted(path.name for path in tmp_path.iterdir()) == [mine.name, "others"]
        with scratch_folder(tmp_path) as other:
            assert mine.exists()
            assert other != mine
    assert [path.name for path in tmp_path.iterdir()] == ["others"]


def test_of_files_that_a_killed_build_had_not_finished_nothing_stays(tmp_path: Path) -> None:
    (tmp_path / "whole_1.0-1_all.deb").write_text("whole")
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from debship.build.together import together\n"
        "with together(Path(sys.argv[1])) as files, files.open('half.deb') as (_, sink):\n"
        "    sink.write(b'half'); sink.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert run([sys.executable, "-c", code, tmp_path], check=False).returncode == -9
    assert len(list(tmp_path.iterdir())) == 2
    assert [path.name for path in tmp_path.glob("*.deb")] == ["whole_1.0-1_all.deb"]
    with together(tmp_path) as files:
        with files.open("new.deb") as (hidden, sink):
            sink.write(b"new")
        with together(tmp_path):  # another build
            assert hidden.exists()
        files.appear(["new.deb"])
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["new.deb", "whole_1.0-1_all.deb"]


def test_a_link_of_a_stranger_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "debship-build-x").symlink_to(tmp_path / "precious")
    sweep(tmp_path, "debship-build-*")
    assert (tmp_path / "precious").exists()
    file = tmp_path / "file"
    file.touch()
    with held(file):
        sweep(tmp_path, "file")
        assert file.exists()
    sweep(tmp_path, "file")
    assert not file.exists()
