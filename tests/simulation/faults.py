"""What goes wrong, and the moment at which it does."""

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simulation.scheduler import Process
from simulation.world import IS, NEW, OLD, OUT, Roller, World

if TYPE_CHECKING:
    from simulation.machines import SimHost

# The calls of a roll to one host; ``after`` is when the answer has come.
CALLS = (
    f"put {OUT}", "install", "restart", "probe", "settle", "observe", "return", "apt-mark",
    "put /etc/auth/secrets.env", "true", "lock take", "lock drop", "fetch", "check", "update",
    "hook", "note",
)  # fmt: skip
WEIGHTS = (3, 6, 3, 3, 3, 2, 2, 1, 3, 1, 1, 1, 1, 1, 1, 2, 1)


@dataclass(eq=False)
class Fault:
    """One thing that goes wrong, at some call of a roller, some times."""

    kind: str
    where: str  # a host, or a balancer; "" is any
    moment: str
    skip: int = 0  # calls of this kind that pass before
    times: int = 1
    seconds: float = 0.0
    other: str = ""  # the host that is hit, where that is another
    by: str = ""  # the roller; "" is any
    live: bool = True
    values: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        at = f"at {self.moment} of {self.where or 'any'}, after {self.skip}"
        more = f", {self.seconds:.1f} s" if self.seconds else ""
        other = f" ({self.other})" if self.other else ""
        return f"{self.kind}{other} {at}, {self.times} times{more}"

    @property
    def gentle(self) -> bool:
        """Whether a roll must get over it."""
        if self.kind == "lost answer":
            return True
        if self.kind == "throttled":
            return self.times <= 8 and self.moment != "members"
        if self.kind == "shut down":
            # Not after an installation: nobody knows how a hook ended that a shutdown cut off.
            return self.moment in {"install", "restart", "after restart", "probe", "after probe"}
        few = self.kind in {"lost before", "lost after", "silent"} and self.times <= 2
        if self.moment == "update":  # looked at before the roll begins, twice
            return few and self.times == 1
        return few and self.moment in {"install", "probe", "settle", f"put {OUT}", "update"}

    def meets(self, roller: Roller, where: str, name: str) -> bool:
        """Whether its moment has come."""
        if name != self.moment or (self.where and where != self.where):
            return False
        if self.by and roller.name != self.by:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        return True

    def strike(self, world: World, roller: Roller, where: str) -> str:
        """Happen; what the door is to do about it."""
        self.times -= 1
        self.live = self.times > 0
        world.tell("~~", f"{self.kind} {self.other or where} at {self.moment}")
        return (
            getattr(self, f"_{self.kind.replace(' ', '_').replace('-', '_')}")(world, roller, where)
            or ""
        )

    def _lost_before(self, world: World, roller: Roller, where: str) -> str:
        world.disturbed.add(where)
        return "lost before"

    def _lost_after(self, world: World, roller: Roller, where: str) -> str:
        world.disturbed.add(where)
        return "lost after"

    def _silent(self, world: World, roller: Roller, where: str) -> str:
        world.disturbed.add(where)
        return "silent"

    def _throttled(self, world: World, roller: Roller, where: str) -> str:
        return "throttled"

    def _lost_answer(self, world: World, roller: Roller, where: str) -> str:
        return "lost answer"

    def _dies(self, world: World, roller: Roller, where: str) -> None:
        host = world.hosts[self.other or where]
        if host.dead:
            return
        world.disturbed.add(host.address)
        host.die()
        if self.seconds:
            world.later(self.seconds, lambda: _boot(host))

    def _shut_down(self, world: World, roller: Roller, where: str) -> None:
        host, seconds = world.hosts[where], self.seconds
        if host.dead or host.going_down:
            return
        world.disturbed.add(host.address)

        def off() -> None:
            if host.going_down:
                host.die()
                world.later(2.0, lambda: _boot(host))

        def begin() -> None:
            if self in world.faults:  # else all is calm by now
                host.shut_down()
                world.later(seconds, off)

        # After it was proven it goes back to its balancers, and soaks.
        world.later(world.random.random() * (4.0 if self.moment == "after probe" else 0.5), begin)

    def _killed(self, world: World, roller: Roller, where: str) -> None:
        world.tell(roller.name, "is killed")
        world.scheduler.kill(roller.process)

    def _paused(self, world: World, roller: Roller, where: str) -> None:
        roller.process.paused_until = world.scheduler.now + self.seconds

    def _offline(self, world: World, roller: Roller, where: str) -> None:
        roller.offline_until = world.scheduler.now + self.seconds
        world.disturbed.update(world.hosts)

    def _stop(self, world: World, roller: Roller, where: str) -> None:
        roller.stop.ask()

    def _stop_at_once(self, world: World, roller: Roller, where: str) -> None:
        roller.stop.ask()
        roller.stop.ask()

    def _reloads(self, world: World, roller: Roller, where: str) -> None:
        for balancer in world.balancers:
            if not balancer.forgets and balancer.held:
                balancer.held.clear()
                world.reloaded, world.reloaded_at = True, world.scheduler.now

    def _dpkg_locked(self, world: World, roller: Roller, where: str) -> None:
        world.hosts[where].dpkg_locked_until = world.scheduler.now + self.seconds

    def _apt_interrupted(self, world: World, roller: Roller, where: str) -> None:
        world.hosts[where].interrupt = True

    def _disk_full(self, world: World, roller: Roller, where: str) -> None:
        world.hosts[where].room = False

    def _journal_full(self, world: World, roller: Roller, where: str) -> None:
        roller.journal_room = 0

    def _leaves_balancer(self, world: World, roller: Roller, where: str) -> None:
        world.disturbed.add(where)
        for balancer in world.balancers:
            balancer.gone.add(where)

    def _second_roller(self, world: World, roller: Roller, where: str) -> None:
        world.crossed = True
        kind = self.values["kind"]
        version = self.values["version"]
        # Two of one name would be one roll to the lock.
        name = f"r{len(world.rollers) + 1}"
        world.start(
            Roller(
                name,
                Process(name),
                kind,
                version,
                IS if version == NEW else "the old one",
                machine=self.values["machine"],
            )
        )


