"""A command that is run several times, and what it took."""

import contextlib
import os
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """One figure: seconds of the clock, of the processors, bytes of memory, bytes of the file."""

    what: str
    runs: int
    seconds: float
    processor: float
    memory: int
    size: int | None = None
    slowest: float = 0.0


class Watch:
    """The most memory that a process and its children take together (PSS), in bytes."""

    def __init__(self, pid: int) -> None:
        self.pid, self.most, self.over = pid, 0, False
        self.thread = threading.Thread(target=self._look)
        self.thread.start()

    def _look(self) -> None:
        while not self.over:
            self.most = max(self.most, sum(map(_pss, _tree(self.pid))))
            time.sleep(0.02)

    def stop(self) -> int:
        self.over = True
        self.thread.join()
        return self.most


def _tree(pid: int) -> list[int]:
    found = [pid]
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += _tree(int(child))
    return found


def _pss(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        return int(text.split("\nPss:")[1].split()[0]) * 1024
    return 0


def measured(
    what: str,
    argv: Sequence[str],
    *,
    runs: int,
    before: Callable[[int], None] = lambda number: None,
    result: Callable[[], Path] | None = None,
    watched: bool = False,
    **settings: Any,
) -> Row:
    """Run a command several times; give the medians.

    Args:
        what: it is, for the table.
        argv: its words.
        runs: how often it is timed; 0: once, while it is watched.
        before: what is done before each run, and not timed.
        result: the file that it leaves.
        watched: run it once more, and see how much memory it takes: looking slows it down.
        settings: of ``subprocess.Popen``.
    """
    walls, processors, memory = [], [], 0
    for number in range(runs):
        before(number)
        used = os.times()
        start = time.monotonic()
        _ended(what, argv, settings)
        walls.append(time.monotonic() - start)
        now = os.times()
        processors.append(
            now.children_user + now.children_system - used.children_user - used.children_system
        )
    size = result().stat().st_size if result else None
    if watched:
        before(runs)
        start = time.monotonic()
        memory = _ended(what, argv, settings, Watch)
        walls = walls or [time.monotonic() - start]
    return show(what, walls, processors=processors or (0.0,), memory=memory, size=size)


def _ended(
    what: str, argv: Sequence[str], settings: Mapping[str, Any], watch: type[Watch] | None = None
) -> int:
    """Run it to its end; give the most memory that was seen."""
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **settings)
    looking = watch(process.pid) if watch else None
    said, _ = process.communicate()
    memory = looking.stop() if looking else 0
    if process.returncode != 0:
        end = said.decode(errors="replace")[-3000:]
        raise SystemExit(f"{what}: {' '.join(argv)} failed\n{end}")
    return memory


def show(
    what: str,
    walls: Sequence[float],
    *,
    processors: Sequence[float] = (0.0,),
    memory: int = 0,
    size: int | None = None,
) -> Row:
    """Make a row of what was measured, and print it."""
    seconds, processor = statistics.median(walls), statistics.median(processors)
    row = Row(what, len(walls), seconds, processor, memory, size, max(walls))
    file = "" if size is None else f"{size / 1e6:9.3f} MB"
    most = f"{memory / 1e6:6.0f} MB of memory" if memory else ""
    took = f"{seconds:8.2f} s  {processor:8.2f} s of processors"
    print(f"{what:<56} {took} {file:>12}  {most}", flush=True)
    return row
