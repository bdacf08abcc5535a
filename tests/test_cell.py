"""What runs in a cell sees the release and what it is shown, and leaves nothing."""

import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from debship.cell import Cell, open_cell
from debship.cell.overlay import Overlay
from debship.cell.shows import Show, mounts
from debship.cli.cache import cache_folder
from debship.debian.releases import release
from debship.errors import Failed, Refused
from debship.roots import clean_root
from debship.run import run, spawn

ON_A_ROOT = pytest.mark.acceptance
ROOTS = cache_folder() / "roots"
PACKAGES = ("python3.13", "binutils", "dpkg-dev", "python3")  # of a build: a root that is there


def test_what_lies_in_another_is_mounted_after_it(tmp_path: Path) -> None:
    shows = [
        Show(Path("/srv/a b"), "dropped"),
        Show(Path("/srv"), "kept"),
        Show(Path("/etc/ssl/certs")),
    ]
    rows = [line.split() for line in mounts(shows, Path("/layer")).splitlines()]
    assert [row[1] for row in rows[4:]] == ["/run", "/etc/ssl/certs", "/srv", "/srv/a\\040b"]
    assert [row[3].partition("=")[0] for row in rows[5:]] == ["bind,ro", "bind", "lowerdir"]
    assert all(len(row) == 6 for row in rows)


@pytest.mark.parametrize("path", ["/", "/usr", "/etc", "/usr/lib", "/lib64"])
def test_the_releases_own_folders_are_not_hidden(path: str, tmp_path: Path) -> None:
    with (
        pytest.raises(Refused, match="cannot be seen in a root"),
        open_cell(
            tmp_path,
            name="trixie",
            layer=tmp_path / "layer",
            show=[Show(Path(path), "dropped")],
            environment={},
            variables={},
            run=run,
        ),
    ):
        pass


@pytest.fixture(scope="module")
def root() -> Path:
    return clean_root(release("trixie"), PACKAGES, run=run, cache=ROOTS, say=lambda _: None)


@contextlib.contextmanager
def opened(root: Path, folder: Path, *show: Show, **environment: str) -> Iterator[Cell]:
    with open_cell(
        root,
        name="trixie",
        layer=folder / "layer",
        show=show,
        environment={"HOME": "/home/ann", **environment},
        variables={"SET": "here"},
        run=run,
    ) as cell:
        yield cell


@ON_A_ROOT
def test_a_program_sees_the_release_and_what_it_is_shown(root: Path, tmp_path: Path) -> None:
    source, kept = tmp_path / "source", tmp_path / "kept"
    for folder in (source, kept):
        folder.mkdir()
        (folder / "old").write_text("old\n")
    (tmp_path / "hidden").touch()
    with opened(root, tmp_path, Show(source, "dropped"), Show(kept, "kept")) as cell:
        assert cell(["python3", "-V"]).text.startswith("Python 3.13")
        script = (
            f"pwd; cat old; echo new >old; echo new >dist; echo new >{kept}/new; echo $HOME $SET;"
            "echo mine >/etc/mine; id -u; cat"
        )
        done = cell(["sh", "-c", script], cwd=source, stdin=b"input")
        assert done.text.splitlines() == [str(source), "old", "/home/ann here", "0", "input"]
        # The process outside sees what the cell sees.
        inner = cell.root / source.relative_to("/")
        assert (inner / "old").read_text() == (inner / "dist").read_text() == "new\n"
        assert not (cell.root / (tmp_path / "hidden").relative_to("/")).exists()
        assert len(cell(["sh", "-c", "ls -d /proc/[0-9]*"]).text.splitlines()) < 6
        # Nobody in it can move the machine's processes about.
        assert cell(["ls", "/sys/fs/cgroup"]).text == ""
    assert (source / "old").read_text() == "old\n"
    assert not (source / "dist").exists()
    assert (kept / "new").read_text() == "new\n"
    assert not (root / "etc/mine").exists()
    assert not Path("/etc/mine").exists()
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


@ON_A_ROOT
@pytest.mark.skipif(os.geteuid() != 0, reason="it mounts, as a container's engine does")
def test_in_a_container_on_an_overlay_the_layer_is_in_memory(root: Path, tmp_path: Path) -> None:
    for name in ("lower", "upper", "work", "container"):
        (tmp_path / name).mkdir()
    container = tmp_path / "container"
    folders = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    run(["mount", "-t", "overlay", "-o", folders, "overlay", container])
    try:
        source = container / "source"
        source.mkdir()
        (source / "old").write_text("old\n")
        with opened(root, container, Show(source, "dropped")) as cell:
            done = cell(["sh", "-c", "cat old; echo new >old; echo x >/etc/mine"], cwd=source)
            assert done.text == "old"
            assert (cell.root / "etc/mine").read_text() == "x\n"
        assert (source / "old").read_text() == "old\n"
        assert sorted(path.name for path in container.iterdir()) == ["source"]
    finally:
        run(["umount", container])


