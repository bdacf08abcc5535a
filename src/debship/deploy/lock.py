"""One roll at a time: a lock that lies on the hosts themselves, with a lease and a fence.

Each host keeps who rolls the package there. Every command of a roll first proves on the host that
the lock is still its own, holds the lock's file shared while it runs, and leaves a heartbeat; a
roll that was thought dead and wakes up is turned away by the next host it speaks to. Who finds a
lock whose holder is not heard of for ``holder.LEASE`` seconds takes it over.
"""

import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from debship.deploy.asking import ask_all, nobody
from debship.deploy.clock import Clock
from debship.deploy.fence import Fenced, GuardedHost
from debship.deploy.holder import Holder, Watch
from debship.deploy.host import TALKS, WRITABLE, Host, LinkLost, Unreachable
from debship.deploy.workers import Workers
from debship.errors import DebshipError, Failed, Refused
from debship.model import PackageName

BEAT = 8.0  # seconds between heartbeats while the roll itself is silent
BUSY = 960.0  # seconds that a command of a dead roll may still run on a host: longer than apt may


def lock_path(package: PackageName) -> str:
    """Where the lock lies on a host."""
    return f"/var/lib/debship/{package}/lock"


@dataclass
class Lock:
    """The lock of one application as one roll takes it, holds it, and lets it go."""

    package: PackageName
    roll: str
    by: str
    process: str  # names this process on this machine
    clock: Clock
    workers: Workers
    dead: Callable[[str], bool]  # whether a process is known to be dead: of this machine, and gone
    lost: list[str] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)  # hosts where it may lie
    silent: dict[str, DebshipError] = field(default_factory=dict)  # hosts left out, and why

    @contextmanager
    def held(
        self, hosts: Mapping[str, Host], beat: Callable[[str], Host], *, all_must: bool = True
    ) -> Iterator[dict[str, GuardedHost]]:
        """Hold the lock on every host while a block runs; give the hosts as it may use them.

        Args:
            hosts: the fleet.
            beat: opens a further connection to one of them, for the heartbeat.
            all_must: a host that does not answer is an error; else it is left out.

        Raises:
            Refused: a roll that is alive holds it.
        """
        try:
            taken = self._take(hosts, all_must=all_must)
            mine = {
                name: GuardedHost(
                    hosts[name], lock_path(self.package), self.roll, self.clock, self.lost, at
                )
                for name, at in taken.items()
            }
            with self.workers.beside(_Heart(tuple(mine.values()), beat).beat, BEAT):
                yield mine
        finally:
            self._drop(hosts)

    def _take(self, hosts: Mapping[str, Host], *, all_must: bool) -> dict[str, float]:
        """Take it on one host first, in an order that all agree on: of two, one gets all."""
        taken: dict[str, float] = {}
        watch = Watch(self.clock)
        hosts = self._reach(hosts, all_must=all_must)
        deadline = self.clock.monotonic() + BUSY
        while True:
            left = [name for name in sorted(hosts) if name not in taken]
            one, rest = ([], left) if taken else (left[:1], left[1:])
            held = self._ask(one, hosts, taken, watch, all_must=all_must)
            held = held or self._ask(rest, hosts, taken, watch, all_must=all_must)
            if not held:
                if not taken:
                    raise nobody(self.silent)
                return taken
            # A heart beats on one host only, so all are looked at before anybody is called dead.
            watch.see(self._look(hosts) or held, self.dead)
            if alive := watch.alive():
                raise Refused(
                    f"{self.package} is being rolled by {alive}",
                    "wait for it; if it should not go on: fab unlock",
                )
            if self.clock.monotonic() > deadline:
                names = ", ".join(sorted(held))
                raise Failed(f"a command of a dead roll still runs on {names}")
            self.clock.sleep(2.0)

    def _reach(self, hosts: Mapping[str, Host], *, all_must: bool) -> dict[str, Host]:
        """Open every connection at once, which takes longer than the lock; the hosts that answer.

        Raises:
            LinkLost, Unreachable: one does not, and all must.
        """
        answers = ask_all(hosts, lambda host: host.run(("true",)), self.workers)
        for error in answers.silent.values():
            if all_must or not isinstance(error, LinkLost | Unreachable):
                raise error
        self.silent |= answers.silent
        return {name: hosts[name] for name in answers.told}

    def _ask(
        self,
        names: Sequence[str],
        hosts: Mapping[str, Host],
        taken: dict[str, float],
        watch: Watch,
        *,
        all_must: bool,
    ) -> dict[str, Holder]:
        """Try to take it on some hosts: who holds it where it could not be taken."""
        at = self.clock.monotonic()
        self.asked.update(names)

        def attempt(name: str) -> Holder | DebshipError | None:
            try:
                since, by = ("_".join(said.split()) for said in (self.clock.now(), self.by))
                words = (self.roll, since, by, self.process, watch.over(name))
                return _ask(hosts[name], self.package, "take", *words)
            except DebshipError as error:
                return error

        found = self.workers.together([functools.partial(attempt, name) for name in names])
        held: dict[str, Holder] = {}
        for name, answer in zip(names, found, strict=True):
            if answer is None:
                taken[name] = at
            elif isinstance(answer, Holder):
                held[name] = answer
            elif all_must or not isinstance(answer, LinkLost | Unreachable):
                raise answer
            else:
                self.silent[name] = answer
        return held

    def _look(self, hosts: Mapping[str, Host]) -> dict[str, Holder]:
        """Who else holds it, and where; a host that does not answer says nothing."""

        def look(host: Host) -> Holder | None:
            try:
                return show_lock(host, self.package)
            except DebshipError:
                return None

        found = self.workers.together([functools.partial(look, h) for h in hosts.values()])
        seen = zip(hosts, found, strict=True)
        return {name: holder for name, holder in seen if holder and holder.roll != self.roll}

    def _drop(self, hosts: Mapping[str, Host]) -> None:
        """Let go wherever it may be ours; what cannot be told runs out by itself."""

        def drop(name: str) -> None:
            try:
                _script(hosts[name], self.package, "drop", self.roll)
            except DebshipError:
                hosts[name].close()

        self.workers.together([functools.partial(drop, name) for name in sorted(self.asked)])


