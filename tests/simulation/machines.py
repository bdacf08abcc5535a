"""Hosts that take their time and can die in it, and balancers that see only so much of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from debship.deploy.balancer.door import Member, Standing
from debship.deploy.host import Answer
from debship.errors import Failed
from simulation.scheduler import Process, Scheduler

from fakes_fleet import Behaviour, FakeHost, verb

CANCELED = Answer(1, b"", b"Job canceled.")  # by a shutdown
LONG = frozenset({"install", "probe", "check", "restart", "fetch", "hook"})


@dataclass
class Nature(Behaviour):
    """How a version behaves here, and how slowly."""

    start: float = 0.2  # seconds from the restart to the first good answer
    crash: float = 0.0  # seconds after which it crashes; 0: never
    deaf: bool = False  # well from inside, but no balancer reaches it


_USUAL = Nature()


@dataclass(eq=False)
class SimHost(FakeHost):
    """A host whose programs run in time, and end with its power."""

    process: Process = field(default_factory=lambda: Process("host"))
    scheduler: Scheduler = None  # type: ignore[assignment]
    begun: float = 0.0  # when the service was started
    pace: float = 1.0  # how slowly dpkg works here
    tell: Callable[[str, str], None] = lambda _who, _what: None
    restarted: Callable[["SimHost"], None] = lambda _host: None
    unpacks: Callable[["SimHost"], None] = lambda _host: None
    migrated: Callable[["SimHost", str], None] = lambda _host, _version: None
    boots: int = 0
    interrupt: bool = (
        False  # somebody interrupts the next apt: it ends with 0 and did nothing whole
    )
    interrupted: bool = False  # dpkg was; apt refuses until it is finished

    @property
    def nature(self) -> Nature:
        found = self.behaviours.get(self.running or "")
        return found if isinstance(found, Nature) else _USUAL

    @property
    def healthy(self) -> bool:
        """Whether a request would be answered now."""
        return self._answers(self.nature)

    @property
    def reached(self) -> bool:
        """Whether a balancer's would."""
        nature = self.nature
        return not nature.deaf and self._answers(nature)

    def _answers(self, nature: Nature) -> bool:
        if self.dead or self.running is None or self.active != "active" or not nature.healthy:
            return False
        up = self.scheduler.now - self.begun
        return up >= nature.start and not (nature.crash and up > nature.crash)

    def begin(self, argv: Sequence[str], stdin: bytes) -> Answer:
        """Run a command here, in the task that asks."""
        if verb(argv).partition(" ")[0] not in LONG:
            return self.obey(argv, stdin)
        guarded = tuple(argv)[3:4] == ("debship-guard",)
        if guarded and self.lock[0] != argv[5]:
            return self.obey(argv, stdin)
        self.working += guarded
        try:
            return self.obey(argv, stdin)
        finally:
            self.working -= guarded

    def restart(self) -> Behaviour:
        self.restarted(self)
        self.begun = self.scheduler.now
        return super().restart()

    def _waited_for_dpkg(self) -> Answer | None:
        if self.interrupted:
            return Answer(
                100, b"", b"E: dpkg was interrupted, you must manually run 'dpkg --configure -a'"
            )
        return super()._waited_for_dpkg()

    def _check(self, argv: tuple[str, ...]) -> Answer:
        return self._waited_for_dpkg() or Answer(0, b"", b"")

    def _install(self, argv: tuple[str, ...]) -> Answer:
        if self.going_down:
            return CANCELED
        assert self.unit not in {"activating"}, "apt ran twice at once"
        self.unit = "activating"
        return super()._install(argv)

    def _apt(self, argv: tuple[str, ...]) -> Answer:
        before = self.abbrev, self.version
        version = argv[-1].partition("=")[2]
        fetched = version in self.cached or "--no-download" not in argv
        there = (self.abbrev[1:], self.version) == ("i ", version)
        if fetched and self.room and (not there or "--reinstall" in argv):
            self.tell(self.address, f"dpkg unpacks {version}")
            if "--no-download" in argv:
                self.unpacks(self)
            self.interrupted = True
            self.abbrev, self.version = "iHR", version
            self.scheduler.sleep(0.5 * self.pace)
            self.abbrev = "iF "
            self.scheduler.sleep(0.3 * self.pace)
            self.interrupted = False
            self.abbrev, self.version = before
        if self.interrupt and not there:
            self.interrupt, self.abbrev, self.version = False, "iU ", version
            self.tell(self.address, "apt is interrupted, and says 0")
            return Answer(0, b"", b"W: Operation was interrupted before it could finish")
        answer = super()._apt(argv)
        self.tell(self.address, f"dpkg has {self.abbrev}{self.version}")
        return answer

    def _configure(self, argv: tuple[str, ...]) -> Answer:
        self.interrupted = False
        return super()._configure(argv)

    def _fetch(self, argv: tuple[str, ...]) -> Answer:
        self.scheduler.sleep(0.2)
        return self._waited_for_dpkg() or super()._fetch(argv)

    def _systemctl(self, argv: tuple[str, ...]) -> Answer:
        if argv[1] == "stop" and argv[2].startswith("debship-install-"):
            assert self.unit != "activating", "a running apt was stopped"
        return super()._systemctl(argv)

    def _hook(self, argv: tuple[str, ...]) -> Answer:
        """Migrate: it has its effect at its end, and none where it is cut off."""
        version = next(w for w in argv if w.startswith("DEBSHIP_VERSION=")).partition("=")[2]
        self.scheduler.sleep(0.5)
        self.migrated(self, version)
        return super()._hook(argv)

    def _restart(self, argv: tuple[str, ...]) -> Answer:
        self.scheduler.sleep(0.1)
        if self.going_down:
            return CANCELED
        return super()._restart(argv)

    def _observe(self, argv: tuple[str, ...]) -> str:
        nature = self.nature
        if nature.crash and self.active == "active" and self.running is not None:
            ago = self.scheduler.now - self.begun - nature.crash
            if ago > 0:
                self.restarts = 1 + int(ago)
        return super()._observe(argv)

    def _probe(self, argv: tuple[str, ...]) -> str:
        seconds = float(argv[4])
        deadline = self.scheduler.now + seconds
        while not self.healthy and self.active == "active" and self.scheduler.now < deadline:
            self.scheduler.sleep(min(0.5, seconds))
        return super()._probe(argv)

    def shut_down(self) -> None:
        """Begin to go down as told to: systemd ends what runs, and still answers."""
        if self.dead or self.going_down:
            return
        self.tell(self.address, "goes down")
        self.going_down = True
        self.scheduler.kill(self.process)
        self.process = Process(self.address)
        self.working, self.unit = 0, None
        self.running, self.active = None, "inactive"

    def die(self) -> None:
        """Lose power: what ran is cut off where it was."""
        self.tell(self.address, "dies")
        self.dead = True
        self.scheduler.kill(self.process)
        self.working = 0
        self.boots += 1

    def boot(self) -> None:
        """Come back: the unit that carried apt is gone, and what is installed is started."""
        self.process = Process(self.address)
        self.dead, self.unit, self.going_down = False, None, False
        if self.version is not None and self.abbrev[1:] != "HR":
            super().restart()
            self.begun = self.scheduler.now
        else:
            self.running, self.active = None, "failed"
        self.tell(self.address, f"is back, with {self.abbrev}{self.version}")


