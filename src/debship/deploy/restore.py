"""Puts back what a dead run left out: forward where that was nearly done, back where it was not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from debship.config.fleet import FleetApp
from debship.deploy.asking import reason
from debship.deploy.balancer.door import Standing
from debship.deploy.campaign import World
from debship.deploy.fence import GuardedHost
from debship.deploy.installation import StepFailed, settled
from debship.deploy.journal import Journal
from debship.deploy.observation import HostState
from debship.deploy.places import Place, find_places, shortfall
from debship.deploy.plan import RollPlan, plan_roll
from debship.deploy.records import Before, before, configured
from debship.deploy.report import HostReport, Notes, Outcome, RollReport
from debship.deploy.say import Say
from debship.deploy.steps import Steps
from debship.deploy.stop import Stop
from debship.deploy.traffic import Traffic
from debship.deploy.turn import reinstate
from debship.deploy.unfinished import ADRIFT, adrift, left_out
from debship.errors import DebshipError, Failed
from debship.model import DebVersion, Secret


@dataclass(frozen=True)
class Restore:
    """One restoration of a fleet."""

    app: FleetApp
    roll: str
    by: str
    names: tuple[str, ...]  # the whole fleet
    hosts: Mapping[str, GuardedHost]  # those that answered
    world: World
    journal: Journal
    say: Say
    stop: Stop
    secrets: tuple[Secret, ...] | None  # to hide in logs; None: show no log
    silent: Mapping[str, DebshipError]  # what was wrong with those that did not answer

    def run(self) -> RollReport:
        """Look at every host, and put back those that a roll wrote down as out.

        Those that no balancer serves cost nothing and go at once; the others one by one.
        """
        start = self.world.clock.monotonic()
        looked = self.world.workers.together([partial(self._look, h) for h in self.hosts])
        found = dict(zip(self.hosts, looked, strict=True))
        states = {h: state for h, state in found.items() if isinstance(state, HostState)}
        reports = {h: _unread(h, found.get(h) or self.silent.get(h)) for h in self.names}
        written = {name: state.out for name, state in states.items()}
        places = find_places(self.names, self.world.balancers, self.world.resolve, written)
        left = []
        for name, state in states.items():
            if state.out is None:
                reports[name] = _as_it_is(name, state, places[name])
            else:
                left.append(name)
        idle = [name for name in left if not _serves(places[name])]
        for batch in (idle, *([name] for name in left if name not in idle)):
            turns = [partial(self._turn, name, states[name], places, start) for name in batch]
            for report in self.world.workers.together(turns):
                reports[report.host] = report
        return RollReport(
            roll=self.roll,
            app=self.app.name,
            title=f"{self.app.package}, restored",
            version=None,
            hosts=tuple(reports[name] for name in self.names),
            seconds=self.world.clock.monotonic() - start,
            well=frozenset({Outcome.CHANGED, Outcome.UNCHANGED, Outcome.RETURNED}),
        )

    def _look(self, name: str) -> HostState | DebshipError:
        paths = tuple(str(file.path) for file in self.app.files)
        try:
            return settled(self.hosts[name], self.app.package, paths, self.world.clock)
        except DebshipError as error:
            return error

    def _turn(
        self,
        name: str,
        state: HostState,
        places: Mapping[str, tuple[Place, ...]],
        start: float,
    ) -> HostReport:
        was, has = before(state), state.package.version
        notes = Notes(name, start, str(has) if state.package.installed else None, state.edited)
        steps = self._steps(has or was.version, name, places[name])
        try:
            stays = has is not None and self._stays(steps, state, was, has)
            target = has if stays else was.version
            if target is None:
                raise Failed("there was no version before, so there is none to go back to")
            if not stays:
                steps = self._steps(target, name, places[name])
                self._may_leave(name, places, steps.plan)
                now = reinstate(steps, was, target)
                steps.take(lambda: steps.come_back(now))
            notes.mark("back", self.world.clock.monotonic())
            outcome = Outcome.RETURNED if target == was.version else Outcome.CHANGED
            steps.take(lambda: steps.settle(outcome.value, was))
        except ADRIFT as error:
            return adrift(steps, error, notes, self.secrets)
        except DebshipError as error:
            return left_out(steps, error, notes, self.secrets)
        return notes.report(outcome, after=str(target), standing="in")

    def _stays(self, steps: Steps, state: HostState, was: Before, has: DebVersion) -> bool:
        """Put a host back as it is, if that is all of what it was or was to be, and is well."""
        if not state.package.installed or not state.runs(has) or state.stale():
            return False
        reached = str(has) == (state.out or {}).get("version") and configured(state)
        if not reached and (has != was.version or steps.take(steps.return_files)):
            return False
        try:
            steps.take(lambda: steps.prove(has, state))
            steps.take(lambda: steps.come_back(state))
        except StepFailed:
            return False
        return True

    def _may_leave(
        self, name: str, places: Mapping[str, tuple[Place, ...]], plan: RollPlan
    ) -> None:
        short = shortfall(self.world.balancers, places, (name,), plan.minimum, floors=plan.floors)
        if short:
            raise Failed(short)

    def _steps(self, version: DebVersion | None, name: str, places: tuple[Place, ...]) -> Steps:
        plan = plan_roll(
            self.app, version or DebVersion("0"), self.names, roll=self.roll, by=self.by
        )
        door, clock = self.hosts[name], self.world.clock
        traffic = Traffic(places, clock, door.confirm, f"{self.roll} {name}")
        return Steps(door, traffic, plan, (), self.journal, clock, self.say, self.stop)


def _serves(places: Sequence[Place]) -> bool:
    return any(place.member.standing in {Standing.IN, Standing.WAVERING} for place in places)


def _unread(name: str, found: HostState | DebshipError | None) -> HostReport:
    """Report a host of which nothing is known; a record that is damaged is another matter."""
    if found is None or isinstance(found, HostState):
        return HostReport(name, Outcome.UNKNOWN, reason="it does not answer")
    return HostReport(name, Outcome.UNKNOWN, reason=reason(name, found), hint=found.hint or "")


def _as_it_is(name: str, state: HostState, places: Sequence[Place]) -> HostReport:
    aside = any(p.member.standing in {Standing.OUT, Standing.DRAINING} for p in places)
    reason = "it is out of its balancer, and not by a roll: somebody holds it out" if aside else ""
    version = str(state.package.version) if state.package.installed else None
    return HostReport(name, Outcome.UNCHANGED, version, version, reason)
