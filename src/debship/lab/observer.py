"""What HAProxy says of its servers, ten times a second: the roll as its clients see it.

``python -m debship.lab.observer SOCKET`` asks and writes; ``Timeline`` computes. What is asserted
of a roll is asserted of this, never of what the roll says of itself.
"""

import csv
import socket
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from debship.lab.recorder import Recorder, print_line, ready

_INTERVAL = 0.1  # seconds
_LIMIT = 3600.0  # seconds after which it ends by itself


@dataclass(frozen=True, slots=True)
class Sample:
    """One server of one backend at one moment."""

    at: float  # time.monotonic()
    backend: str
    server: str
    status: str  # as HAProxy spells it: UP, UP 1/3, DOWN, DRAIN, MAINT, no check
    sessions: int  # requests under way

    @property
    def serves(self) -> bool:
        """Whether new requests go to it."""
        return self.status.startswith("UP") or self.status == "no check"


@dataclass(frozen=True, slots=True)
class Timeline:
    """All samples of a time, in order."""

    samples: tuple[Sample, ...]

    def seconds_out(self) -> Mapping[tuple[str, str], float]:
        """For how long each (backend, server) got no requests.

        From the first sample that says so to the first that says otherwise, or to the last.
        """
        seconds: dict[tuple[str, str], float] = {}
        last: dict[tuple[str, str], Sample] = {}
        for sample in self.samples:
            key = sample.backend, sample.server
            before = last.get(key)
            out = sample.at - before.at if before and not before.serves else 0.0
            seconds[key] = seconds.get(key, 0.0) + out
            last[key] = sample
        return seconds

    def fewest(self, backend: str) -> int:
        """The smallest number of servers that served at the same time.

        Raises:
            ValueError: nothing was seen of the backend.
        """
        moments: dict[float, int] = {}
        for sample in self.samples:
            if sample.backend == backend:
                moments[sample.at] = moments.get(sample.at, 0) + sample.serves
        return min(moments.values())

    def statuses(self, backend: str, server: str) -> tuple[str, ...]:
        """What a server's status went through: UP, DRAIN, UP."""
        found: list[str] = []
        for sample in self.samples:
            here = (sample.backend, sample.server) == (backend, server)
            if here and found[-1:] != [sample.status]:
                found.append(sample.status)
        return tuple(found)


class Observer:
    """Watches a HAProxy from ``start`` (or ``with``) to ``stop``.

    Args:
        haproxy: its runtime socket.
        log: the file that samples are written to.
    """

    def __init__(self, haproxy: Path, *, log: Path) -> None:
        self._recorder = Recorder("debship.lab.observer", (str(haproxy),), log)

    def start(self) -> None:
        """Begin."""
        self._recorder.start()

    def stop(self) -> Timeline:
        """End."""
        return _timeline(self._recorder.stop())

    def so_far(self) -> Timeline:
        """What was seen until now."""
        return _timeline(self._recorder.read())

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._recorder.stop()


def parse_stat(text: str, at: float) -> tuple[Sample, ...]:
    """Read the answer to ``show stat`` (HAProxy's management guide, 9.1): its servers."""
    rows = csv.DictReader(text.removeprefix("# ").splitlines())
    return tuple(
        Sample(at, row["pxname"], row["svname"], row["status"], int(row["scur"] or 0))
        for row in rows
        if row["svname"] not in ("FRONTEND", "BACKEND")
    )


def ask(haproxy: str, command: str) -> str:
    """Ask a runtime socket one thing.

    Raises:
        OSError: nobody answers.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(2)
        connection.connect(haproxy)
        connection.sendall(f"{command}\n".encode())
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


def watch(haproxy: str) -> None:
    """Write samples until told to stop; a HAProxy that does not answer (a reload) is asked again."""
    stopped = ready()
    begin = time.monotonic()
    while not stopped.wait(_INTERVAL) and time.monotonic() - begin < _LIMIT:
        try:
            text = ask(haproxy, "show stat")
        except OSError:
            continue
        for sample in parse_stat(text, time.monotonic()):
            print_line(asdict(sample))


def _timeline(lines: Iterable[dict[str, Any]]) -> Timeline:
    return Timeline(tuple(Sample(**line) for line in lines))


if __name__ == "__main__":
    watch(sys.argv[1])
