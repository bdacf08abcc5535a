"""Which process holds a lock, told so that this machine can see whether it has died."""

import os
from pathlib import Path

_PROC = Path("/proc")


def this_process(proc: Path = _PROC) -> str:
    """Name this process: the boot, the namespace that its number is of, its number, its start.

    Two containers of one machine have the same boot and may have the same numbers.
    """
    return f"{_here(proc)}/{os.getpid()}/{_started(os.getpid(), proc)}"


def is_dead(name: str, proc: Path = _PROC) -> bool:
    """Whether a process is of this machine's present boot and this namespace, and is no more.

    False where that cannot be told: of another machine's processes only a heartbeat tells.
    """
    here, _, rest = name.rpartition("/")
    here, _, number = here.rpartition("/")
    if here != _here(proc) or not number.isdigit():
        return False
    return _started(int(number), proc) != rest


def _here(proc: Path) -> str:
    try:
        boot = (proc / "sys/kernel/random/boot_id").read_text().strip()
        space = (proc / "self/ns/pid").readlink()
    except OSError:
        return "nowhere"
    return f"{boot}/{space}"


def _started(number: int, proc: Path) -> str:
    """When a process started, in ticks since the boot (proc_pid_stat(5), field 22)."""
    try:
        stat = (proc / str(number) / "stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]
