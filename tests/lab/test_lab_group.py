import os
from pathlib import Path

import pytest

from debship.errors import Failed
from debship.lab.group import Group, Process, alive, hierarchies, process
from debship.lab.mounts import below, remove_tree
from debship.lab.needs import check_machine
from debship.run import spawn


def test_a_process_is_known_by_its_start_too(tmp_path: Path) -> None:
    child = spawn(["sleep", "60"], log=tmp_path / "log")
    known = process(child.pid)
    assert known is not None
    assert alive(known)
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    assert abs(known.start / os.sysconf("SC_CLK_TCK") - uptime) < 5
    assert not alive(Process(known.pid, known.start - 1))
    child.process.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, not yet buried
    assert not alive(known)
    child.process.wait()
    assert not alive(known)
    assert not alive(None)


def test_hybrid_and_pure_layouts_of_control_groups() -> None:
    hybrid = (
        "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n"
        "cgroup /sys/fs/cgroup/pids cgroup rw,relatime,pids 0 0\n"
        "cgroup /sys/fs/cgroup/systemd cgroup rw,relatime,name=systemd 0 0\n"
        "cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n"
    )
    assert hierarchies(hybrid) == (
        Path("/sys/fs/cgroup/unified"),
        Path("/sys/fs/cgroup/systemd"),
    )
    assert hierarchies("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n") == (Path("/sys/fs/cgroup"),)
    assert hierarchies("tmpfs /tmp tmpfs rw 0 0\n") == ()


def test_who_cannot_join_the_group_does_not_start(tmp_path: Path) -> None:
    words = Group((tmp_path / "gone",)).around(["touch", tmp_path / "started"])
    assert spawn(words, log=tmp_path / "log").process.wait() != 0
    assert not (tmp_path / "started").exists()


def test_who_joins_becomes_the_command(tmp_path: Path) -> None:
    (tmp_path / "group").mkdir()
    child = spawn(
        Group((tmp_path / "group",)).around(["printf", "%s|", "a b", "--", "c"]),
        log=tmp_path / "log",
    )
    assert child.process.wait() == 0
    assert (tmp_path / "log").read_text() == "a b|--|c|"
    assert (tmp_path / "group/cgroup.procs").read_text() == f"{child.pid}\n"


def test_a_mount_below_a_folder_is_seen() -> None:
    mountinfo = (
        "36 35 98:0 / /var/lib/lab/a\\040b rw - overlay overlay rw\n"
        "37 35 98:0 / /var/lib/laboratory rw - ext4 /dev/x rw\n"
    )
    assert below(Path("/var/lib/lab"), mountinfo) == (Path("/var/lib/lab/a b"),)


def test_a_folder_goes_and_what_is_not_there_may_stay_away(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    for _ in range(2):
        remove_tree(tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_folder_with_a_mount_in_it_stays() -> None:
    with pytest.raises(Failed, match=r"/proc is still mounted, so /proc stays"):
        remove_tree(Path("/proc"))


@pytest.mark.skipif(os.geteuid() != 0, reason="says first that it needs root")
def test_a_machine_that_lacks_something_says_what_installs_it(monkeypatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Failed, match="lacks systemd-nspawn, haproxy") as raised:
        check_machine()
    assert raised.value.hint.startswith("apt-get install")
    assert " systemd-container" in raised.value.hint
