"""One simulated world: its machines, its rollers, its story, and what must never be in it."""

import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import greenlet

from debship.config.fleet import (
    Fleet,
    FleetApp,
    HealthSettings,
    ManagedFile,
    RepositorySettings,
    SecretSource,
    Share,
)
from debship.deploy import campaign, recipe
from debship.deploy.balancer.door import Member
from debship.deploy.recipe import Order
from debship.deploy.report import RollReport
from debship.deploy.stop import Stop
from debship.errors import DebshipError
from debship.model import PackageName
from simulation.links import BalancerLink, Link, SimJournal
from simulation.machines import SimBalancer, SimHost
from simulation.scheduler import Process, Scheduler, SimClock, SimWorkers

from fakes import FakeRun

OLD, NEW = "1.0-1", "1.1-1"
FILE = "/etc/auth/secrets.env"
OUT = "/var/lib/debship/auth/out.json"
HOURS = 3600.0
WAS, IS = "the old one", "the new one"  # what the managed file holds

_HELD = tempfile.TemporaryDirectory(prefix="debship-simulation-")  # until this process ends
_FOLDER = Path(_HELD.name)


class Broken(AssertionError):
    """An invariant does not hold."""


def rendered(value: str) -> bytes:
    """The managed file, as the roll writes it."""
    return f"VALUE={value}\n".encode()


def template() -> Path:
    """The managed file's template."""
    path = _FOLDER / "secrets.env.j2"
    if not path.exists():
        path.write_text("VALUE={{ value }}\n")
    return path


@dataclass(eq=False)
class Roller:
    """Somebody who rolls, or restores."""

    name: str
    process: Process
    kind: str  # deploy, restore
    version: str
    value: str
    machine: str = "m1"
    only: tuple[str, ...] = ()
    stop: Stop = field(default_factory=Stop)
    report: RollReport | None = None
    error: DebshipError | None = None
    done: bool = False
    calls: int = 0
    offline_until: float = 0.0
    journal_room: int = 1_000_000
    lines: list[tuple[str, str]] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)
    begun: set[str] = field(default_factory=set)  # hosts whose turn it wrote down
    judged: dict[str, set[str]] = field(default_factory=dict)  # who served, when it last looked
    boots: dict[str, int] = field(default_factory=dict)  # of a host, when it was last proven

    @property
    def roll(self) -> str:
        return self.name

    @property
    def over(self) -> bool:
        return self.done or not self.process.alive


