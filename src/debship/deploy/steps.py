"""The steps of one host's turn. Each writes down what it will do, does it, and confirms it."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from debship.config.fleet import Moment
from debship.deploy import records, services
from debship.deploy.checks import check_files
from debship.deploy.clock import Clock
from debship.deploy.configuration import RenderedFile, differing
from debship.deploy.established import linger
from debship.deploy.health import complaint
from debship.deploy.hooks import Hooks
from debship.deploy.host import Host, LinkLost, Unreachable
from debship.deploy.installation import StepFailed, hold, install
from debship.deploy.journal import Journal, JournalLost
from debship.deploy.observation import HostState, observe
from debship.deploy.plan import RollPlan
from debship.deploy.records import Before
from debship.deploy.say import Say
from debship.deploy.stop import Stop
from debship.deploy.traffic import SERVED, Traffic, taken_away
from debship.errors import Failed
from debship.model import DebVersion

PATIENCE = 120.0  # seconds in which a lost link must come back before a host counts as unknown
LOSSES = 4  # times that a link may be lost within one step
WATCH = 1.0  # seconds between looks while a host soaks

T = TypeVar("T")
Gone = Callable[[Collection[str]], Collection[str]]
"""Those of some silent hosts that what hosts come from has no more; asked once for all of them."""


@dataclass(frozen=True)
class Steps:
    """What can be done to one host in one roll. Raises Failed, LinkLost or Unreachable.

    Each step looks before it acts, so it may be taken again after a lost link.
    """

    host: Host
    traffic: Traffic
    plan: RollPlan
    files: tuple[RenderedFile, ...]
    journal: Journal
    clock: Clock
    say: Say
    stop: Stop
    hooks: Hooks | None = None
    gone: Gone = lambda _: ()

    def at(self, moment: Moment) -> None:
        """Run the hooks of a moment; never again after a lost link: nobody knows what they did."""
        if self.hooks is not None:
            self.hooks.at(moment, self.host)

    def take(self, step: Callable[[], T]) -> T:
        """Take a step; where the host is lost in it, come back, look, and take it again.

        Raises:
            LinkLost, Unreachable: the host did not come back in time: it is unknown.
        """
        for left in reversed(range(LOSSES)):
            try:
                return step()
            except (LinkLost, Unreachable):
                if not left:
                    raise
            except JournalLost:
                raise
            except Failed:
                if not (left and self._goes_down()):
                    raise
            self._reach()
        raise AssertionError("the last loss is raised")

    def observe(self) -> HostState:
        """Read what is true on the host now."""
        return observe(self.host, self.plan.app.package, self.paths)

    @property
    def paths(self) -> tuple[str, ...]:
        """The managed files."""
        return tuple(str(file.path) for file in self.plan.app.files)

    def write_down(self, was: Before, *, keep: bool = True) -> None:
        """Write down, here and on the host, that it will be out, and what it had."""
        self._say("leaving the balancer")
        places = self.traffic.places
        self._write(
            "take-out",
            places=[[p.balancer.name, p.member.id, p.member.port, p.member.zone] for p in places],
        )
        files = {file.path: file.sha256 for file in self.files}
        records.record_out(
            self.host, self.plan, was, places=places, files=files, clock=self.clock, keep=keep
        )

    def leave(self) -> None:
        """Out of every balancer, and nothing in flight."""
        if not self.traffic.places:
            return
        self.traffic.take_out()
        left = self.traffic.drained(self.stop.safe_point)
        if left:
            self._write("drain-limit", left=left)
        if ports := self.traffic.lingering:
            self._say("waiting for its last connections")
            if left := linger(self.host, ports, self.clock, self.stop.safe_point):
                self._write("drain-limit", left=left)

    def install(self, version: DebVersion, *, held: bool) -> HostState:
        """Install in a unit that outlives the connection, and believe dpkg's state alone.

        What runs goes on until the restart, though nobody asks it: a balancer that is reloaded
        forgets who is out, and its requests are answered.

        Returns:
            The host's state after it: what the steps that follow go by.
        """
        self.traffic.stay_out(self.stop.safe_point)
        self._say(f"installing {version}")
        self._write("install", version=str(version))
        return install(
            self.host,
            self.plan.app.package,
            version,
            self.paths,
            roll=self.plan.roll,
            held=held,
            clock=self.clock,
            say=self.say,
        )

    def configure(self, files: Sequence[RenderedFile], state: HostState) -> bool:
        """Write the managed files that differ; whether any did."""
        different = differing(tuple(files), state)
        check_files(self.host, different)
        for file in different:
            self._write("configure", path=file.path)
            self.host.put(
                file.path,
                file.content.reveal().encode(),
                owner=file.owner,
                group=file.group,
                mode=file.mode,
            )
        return bool(different)

    def restart(self, state: HostState) -> tuple[str, ...]:
        """Restart what is to run; a unit that an administrator disabled stays as it is.

        Returns:
            The invocations that began: systemd may soon begin others, and theirs are no news.

        A socket goes on listening, so that clients wait and none is refused. One that does not
        listen yet can only begin once its service has let go of the port.
        """
        self._say("restarting")
        self._write("restart")
        sockets = [unit for unit in state.wanted_units if unit.name.endswith(".socket")]
        units = [unit.name for unit in state.wanted_units if unit not in sockets]
        self.traffic.stay_out(self.stop.safe_point)
        services.listen(self.host, [socket.name for socket in sockets if not socket.up])
        begun, complaint = services.restart(self.host, units)
        if complaint is not None:
            self._must_have_begun(state, units, begun, complaint)
        return begun

    def prove(self, version: DebVersion, state: HostState, begun: Sequence[str] = ()) -> None:
        """The host's own health, and that what runs is what was installed.

        A unit that is active proves nothing yet, and neither does UP at the balancer.
        """
        self._say("waiting for its health")
        health = self.plan.app.health
        if health is not None and not state.resting:
            units = tuple(unit.name for unit in state.wanted_units)
            ill = complaint(self.host, self.plan.app.package, health, version, units)
            if ill:
                raise StepFailed(ill, services.log(self.host, begun) if begun else self._last_log())
        self._must_run(version)

    def come_back(self, state: HostState) -> None:
        """Back into every balancer, and seen well there, where it is to serve at all."""
        if not self.traffic.places:
            return
        self._say("returning to the balancer")
        self._write("put-back")
        self.traffic.put_back()
        if not state.resting:
            self.traffic.risen(lambda: None)

    def soak(self, version: DebVersion) -> None:
        """See that the host stays well for the time that the fleet asks for.

        Raises:
            StepFailed: a balancer no longer sees it well, or a service was started again.
        """
        seconds = self.plan.app.soak
        if not seconds:
            return
        self._say(f"staying well for {seconds:g} s")
        if any(m.standing not in SERVED for m in self.traffic.now()) and not self.observe().resting:
            self.traffic.risen(lambda: None)  # it was lost meanwhile, and begins again
        deadline = self.clock.monotonic() + seconds
        while self.clock.monotonic() < deadline and not self.stop.now:
            self.clock.sleep(min(WATCH, max(0.05, deadline - self.clock.monotonic())))
            sick = [m for m in self.traffic.now() if m.standing not in SERVED]
            if sick and not self.observe().resting:
                notes = "; ".join(f"{m.balancer}: {m.note or m.standing.value}" for m in sick)
                away = taken_away(sick)
                raise StepFailed(f"it did not stay well: {notes}", self._last_log(), of_host=away)
        self._must_run(version)

    def return_files(self) -> tuple[str, ...]:
        """Put the managed files back as they were before the host was taken out."""
        self._write("return-files")
        return records.return_files(self.host, self.plan.app.package, self.paths)

    def settle(self, outcome: str, was: Before) -> None:
        """Put back what was on hold, and write down how the turn ended: the host is no longer out."""
        if was.held:
            hold(self.host, self.plan.app.package, self.clock)
        records.settle(self.host, self.plan, outcome, was, self.clock)
        self._write(outcome)

    def _must_have_begun(
        self, was: HostState, units: Sequence[str], begun: Sequence[str], complaint: str
    ) -> None:
        """See that units run anew, though systemctl did not say so.

        Raises:
            StepFailed: one does not.
            LinkLost: systemctl lost systemd meanwhile, so it may come to it yet.
        """
        now = {unit.name: unit for unit in self.observe().units}
        before = {unit.name: unit.invocation for unit in was.units}
        down = [name for name in units if name not in now or not now[name].up]
        if not down and all(now[name].invocation != before.get(name) for name in units):
            return
        if services.is_unheard(complaint):
            raise LinkLost(f"{self.host.address}: {complaint}")
        if down:
            raise StepFailed(f"{', '.join(down)} did not start", services.log(self.host, begun))
        raise StepFailed(f"{', '.join(units)} did not start anew: {complaint}")

    def _must_run(self, version: DebVersion) -> None:
        state = self.observe()
        units = state.wanted_units
        if state.runs(version) and not any(unit.restarts for unit in units):
            return
        runs = "; ".join(
            f"{unit.name} is {unit.active} ({unit.sub}), running {unit.running or 'nothing'}"
            + (f", restarted {unit.restarts} times" if unit.restarts else "")
            for unit in units
        )
        raise StepFailed(
            f"it does not run {version}: {runs}", services.log(self.host, state.invocations)
        )

    def _last_log(self) -> str:
        try:
            return services.log(self.host, self.observe().invocations)
        except (LinkLost, Unreachable):
            return ""

    def _goes_down(self) -> bool:
        """Whether the host is being shut down: what failed on it then says nothing of a version."""
        try:
            self.observe()
        except (LinkLost, Unreachable):
            return True
        except Failed:
            return False  # what failed before says more
        return False

    def _reach(self) -> None:
        deadline = self.clock.monotonic() + PATIENCE
        while True:
            self.stop.safe_point()
            self.clock.sleep(1.0)
            try:
                self.observe()
            except (LinkLost, Unreachable):
                if self.clock.monotonic() > deadline or self.gone((self.host.address,)):
                    raise
            else:
                return

    def _write(self, event: str, **facts: Any) -> None:
        self.journal.write(event, self.host.address, **facts)

    def _say(self, what: str) -> None:
        self.say(f"{self.host.address}: {what}")
