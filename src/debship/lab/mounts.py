"""Overlays: one root below, what one host writes above it."""

import re
import shutil
import time
from pathlib import Path

from debship.errors import Failed
from debship.run import Run, spawn


def mount_overlay(*, lower: Path, folder: Path, run: Run) -> None:
    """Mount a root with a host's own layer on it, at ``folder/root``, where it is not mounted."""
    if folder / "root" not in below(folder):
        options = f"lowerdir={lower},upperdir={folder / 'upper'},workdir={folder / 'work'}"
        run(["mount", "-t", "overlay", "overlay", "-o", options, folder / "root"])


def detach(place: Path) -> None:
    """Unmount what is mounted there, without waiting for the disk.

    Unmounting an overlay writes all that the file system below it has not written yet, of
    everybody: a minute on a busy machine. The mount is out of the way at once; the program that
    asked for it waits, and ends by itself.

    Raises:
        Failed: it stays mounted.
    """
    if place not in below(place):
        return
    spawn(["umount", "--lazy", place], log=Path("/dev/null"))
    for _ in range(500):
        if place not in below(place):
            return
        time.sleep(0.01)
    raise Failed(f"{place} stays mounted", f"umount {place}")


def below(folder: Path, mountinfo: str | None = None) -> tuple[Path, ...]:
    """Find the mounts at or below a folder (proc_pid_mountinfo(5))."""
    text = Path("/proc/self/mountinfo").read_text() if mountinfo is None else mountinfo
    places = (Path(_plain(line.split()[4])) for line in text.splitlines())
    return tuple(place for place in places if place.is_relative_to(folder))


def remove_tree(folder: Path) -> None:
    """Remove a folder, unless something is mounted in it: a mount is somebody's data.

    Raises:
        Failed: something is.
    """
    mounted = below(folder)
    if mounted:
        raise Failed(f"{mounted[0]} is still mounted, so {folder} stays", f"umount {mounted[0]}")
    shutil.rmtree(folder, ignore_errors=False) if folder.is_dir() else None


def _plain(escaped: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), escaped)