@ON_A_ROOT
def test_certificates_and_settings_come_along(root: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / ".config/uv").mkdir(parents=True)
    (home / ".config/uv/uv.toml").write_text("")
    (home / ".ssh").mkdir()
    (home / ".netrc").write_text("machine index.example login ann password p\n")
    (tmp_path / "company.pem").write_text("trust\n")
    certificates = str(tmp_path / "company.pem")
    with opened(root, tmp_path, HOME=str(home), SSL_CERT_FILE=certificates) as cell:
        assert cell(["cat", certificates]).text == "trust"
        assert sorted(cell(["ls", "-A", home]).text.split()) == [".config", ".netrc"]
        resolver = Path("/etc/resolv.conf").read_text().rstrip("\n")
        assert cell(["cat", "/etc/resolv.conf"]).text == resolver
        with pytest.raises(Failed, match="Read-only"):
            cell(["sh", "-c", f"echo x >{certificates}"])


@ON_A_ROOT
def test_a_cell_without_an_environment_knows_no_secret(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_PASSWORD", "secret")
    with opened(root, tmp_path) as cell:
        assert "DB_PASSWORD=secret" in cell(["env"]).text.splitlines()
    with open_cell(
        root,
        name="trixie",
        layer=tmp_path / "clean",
        show=[],
        environment=None,
        variables={},
        run=run,
    ) as cell:
        names = {line.partition("=")[0] for line in cell(["env"], env={"X": "1"}).text.splitlines()}
        assert names == {"PATH", "HOME", "X", "LC_ALL", "DEBIAN_FRONTEND", "SYSTEMD_LOG_COLOR"}
        assert cell(["sh", "-c", "echo $HOME; ls -A $HOME"]).text.split()[0] == "/root"
        assert ".netrc" not in cell(["ls", "-A", "/root"]).text


@ON_A_ROOT
def test_a_failure_says_whose_it_is(root: Path, tmp_path: Path) -> None:
    with opened(root, tmp_path) as cell:
        with pytest.raises(Failed) as raised:
            cell(["sh", "-c", "echo why >&2; exit 3"])
        assert raised.value.message == (
            "in a root of trixie: sh exited with 3: sh -c 'echo why >&2; exit 3'\n  why"
        )
        with pytest.raises(
            Failed, match="gcc is not installed in a clean root of trixie"
        ) as raised:
            cell(["gcc", "x.c"])
        assert "[build] needs" in (raised.value.hint or "")
        with pytest.raises(Failed, match=r"^sleep did not end within 0\.2 s: sleep 60 "):
            cell(["sleep", "60"], timeout=0.2)
        with pytest.raises(Failed, match="was ended by SIGKILL"):
            cell(["sh", "-c", "kill -9 $$"])
        assert cell(["sh", "-c", "exit 4"], check=False).returncode == 4


@ON_A_ROOT
def test_programs_of_the_machine_may_lie_anywhere(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("setpriv", "unshare", "sh", "mount", "chroot", "nsenter", "env", "cp"):
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with opened(root, tmp_path) as cell:
        assert cell(["true"]).returncode == 0


@ON_A_ROOT
def test_what_still_runs_ends_with_the_cell(root: Path, tmp_path: Path) -> None:
    mark = f"9{os.getpid()}"
    with opened(root, tmp_path) as cell:
        cell(["sh", "-c", f"setsid sleep {mark} >/dev/null 2>&1 &"])
        while not _running(mark):
            time.sleep(0.01)
    assert not _running(mark)


MAKER = """
import sys, time
from pathlib import Path
from debship.cell import open_cell
from debship.cell.shows import Show
from debship.run import run
root, folder = map(Path, sys.argv[1:3])
with open_cell(root, name="trixie", layer=folder / "layer", show=[], environment={},
               variables={}, run=run) as cell:
    cell(["sh", "-c", "sleep " + sys.argv[3]])
"""


@ON_A_ROOT
def test_a_killed_maker_leaves_no_process_and_no_mount(root: Path, tmp_path: Path) -> None:
    mark = f"8{os.getpid()}"
    maker = spawn([sys.executable, "-c", MAKER, root, tmp_path, mark], log=tmp_path / "log")
    while not _running(mark):
        assert maker.process.poll() is None, (tmp_path / "log").read_text()
        time.sleep(0.01)
    os.kill(maker.pid, signal.SIGKILL)
    maker.process.wait()
    for _ in range(1000):
        if not _running(mark):
            break
        time.sleep(0.01)
    assert not _running(mark)
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


def _running(mark: str) -> bool:
    """Whether a program runs whose last word this is."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if words[0].endswith(b"sleep") and mark.encode() in words:
                return True
    return False


@pytest.mark.parametrize("name", ["a:b", "a,b", "a\\b", 'a"b'])
def test_a_path_that_mount_cannot_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(Refused, match="an overlay's path may have no colon") as raised:
        Overlay(tmp_path / name, tmp_path / "layer").make()
    assert "TMPDIR" in (raised.value.hint or "")