def _boot(host: "SimHost") -> None:
    if host.dead:
        host.boot()


def draw(chance: random.Random, hosts: tuple[str, ...], balancers: tuple[str, ...]) -> list[Fault]:
    """Draw what goes wrong in one world: often one thing, sometimes several."""
    count = chance.choices((0, 1, 2, 3, 5), (10, 45, 25, 15, 5))[0] + len(hosts) // 20
    return [_draw(chance, hosts, balancers) for _ in range(count)]


def _draw(chance: random.Random, hosts: tuple[str, ...], balancers: tuple[str, ...]) -> Fault:
    kind = chance.choices(tuple(_KINDS), tuple(_KINDS.values()))[0]
    where = chance.choice(hosts)
    moment = chance.choices(CALLS, WEIGHTS)[0]
    if chance.random() < 0.4:
        moment = f"after {moment}"
    fault = Fault(kind, where, moment, skip=chance.choices((0, 1, 2, 4), (60, 25, 10, 5))[0])
    if kind in {"lost before", "lost after", "silent"}:
        fault.moment = moment.removeprefix("after ")
        fault.times = chance.choice((1, 1, 1, 2, 3, 20))
    elif kind in {"throttled", "lost answer"}:
        fault.where = chance.choice(balancers) if balancers else "none"
        fault.moment = chance.choice(("take_out", "put_back"))
        if kind == "throttled":
            fault.moment = chance.choice(("take_out", "put_back", "health", "members"))
            fault.times = chance.choice((1, 3, 8, 30, 500))
    elif kind == "dies":
        fault.seconds = chance.choice((0.0, 2.0, 20.0, 90.0, 400.0))
        fault.other = chance.choice(("", "", chance.choice(hosts)))
    elif kind == "shut down":
        fault.seconds = chance.choice((0.0, 0.5, 3.0, 20.0))
        if chance.random() < 0.7:  # in its turn
            fault.moment = chance.choice(("install", "restart", "restart", "probe", "after probe"))
            fault.skip = 0
    elif kind == "offline":
        fault.seconds = chance.choice((5.0, 60.0, 400.0))
    elif kind == "paused":
        fault.seconds = chance.choice((5.0, 20.0, 40.0, 200.0))
        if chance.random() < 0.3:
            fault.moment, fault.where = chance.choice(("take_out", "put_back", "health")), ""
    elif kind in {"killed", "stop", "stop at once"} and chance.random() < 0.3:
        fault.moment, fault.where = chance.choice(("take_out", "put_back", "health")), ""
        fault.skip = chance.randrange(0, 12)
    elif kind == "apt interrupted":
        fault.moment, fault.skip = "install", 0
    elif kind == "dpkg locked":
        fault.seconds = chance.choice((5.0, 60.0, 1000.0))
    elif kind == "second roller":
        fault.values = {
            "kind": chance.choice(("deploy", "deploy", "restore")),
            "version": chance.choice((NEW, NEW, OLD)),
            "machine": chance.choice(("m1", "m2")),
        }
    return fault


_KINDS = {
    "lost before": 3,
    "lost after": 3,
    "silent": 2,
    "throttled": 4,
    "lost answer": 2,
    "dies": 5,
    "shut down": 3,
    "killed": 6,
    "paused": 2,
    "offline": 2,
    "stop": 2,
    "stop at once": 3,
    "reloads": 1,
    "dpkg locked": 1,
    "apt interrupted": 2,
    "disk full": 2,
    "journal full": 1,
    "leaves balancer": 1,
    "second roller": 4,
}