@dataclass(eq=False)
class World:
    """The stage of one seed."""

    seed: int
    random: random.Random
    app: FleetApp
    scheduler: Scheduler = field(default_factory=lambda: Scheduler(48 * HOURS))
    hosts: dict[str, SimHost] = field(default_factory=dict)
    balancers: list[SimBalancer] = field(default_factory=list)
    faults: "list[Any]" = field(default_factory=list)
    story: list[tuple[float, str, str]] = field(default_factory=list)
    broken: Broken | None = None
    nature: Process = field(default_factory=lambda: Process("nature"))
    rollers: list[Roller] = field(default_factory=list)
    patience: float = 10.0  # seconds until a connection attempt is given up
    sick_at_out: set[str] = field(default_factory=set)
    mutations: int = 0
    reloaded: bool = False  # whether a balancer forgot whom it held
    reloaded_at: float = -1.0
    disturbed: set[str] = field(default_factory=set)  # hosts that some fault hit
    crossed: bool = False  # whether two rollers met
    gentle: bool = False  # whether all that goes wrong must not stop a roll
    polite: bool = False  # whether nothing happens but that somebody asks to stop
    migrations: set[str] = field(default_factory=set)  # versions that a migration was made for
    holds: set[str] = field(default_factory=set)  # hosts that have the package on hold

    # -- telling ---------------------------------------------------------------------------

    def tell(self, who: str, what: str) -> None:
        self.story.append((self.scheduler.now, who, what))

    def told(self) -> str:
        """The story, for people."""
        lines = [f"seed {self.seed}: {len(self.hosts)} hosts, {_settings(self.app)}"]
        lines += [f"  fault: {fault}" for fault in self.faults]
        lines += [f"  {at - 1000:9.3f}  {who:<10} {what}" for at, who, what in self.story]
        return "\n".join(lines)

    def must(self, truth: bool, which: str, what: str) -> None:
        """Hold an invariant."""
        if truth or self.broken is not None:
            return
        self.tell("!!", f"{which}: {what}")
        self.broken = Broken(f"seed {self.seed}: {which}: {what}")
        raise self.broken

    # -- time ------------------------------------------------------------------------------

    def sleep(self, seconds: float) -> None:
        self.scheduler.sleep(seconds)

    def latency(self) -> float:
        return 0.005 + self.random.random() * 0.03

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something later, whoever dies meanwhile."""

        def wait() -> None:
            self.sleep(seconds)
            action()

        self.scheduler.spawn(self.nature, wait)

    # -- rollers ---------------------------------------------------------------------------

    def start(self, roller: Roller) -> None:
        """Let somebody begin."""
        self.rollers.append(roller)
        self.tell(roller.name, f"begins to {roller.kind} {roller.version}")
        self.scheduler.spawn(roller.process, lambda: self._live(roller))

    def finish(self, *rollers: Roller) -> None:
        """Let time pass until these have ended, and what runs on hosts too."""
        for roller in rollers:
            self.scheduler.run(lambda r=roller: self.broken is not None or r.over)
        if self.broken is not None:
            raise self.broken

    def _live(self, roller: Roller) -> None:
        try:
            roller.report = self._do(roller)
            self.tell(roller.name, f"ends: {roller.report.exit_code} {roller.report.stopped}")
        except DebshipError as error:
            roller.error = error
            self.tell(roller.name, f"ends: {type(error).__name__}: {error.message}")
        except (Broken, greenlet.GreenletExit):
            raise
        except BaseException as error:  # noqa: BLE001 - a roll must never crash
            self.tell(roller.name, f"crashed: {error!r}")
            if self.broken is None:
                self.broken = Broken(f"seed {self.seed}: crashed: {error!r}")
                self.broken.__cause__ = error
        roller.done = True

    def _do(self, roller: Roller) -> RollReport:
        repository = RepositorySettings("/srv/apt", "http://apt", "production")
        fleet = Fleet(_FOLDER / "fleet.toml", repository)
        order = Order(
            roller.roll, f"{roller.name}@{roller.machine}", roller.version, only=roller.only
        )
        doors = self._doors(roller)

        def say(what: str) -> None:
            self.tell(roller.name, what)

        if roller.kind == "restore":
            return recipe.restore(fleet, self.app, doors, order, say=say, stop=roller.stop)
        return recipe.deploy(fleet, self.app, doors, order, say=say, stop=roller.stop)

    def _doors(self, roller: Roller) -> campaign.World:
        return campaign.World(
            connect=lambda name: Link(self, roller, self.hosts[name]),
            balancers=tuple(BalancerLink(self, roller, b) for b in self.balancers),
            resolve=lambda name: frozenset(),
            run=FakeRun(),
            env={"VALUE": roller.value},
            clock=SimClock(self.scheduler, self.random.choice([0.0, 3600.0, -3600.0])),
            workers=SimWorkers(self.scheduler, roller.process),
            journal=lambda _path: SimJournal(self, roller),
            process=f"{roller.machine}/{roller.name}",
            dead=lambda process: self._dead(roller, process),
        )

    def _dead(self, roller: Roller, process: str) -> bool:
        machine, _, name = process.partition("/")
        known = machine == roller.machine
        return known and any(r.name == name and r.over for r in self.rollers)

    def offline(self, roller: Roller) -> bool:
        """Whether the machine of who rolls has no network."""
        return self.scheduler.now < roller.offline_until

    def must_live(self, roller: Roller) -> None:
        if not roller.process.alive:
            raise greenlet.GreenletExit

    # -- what the doors tell ---------------------------------------------------------------

    def on_call(self, roller: Roller, host: SimHost, name: str) -> str:
        roller.calls += 1
        return self._moment(roller, host.address, name)

    def after_call(self, roller: Roller, host: SimHost, name: str) -> None:
        if name == "probe":
            roller.boots[host.address] = host.boots
        self._moment(roller, host.address, f"after {name}")

    def on_balancer(self, roller: Roller, balancer: SimBalancer, what: str) -> str:
        return self._moment(roller, balancer.name, what)

    def _moment(self, roller: Roller, where: str, name: str) -> str:
        effect = ""
        for fault in self.faults:
            if fault.live and fault.meets(roller, where, name):
                effect = fault.strike(self, roller, where) or effect
        return effect

    def judged(self, roller: Roller, balancer: SimBalancer) -> None:
        serving = {name for name in balancer.hosts if balancer.serving(name)}
        roller.judged[balancer.name] = serving

    def changed_host(self, roller: Roller, host: SimHost, name: str, owner: str) -> None:
        self.tell(host.address, name)
        roller.touched.add(host.address)
        if name == f"put {OUT}":
            roller.begun.add(host.address)
        self.mutations += 1
        self.must(
            owner == roller.roll,
            "lock",
            f"{roller.name} did {name} on {host.address} while {owner} held the lock",
        )

    def restarted(self, host: SimHost) -> None:
        """A service is restarted, not by its host's own boot."""
        self.mutations += 1
        if self.scheduler.now - self.reloaded_at < 0.3:
            return
        for balancer in self.balancers:
            self.must(
                not (balancer.sends(host.address) and balancer.well(host.address)),
                "I1",
                f"{host.address} was restarted while {balancer.name} sends it requests",
            )

    def migrated(self, host: SimHost, version: str) -> None:
        """A migration that is meant once has done its work."""
        self.tell(host.address, f"migrates to {version}")
        self.must(version not in self.migrations, "once", f"{version} was migrated to twice")
        self.migrations.add(version)

    def unpacks(self, host: SimHost) -> None:
        """A roll's installation begins to replace files."""
        if self.scheduler.now - self.reloaded_at < 0.5:  # less than a look and a call
            return
        for balancer in self.balancers:
            self.must(
                not (balancer.sends(host.address) and balancer.well(host.address)),
                "I1",
                f"{host.address} was changed while {balancer.name} sends it requests",
            )

    def take_out(self, roller: Roller, balancer: SimBalancer, member: Member) -> None:
        name = member.id
        self.must(member.port == balancer.port, "I3", f"{name}: port {member.port} taken out")
        self._must_hold(roller, name, "took out")
        if name in balancer.held:
            return
        self.mutations += 1
        self.tell(balancer.name, f"lets {name} go")
        if name not in balancer.gone and balancer.serving(name):
            written = OUT in self.hosts[name].files
            self.must(written, "journal", f"{name} was taken out before it was written down there")
            believed = roller.judged.get(balancer.name, set())
            left = [
                other
                for other in self.app.hosts
                if other != name
                and other not in balancer.held
                and other not in balancer.gone
                and (balancer.serving(other) or other in believed)
            ]
            self.must(
                len(left) >= self.minimum,
                "I2",
                f"{balancer.name}: {len(left)} left without {name}, and {self.minimum} must serve",
            )
            self.sick_at_out.discard(name)
        else:
            self.sick_at_out.add(name)
        balancer.held[name] = self.scheduler.now

    def put_back(self, roller: Roller, balancer: SimBalancer, member: Member) -> None:
        name, host = member.id, self.hosts[member.id]
        self.must(member.port == balancer.port, "I3", f"{name}: port {member.port} put back")
        self._must_hold(roller, name, "put back")
        if name not in balancer.held:
            return
        self.mutations += 1
        self.tell(balancer.name, f"takes {name} back")
        del balancer.held[name]
        balancer.back[name] = self.scheduler.now
        excused = (
            host.dead
            or host.going_down
            or name in self.sick_at_out
            or host.nature.crash
            or roller.boots.get(name, host.boots) != host.boots
        )
        if not excused:
            self.must(host.healthy, "I1", f"{name} was put back and is not well")
            self.must(
                self.whole(host), "I4", f"{name} was put back with {host.abbrev}{host.version}"
            )
            self.must(self.agrees(host), "I5", f"{name} was put back: {self.tuple_of(host)}")

    def _must_hold(self, roller: Roller, name: str, did: str) -> None:
        owner = self.hosts[name].lock[0]
        self.must(
            owner == roller.roll, "lock", f"{roller.name} {did} {name} while {owner} held the lock"
        )

    # -- what is true ----------------------------------------------------------------------

    @property
    def minimum(self) -> int:
        """Hosts that must serve, as fleet.toml says."""
        total = len(self.app.hosts)
        if self.app.min_healthy is not None:
            return self.app.min_healthy.of(total)
        return total - max(1, self.app.batch.of(total))

    def whole(self, host: SimHost) -> bool:
        return host.abbrev[1:] == "i "

    def agrees(self, host: SimHost) -> bool:
        """Whether what is installed, what runs, and the configuration are of one version."""
        if host.enabled != "enabled":
            return True
        value = host.files[FILE].content if FILE in host.files else b""
        pairs = {(OLD, rendered(WAS))} | {(r.version, rendered(r.value)) for r in self.rollers}
        if host.running != host.version or host.files[FILE].changed > host.started:
            return False
        return (host.version or "", value) in pairs

    def tuple_of(self, host: SimHost) -> str:
        value = host.files[FILE].content.decode() if FILE in host.files else "nothing"
        return f"{host.abbrev}{host.version}, running {host.running}, file {value!r}"

    def out(self, host: SimHost) -> bool:
        return any(host.address in balancer.held for balancer in self.balancers)

    def standing(self, host: SimHost) -> str:
        held = [host.address in b.held for b in self.balancers if host.address not in b.gone]
        if not held:
            return ""
        return "out" if all(held) else "in part" if any(held) else "in"


def _settings(app: FleetApp) -> str:
    return (
        f"batch {app.batch}, canary {app.canary}, budget {app.budget}, soak {app.soak:g}, "
        f"min_healthy {app.min_healthy}, undo {app.undo}"
    )


def make_app(hosts: tuple[str, ...], **changes: Any) -> FleetApp:
    """The application that is rolled."""
    return FleetApp(
        name="auth",
        package=PackageName("auth"),
        hosts=hosts,
        health=HealthSettings("/healthz", 8101, version="version", timeout=20.0),
        files=(ManagedFile(PurePosixPath(FILE), template(), mode=0o600),),
        secrets={"value": SecretSource("env", "VALUE")},
        **{"batch": Share(count=1), **changes},
    )
