"""The roll: batch after batch, as far as the fleet can bear it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from debship.deploy.balancer.door import Balancer
from debship.deploy.clock import Clock
from debship.deploy.configuration import RenderedFile
from debship.deploy.fence import GuardedHost
from debship.deploy.hooks import Hooks
from debship.deploy.journal import Journal, JournalLost
from debship.deploy.places import Place, idle, shortfall
from debship.deploy.plan import RollPlan
from debship.deploy.records import undone
from debship.deploy.report import HostReport, Notes, Outcome, RollReport
from debship.deploy.say import Say
from debship.deploy.steps import Gone, Steps
from debship.deploy.stop import Stop
from debship.deploy.traffic import Traffic
from debship.deploy.turn import take_turn, undo_turn
from debship.deploy.workers import Workers
from debship.errors import DebshipError
from debship.model import Secret

CAPACITY = 60.0  # seconds that a roll waits for enough hosts to serve before it stops
BAD = frozenset({Outcome.FAILED, Outcome.RETURNED, Outcome.UNKNOWN})


@dataclass(frozen=True)
class Doors:
    """The doors of one roll, and what is rendered for each host."""

    hosts: Mapping[str, GuardedHost]
    places: Mapping[str, tuple[Place, ...]]
    files: Mapping[str, tuple[RenderedFile, ...]]
    secrets: tuple[Secret, ...]

    @property
    def balancers(self) -> tuple[Balancer, ...]:
        """Every balancer that a host stands in."""
        found = {p.balancer.name: p.balancer for places in self.places.values() for p in places}
        return tuple(found.values())


@dataclass
class Roll:
    """One walk through a plan. Hosts were prepared before: nothing slow is left but what must be.

    Args of the constructor:
        stop: a person's wish to stop.
        carry_on: asked between two batches, with the hosts of the next; whether to go on.
    """

    plan: RollPlan
    doors: Doors
    clock: Clock
    journal: Journal
    say: Say
    workers: Workers
    stop: Stop
    carry_on: Callable[[Sequence[str]], bool] = lambda _: True
    hooks: Hooks | None = None
    gone: Gone = lambda _: ()
    reports: dict[str, HostReport] = field(default_factory=dict)

    def to_the_end(self) -> RollReport:
        """Take every host's turn, batch after batch, and take back what should not stay."""
        start = self.clock.monotonic()
        self.journal.write("begin", plan=self.plan.as_dict())
        why = self._forward(start)
        if why and why == self._spent() and self.plan.undo and self._version_failed():
            why += self._take_back(start)
        if self.hooks is not None and self.plan.hosts:
            failed = self.hooks.over(why, self.doors.hosts[self._first()])
            why = "; ".join(filter(None, (why, failed)))
        left = [host for host in self.plan.hosts if host not in self.reports]
        self._keep([HostReport(host, Outcome.UNTOUCHED) for host in left])
        outcomes = {host: report.outcome.value for host, report in self.reports.items()}
        try:
            self.journal.write("end", stopped=why, outcomes=outcomes)
        except JournalLost as error:
            why = why or error.message
        seconds = self.clock.monotonic() - start
        return RollReport(
            roll=self.plan.roll,
            app=self.plan.app.name,
            title=f"{self.plan.app.package} {self.plan.version}",
            version=str(self.plan.version),
            hosts=tuple(self._counted(host) for host in self.plan.hosts),
            seconds=seconds,
            stopped=why,
        )

    def _forward(self, start: float) -> str:
        """Walk the batches; why it ended before its end, or ""."""
        left = list(self.plan.hosts)
        canary, size = len(self.plan.batches[0]), max(map(len, self.plan.batches))
        while left:
            first = len(left) == len(self.plan.hosts)
            batch = self._next(left, canary if first else size)
            if not first and not self.carry_on(batch):
                return "a person asked to stop"
            if why := self._forbidden(batch):
                return why
            left = [host for host in left if host not in batch]
            try:
                self.journal.write("batch", hosts=list(batch))
            except JournalLost as error:
                return error.message
            turns = [
                partial(take_turn, self._steps(host), self.doors.secrets, start) for host in batch
            ]
            self._keep(self.workers.together(turns))
            if why := self._lost() or self._halted() or self._spent():
                return why
        return ""

    def _next(self, left: Sequence[str], size: int) -> tuple[str, ...]:
        """The next batch: as planned, but hosts that died by themselves first where it is short."""
        try:
            if self._short(left[:size]) and self.doors.places:
                down = idle(self.doors.balancers, self.doors.places, left)
                return down[:size] or tuple(left[:size])
        except DebshipError:
            pass  # it is asked again, with patience, before the batch begins
        return tuple(left[:size])

    def _short(self, batch: Sequence[str]) -> str | None:
        plan, doors = self.plan, self.doors
        return shortfall(doors.balancers, doors.places, batch, plan.minimum, floors=plan.floors)

    def _take_back(self, start: float) -> str:
        """Bring back the hosts that this roll changed, the newest first; what to add to why."""
        changed = [h for h, r in self.reports.items() if r.outcome is Outcome.CHANGED]
        size = max(map(len, self.plan.batches))
        taken = 0
        while changed:
            batch, changed = changed[-size:][::-1], changed[:-size]
            if why := self._forbidden(batch):
                return f"; going back ended: {why}"
            for report in self.workers.together([partial(self._undo, h, start) for h in batch]):
                self.reports[report.host] = report
                taken += report.outcome is Outcome.RETURNED
                if report.outcome is not Outcome.RETURNED:
                    changed = []
        return f"; {taken} hosts that it had changed were taken back" if taken else ""

    def _undo(self, host: str, start: float) -> HostReport:
        """Take one host back, if what it had before is known to have worked."""
        done, steps = self.reports[host], self._steps(host)
        try:
            was = undone(steps.take(steps.observe), self.plan.roll)
        except DebshipError:
            was = None
        if was is None or was.version == self.plan.version:
            return done
        notes = Notes(host, start, done.before, done.edited, events=list(done.events))
        return undo_turn(steps, was, "taken back: the version failed", self.doors.secrets, notes)

    def _steps(self, host: str) -> Steps:
        door = self.doors.hosts[host]
        return Steps(
            door,
            Traffic(self.doors.places[host], self.clock, door.confirm, f"{self.plan.roll} {host}"),
            self.plan,
            self.doors.files[host],
            self.journal,
            self.clock,
            self.say,
            self.stop,
            self.hooks,
            self.gone,
        )

    def _forbidden(self, batch: Sequence[str]) -> str:
        """Say why a batch must not begin, after waiting for capacity to come back; or ""."""
        deadline = self.clock.monotonic() + CAPACITY
        while True:
            if self.stop.after_batch:
                return "a person asked to stop"
            try:
                short = self._short(batch)
            except DebshipError as error:
                short = error.message
            if not short:
                return ""
            if self.clock.monotonic() > deadline:
                return short
            self.clock.sleep(1.0)

    def _lost(self) -> str:
        """Say that the lock was lost, and where; "" while it is held."""
        return next((lost for host in self.doors.hosts.values() for lost in host.lost), "")

    def _halted(self) -> str:
        """Say which hook let the roll go no further; "" while none did."""
        return self.hooks.halted if self.hooks is not None else ""

    def _first(self) -> str:
        """The first host of the plan that there still is."""
        gone = {host for host, report in self.reports.items() if report.outcome is Outcome.GONE}
        return next((host for host in self.plan.hosts if host not in gone), self.plan.hosts[0])

    def _keep(self, reports: Sequence[HostReport]) -> None:
        """Keep reports; a host that cannot be told may be none any more, for groups shrink."""
        silent = [r.host for r in reports if r.outcome in {Outcome.UNKNOWN, Outcome.UNTOUCHED}]
        gone = self.gone(silent) if silent and not self._lost() else ()
        for report in reports:
            kept = report
            if report.host in gone:
                reason = "; ".join(filter(None, ("it left the fleet meanwhile", report.reason)))
                kept = replace(report, outcome=Outcome.GONE, reason=reason, hint="")
            self.reports[report.host] = kept

    def _spent(self) -> str:
        """Say that the budget of failures is spent, over the whole run; "" while it is not."""
        failed = [report.host for report in self.reports.values() if report.outcome in BAD]
        if len(failed) <= self.plan.app.budget:
            return ""
        told = f"{len(failed)} failed ({', '.join(failed)})"
        return f"{told}, and the budget is {self.plan.app.budget}"

    def _version_failed(self) -> bool:
        """Whether what failed speaks against the version, and not only against some hosts."""
        return any(report.version_failed for report in self.reports.values())

    def _counted(self, host: str) -> HostReport:
        return replace(self.reports[host], calls=self.doors.hosts[host].calls)
