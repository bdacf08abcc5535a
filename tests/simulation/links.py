"""The doors that one roller has: they take time, they lose answers, and they end with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from debship.deploy.balancer.door import Member, Terms, Unanswered
from debship.deploy.command import put_words
from debship.deploy.host import Answer, LinkLost, Unreachable
from debship.deploy.journal import JournalLost
from debship.errors import Failed
from simulation.machines import CANCELED, LONG, SimBalancer, SimHost

from fakes_fleet import verb

if TYPE_CHECKING:
    from simulation.world import Roller, World

QUIET = frozenset(
    {"observe", "lock", "true", "test", "madison", "probe", "journalctl", "cat", "room"}
    | {"check", "simulate", "update", "fetch"}
)


@dataclass(eq=False)
class Link:
    """One connection of one roller to one host."""

    world: "World"
    roller: "Roller"
    host: SimHost
    calls: int = 0
    boots: int = -1  # of the host when the connection was opened; -1: it is not open

    @property
    def address(self) -> str:
        return self.host.address

    def put(self, path: str, data: bytes, *, owner: str, group: str, mode: int) -> None:
        answer = self.run(put_words(path, owner, group, mode), stdin=data)
        if answer.returncode != 0:
            raise Failed(f"{self.address}: {path} could not be written")

    def close(self) -> None:
        self.boots = -1

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = 60.0) -> Answer:
        world, host, name = self.world, self.host, verb(argv)
        world.must_live(self.roller)
        self.calls += 1
        self._open()
        fault = world.on_call(self.roller, host, name)
        world.sleep(world.latency())
        cut = fault == "lost before" or host.dead or host.boots != self.boots
        if cut or world.offline(self.roller):
            self.close()
            raise LinkLost(f"{self.address}: the link was lost")
        answer = self._effect(argv, stdin, name, timeout)
        if fault == "lost after" or world.offline(self.roller):
            self.close()
            raise LinkLost(f"{self.address}: the link was lost")
        if fault == "silent":
            world.sleep(min(timeout, 20.0))
            self.close()
            raise LinkLost(f"{self.address}: no end within {timeout:g} s")
        world.sleep(world.latency())
        world.after_call(self.roller, host, name)
        return answer

    def _open(self) -> None:
        if self.boots >= 0:
            return
        if self.host.dead or self.world.offline(self.roller):
            self.world.sleep(self.world.patience)
        if self.host.dead or self.world.offline(self.roller):
            raise Unreachable(f"{self.address}: no connection")
        self.boots = self.host.boots

    def _effect(self, argv: Sequence[str], stdin: bytes, name: str, timeout: float) -> Answer:
        world, host = self.world, self.host
        owner = host.lock[0]
        if name.partition(" ")[0] not in LONG:
            answer = host.begin(argv, stdin)
        else:
            task = world.scheduler.spawn(host.process, lambda: host.begin(argv, stdin))
            if not world.scheduler.wait_until(task, world.scheduler.now + timeout):
                self.close()
                raise LinkLost(f"{self.address}: no end within {timeout:g} s")
            if task.error is not None:
                raise task.error
            if task.result is None and name in {"install", "restart"} and host.going_down:
                return CANCELED  # systemd tells the end of its jobs before that of the connection
            if task.result is None:
                self.close()
                raise LinkLost(f"{self.address}: the link was lost")
            answer = task.result
        if answer.returncode != 75 and name.partition(" ")[0] not in QUIET:
            world.changed_host(self.roller, host, name, owner)
        return answer


@dataclass(eq=False)
class BalancerLink:
    """One roller's door to one balancer."""

    world: "World"
    roller: "Roller"
    balancer: SimBalancer

    @property
    def name(self) -> str:
        return self.balancer.name

    @property
    def terms(self) -> Terms:
        return Terms(drain=self.balancer.drain, rise=60.0, poll=0.3)

    def absent(self, names: frozenset[str]) -> Member | None:
        return None

    def members(self) -> tuple[Member, ...]:
        self._ask("members")
        self.world.judged(self.roller, self.balancer)
        return self.balancer.members()

    def health(self, member: Member) -> Member:
        self._ask("health")
        return self.balancer.health(member.id)

    def take_out(self, member: Member) -> None:
        fault = self._ask("take_out")
        self.world.take_out(self.roller, self.balancer, member)
        self._answer(fault)

    def put_back(self, member: Member) -> None:
        fault = self._ask("put_back")
        self.world.put_back(self.roller, self.balancer, member)
        self._answer(fault)

    def _ask(self, what: str) -> str:
        self.world.must_live(self.roller)
        fault = self.world.on_balancer(self.roller, self.balancer, what)
        if fault == "throttled" or self.world.offline(self.roller):
            self.world.sleep(0.05)
            raise Unanswered(f"{self.name}: Throttling")
        return fault

    def _answer(self, fault: str) -> None:
        if fault == "lost answer":
            raise Unanswered(f"{self.name}: the answer was lost")
        self.world.sleep(0.02)


@dataclass
class SimJournal:
    """A roller's journal, on a disk that may fill up."""

    world: "World"
    roller: "Roller"

    def write(self, event: str, host: str = "", **facts: Any) -> None:
        self.world.must_live(self.roller)
        if self.roller.journal_room <= 0:
            raise JournalLost("journal.jsonl: the journal cannot be written: No space left")
        self.roller.journal_room -= 1
        self.roller.lines.append((event, host))
