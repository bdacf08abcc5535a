"""A control group for everything that a lab starts: who is in it is the lab's, no one else.

A process joins before it becomes the program that it is to be, so nothing starts that is not
known, and the kernel ends all of them at once (cgroups(7), cgroup.kill). Without a group of its
own, the systemd of one host would manage the units of another: systemd-nspawn --keep-unit stays
in the group that it is started in.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from debship.errors import Failed
from debship.run import Word

# Joins each group named before "--", then becomes the command after it; where a group is gone,
# so is the lab, and nothing is started.
_JOIN = 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs"; shift; done; shift; exec "$@"'

# PF_EXITING (field 9 of /proc/PID/stat): a host's first process waits for all others to end first.
_EXITING = 0x4


@dataclass(frozen=True, slots=True)
class Process:
    """A process that cannot be mistaken for a later one with the same number."""

    pid: int
    start: int  # clock ticks since boot, field 22 of /proc/PID/stat


def process(pid: int) -> Process | None:
    """Look at a process; None where it has ended."""
    try:
        # The second field is a name in parentheses, which may hold blanks and parentheses.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    ending = fields[0] in (b"Z", b"X") or int(fields[6]) & _EXITING
    return None if ending else Process(pid, int(fields[19]))


def alive(known: Process | None) -> bool:
    """Whether that very process still runs."""
    return known is not None and process(known.pid) == known


def hierarchies(mounts: str) -> tuple[Path, ...]:
    """Find where groups are made: cgroup2, and beside it systemd's own of the hybrid layout.

    Args:
        mounts: the text of /proc/mounts.
    """
    fields = [line.split() for line in mounts.splitlines()]
    return tuple(
        Path(field[1])
        for kind in ("cgroup2", "cgroup")
        for field in fields
        if field[2] == kind and (kind == "cgroup2" or "name=systemd" in field[3].split(","))
    )


@dataclass(frozen=True, slots=True)
class Group:
    """A control group, in every hierarchy that matters; the first is cgroup2."""

    paths: tuple[Path, ...]

    @classmethod
    def of(cls, name: str) -> "Group":
        """Name a group: ``dsl1/h1``.

        Raises:
            Failed: the machine has no cgroup2.
        """
        roots = hierarchies(Path("/proc/mounts").read_text())
        if not roots:
            raise Failed("this machine has no cgroup2", "mount -t cgroup2 none /sys/fs/cgroup")
        return cls(tuple(root / name for root in roots))

    def make(self) -> None:
        """Make it, where it is not there."""
        for path in self.paths:
            path.mkdir(parents=True, exist_ok=True)

    def around(self, argv: Sequence[Word]) -> tuple[Word, ...]:
        """Give the command that runs another inside the group."""
        return ("sh", "-ec", _JOIN, "sh", *self.paths, "--", *argv)

    def processes(self) -> int:
        """How many processes it holds, those below it included."""
        return sum(len(path.read_text().split()) for path in self.paths[0].glob("**/cgroup.procs"))

    def end(self, timeout: float = 10.0) -> None:
        """Kill all that is in it, and take it away; a group that is not there is no error.

        Raises:
            Failed: after ``timeout`` seconds something in it still runs.
        """
        if self.paths[0].is_dir():
            (self.paths[0] / "cgroup.kill").write_text("1")
            deadline = time.monotonic() + timeout
            while "populated 1" in (self.paths[0] / "cgroup.events").read_text():
                if time.monotonic() > deadline:
                    raise Failed(f"processes in {self.paths[0]} do not end when they are killed")
                time.sleep(0.01)
        for path in self.paths:
            for folder, _, _ in os.walk(path, topdown=False):
                _remove(Path(folder))


def _remove(folder: Path) -> None:
    # A group is busy for a moment after its last process has ended.
    for _ in range(200):
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.01)
        else:
            return
    folder.rmdir()