@dataclass
class _Heart:
    """Beats on one host for them all: a lock is dead only where it is silent on every host."""

    hosts: tuple[GuardedHost, ...]
    connect: Callable[[str], Host]
    at: int = 0
    door: GuardedHost | None = None

    def beat(self) -> None:
        """Say on one host that the roll lives; on the next one where this does not answer."""
        for _ in self.hosts:
            try:
                self._beat()
            except Fenced:
                return
            except DebshipError:
                if self.door is not None:
                    self.door.close()
                self.door, self.at = None, self.at + 1
            else:
                return

    def _beat(self) -> None:
        host = self.hosts[self.at % len(self.hosts)]
        if self.door is None:
            inner = self.connect(host.address)
            self.door = GuardedHost(inner, host.path, host.roll, host.clock, host.lost)
        self.door.run(("true",), timeout=10)


def show_lock(host: Host, package: PackageName) -> Holder | None:
    """Who holds the lock on a host; None where nobody does."""
    return _ask(host, package, "show")


class NotBroken(Failed):
    """The lock of a host is held still."""


def break_lock(host: Host, package: PackageName, holder: Holder) -> None:
    """Take the lock from a holder, whoever it is; what it does next there is refused.

    Raises:
        NotBroken: a command of its holder still runs there, or another roll holds it by now.
    """
    left = _ask(host, package, "drop", holder.roll)
    if left is None:
        return
    if left.roll != holder.roll:
        raise NotBroken(
            f"{host.address}: the lock was not broken: it is held by {left} by now",
            "fab status, then fab unlock again where that roll should not go on",
        )
    raise NotBroken(
        f"{host.address}: the lock was not broken: a command of {holder} still runs there",
        f"wait for its end, or end it there (fuser -v {lock_path(package)} names it), then again",
    )


def _script(host: Host, package: PackageName, verb: str, *words: str) -> str:
    argv = ("sh", "-s", "--", verb, lock_path(package), *words)
    answer = host.run(argv, stdin=_lock_script(), timeout=20)
    if answer.returncode != 0:
        raise Failed(f"{host.address}: the lock cannot be used: {answer.complaint}", WRITABLE)
    return answer.text


def _ask(host: Host, package: PackageName, verb: str, *words: str) -> Holder | None:
    text = _script(host, package, verb, *words)
    match text.split():
        case ["held", roll, number, since, by, process, age]:
            return Holder(roll, int(number), since, by, process, max(0.0, float(age)))
        case ["taken" | "free", _]:
            return None
    raise Failed(
        f"{host.address}: what it said of the lock cannot be read: {json.dumps(text[:200])}",
        f"{TALKS}; else take away {lock_path(package)} there, where no roll is alive",
    )


@cache
def _lock_script() -> bytes:
    return (Path(__file__).parent / "lock.sh").read_bytes()
