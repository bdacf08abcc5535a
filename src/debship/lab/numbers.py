"""A number for each lab, from which all its names and addresses follow, so that no two fight."""

import contextlib
import fcntl
import hashlib
import ipaddress
import itertools
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from debship.errors import Failed
from debship.lab.plan import NUMBERS
from debship.lab.record import read_record
from debship.run import Run

_LAST_WORDS = 0.5  # seconds
_LETS_GO = 1.0  # seconds in which what a killed holder was just starting lets its lock go


def reserve(state: Path, *, runtime: Path, run: Run) -> int:
    """Give a lab its number: the one that it has, or had, or a free one, which is then its own.

    Args:
        state: the lab's folder; it stands for the lab.
        runtime: where numbers are reserved, one for the whole machine.
        run: the door to local programs.

    Raises:
        Failed: all numbers are taken.
    """
    runtime.mkdir(parents=True, exist_ok=True)
    state.mkdir(parents=True, exist_ok=True)
    with locked(runtime / "numbers.lock"):
        own = owned(state, runtime=runtime)
        if own is not None:
            return own
        routed = _routed(run)
        for number, owner in owners(runtime):
            if not owner.is_dir() and free(number, routed):
                shutil.rmtree(runtime / str(number))
        known = read_record(state)  # from before a restart of the machine
        for number in itertools.chain([known.plan.number] if known else [], NUMBERS):
            if not (runtime / str(number)).exists() and free(number, routed):
                _take(runtime / str(number), state)
                return number
    raise Failed("all addresses of labs, 10.77.1.0 to 10.77.254.255, are taken")


def owned(state: Path, *, runtime: Path) -> int | None:
    """The number of the lab in this folder; None where it has none."""
    return next((number for number, owner in owners(runtime) if owner == state), None)


def release_number(number: int, *, runtime: Path) -> None:
    """Give a number back, with all that lies in its folder."""
    with locked(runtime / "numbers.lock"):
        shutil.rmtree(runtime / str(number), ignore_errors=True)


def free(number: int, routed: tuple[str, ...]) -> bool:
    """Whether nothing on this machine goes to 10.77.NUMBER.0/24 yet.

    Args:
        number: of a lab.
        routed: the destinations of this machine's routes; one wider than a /16 (a VPN's 10.0.0.0/8)
            gives way to a lab's.
    """
    wanted = ipaddress.ip_network(f"10.77.{number}.0/24")
    known = [ipaddress.ip_network(text, strict=False) for text in routed]
    return not any(net.prefixlen >= 16 and net.overlaps(wanted) for net in known)


@contextlib.contextmanager
def alone(state: Path, *, runtime: Path) -> Iterator[None]:
    """Be the only one that changes a lab.

    Raises:
        Failed: somebody else is at it.
    """
    runtime.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(str(state).encode()).hexdigest()[:16]
    path = runtime / f"{digest}.lock"
    with locked(path, busy=f"another debship changes the lab in {state}"):
        if path.read_text():
            # The last one was killed. What it had just started (ip, mount) ends by itself.
            time.sleep(_LAST_WORDS)
        path.write_text("held")
        try:
            yield
        finally:
            path.write_text("")
            if not state.exists():
                path.unlink()


@contextlib.contextmanager
def locked(path: Path, *, busy: str | None = None) -> Iterator[None]:
    """Hold a lock that the kernel lets go when its holder dies.

    Args:
        path: the lock's file.
        busy: what to say instead of waiting.

    Raises:
        Failed: it is held, and ``busy`` is given.
    """
    with path.open("a") as held:
        if busy:
            _try(path, held, busy)
        else:
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _try(path: Path, held: TextIO, busy: str) -> None:
    patience = time.monotonic() + _LETS_GO
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is(path, held):
                return
            break  # its last holder took it away with the lab
        if time.monotonic() > patience:
            break
        time.sleep(0.05)
    raise Failed(busy, "wait until it is done, and try again")


def owners(runtime: Path) -> Iterator[tuple[int, Path]]:
    """Give the numbers that are taken, each with its lab's folder."""
    for path in sorted(runtime.glob("*/owner")):
        if not path.parent.name.isdigit():
            continue
        with contextlib.suppress(FileNotFoundError):  # given back meanwhile
            yield int(path.parent.name), Path(path.read_text())


def _routed(run: Run) -> tuple[str, ...]:
    routes = json.loads(run(["ip", "-json", "-4", "route", "show"]).text or "[]")
    return tuple(route["dst"] for route in routes if route["dst"] != "default")


def _take(folder: Path, state: Path) -> None:
    beside = folder.with_suffix(".making")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(mode=0o700)  # HAProxy's admin socket will lie in it
    (beside / "owner").write_text(str(state))
    beside.rename(folder)


def _is(path: Path, held: TextIO) -> bool:
    """Whether the file is still the one of that name: a lab's lock goes with the lab."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(held.fileno()))
    return False