@dataclass(eq=False)
class SimBalancer:
    """A balancer over simulated hosts, judged by what it really sends where."""

    name: str
    scheduler: Scheduler
    hosts: dict[str, SimHost]
    port: int = 8101
    drain: float = 5.0
    forgets: bool = False  # as target groups: who is out is no longer a member
    requests: float = 0.0  # seconds that the longest request in flight takes
    held: dict[str, float] = field(default_factory=dict)  # since when
    gone: set[str] = field(default_factory=set)  # somebody removed them from it
    back: dict[str, float] = field(default_factory=dict)  # when they were put back
    notice: float = 0.5  # seconds until its checks see a change
    known: dict[str, Member] = field(default_factory=dict)  # as last seen

    def members(self) -> tuple[Member, ...]:
        found = (self.member(name) for name in self.hosts if name not in self.gone)
        if not self.forgets:
            return tuple(found)
        return tuple(member for member in found if member.standing is not Standing.OUT)

    def health(self, name: str) -> Member:
        if name in self.gone:
            raise Failed(f"{self.name} no longer has {name}")
        return self.member(name)

    def member(self, name: str) -> Member:
        standing = self.standing(name)
        known = self.known.get(name)
        if known is None or known.standing is not standing:
            told = int(standing is Standing.DRAINING), standing.value
            known = self.known[name] = Member(self.name, name, name, self.port, standing, *told)
        return known

    def standing(self, name: str) -> Standing:
        now = self.scheduler.now
        since = self.held.get(name)
        if since is not None:
            return Standing.DRAINING if now < since + self.requests else Standing.OUT
        if not self.well(name):
            return Standing.DOWN
        return Standing.WAVERING if now < self.back.get(name, 0.0) + self.notice else Standing.IN

    def well(self, name: str) -> bool:
        return self.hosts[name].reached

    def serving(self, name: str) -> bool:
        """Whether it is in, and answers."""
        return name not in self.held and name not in self.gone and self.well(name)

    def sends(self, name: str) -> bool:
        """Whether a request may be under way there, or come."""
        if name in self.gone:
            return False
        since = self.held.get(name)
        return since is None or self.scheduler.now < since + min(self.requests, self.drain)
