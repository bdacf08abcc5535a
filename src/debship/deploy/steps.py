"""The steps of one host's turn. Each writes down what it will do, does it, and confirms it."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from debship.debian.versions import from_pep440
from debship.deploy import apt, journal
from debship.deploy.balancer.door import Member, Standing, Terms
from debship.deploy.clock import Clock
from debship.deploy.configuration import RenderedFile, differing
from debship.deploy.established import established
from debship.deploy.host import Host, LinkLost, Unreachable
from debship.deploy.observation import HostState, UnitState, observe
from debship.deploy.places import Place
from debship.deploy.plan import RollPlan
from debship.deploy.waiting import wait_for
from debship.errors import DebshipError, Failed, Misused
from debship.model import DebVersion

LINGER = 120.0  # seconds that a network balancer may go on handing out a target that left
QUIET = 3  # looks in a row without a connection
PATIENCE = 120.0  # seconds in which a lost link must come back before a host counts as unknown

Say = Callable[[str], None]


class StepFailed(Failed):
    """A step failed on the host; ``log`` is the end of what the service or apt wrote."""

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__(message)
        self.log = log


@dataclass(frozen=True)
class Steps:
    """What can be done to one host in one roll. Raises Failed, LinkLost or Unreachable."""

    host: Host
    places: tuple[Place, ...]
    plan: RollPlan
    files: tuple[RenderedFile, ...]
    journal: journal.Journal
    clock: Clock
    say: Say

    def observe(self) -> HostState:
        """Read what is true on the host now."""
        return observe(self.host, self.plan.app.package, tuple(f.path for f in self.files))

    def leave(self, state: HostState) -> None:
        """Out of every balancer, and nothing in flight; written down before it is done."""
        if not self.places:
            return
        self._say("leaving the balancer")
        if state.out is None:
            journal.record_out(self.host, self.plan, self.places, self.clock)
        places = [[p.balancer.name, p.member.id, p.member.port, p.member.zone] for p in self.places]
        self._write("take-out", places=places)
        for place in self.places:
            place.balancer.take_out(place.member)
        seen = self._wait(_is_out, limit=lambda terms: terms.drain)
        if not all(_is_out(member) for member in seen):
            self._must_be_out()
            self._write("drain-limit", left=sum(member.connections for member in seen))
        self._let_linger()

    def install(self, version: DebVersion) -> None:
        """Install in a unit that outlives the connection, and believe dpkg's state alone."""
        package = self.plan.app.package
        self._say(f"installing {version}")
        self._write("install", version=str(version))
        unit = apt.unit_name(package)
        self.host.run(("systemctl", "stop", unit))
        self.host.run(("systemctl", "reset-failed", unit))
        said = ""
        try:
            words = apt.carried(apt.install(package, version), package, self.plan.roll)
            answer = self.host.run(words, timeout=900)
            said = answer.complaint if answer.returncode else ""
        except LinkLost as lost:
            said = lost.message
            self._await_installation()
        state = self.observe()
        if not (state.package.installed and state.package.version == version):
            has = f"{state.package.abbrev.strip()} {state.package.version or ''}".strip()
            raise StepFailed(
                f"{package} {version} was not installed; dpkg has {has}. {said}".rstrip(),
                self.host.run(("journalctl", "-q", "-o", "cat", "-n", "30", "-u", unit)).text,
            )
        self.host.run(("systemctl", "stop", unit))

    def configure(self, files: Sequence[RenderedFile]) -> bool:
        """Write the managed files that differ; whether any did."""
        different = differing(tuple(files), self.observe()) if files else ()
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

    def restart(self) -> None:
        """Restart what is to run; a unit that an administrator disabled stays as it is."""
        # A reload of HAProxy forgets what was set at its socket.
        self._must_be_out()
        self._say("restarting")
        self._write("restart")
        self.host.run(("systemctl", "daemon-reload"))
        units = [unit.name for unit in self.observe().wanted_units]
        if not units:
            return
        self.host.run(("systemctl", "reset-failed", *units))
        answer = self.host.run(("systemctl", "restart", *units), timeout=150)
        if answer.returncode != 0:
            down = [unit for unit in self.observe().wanted_units if not unit.up]
            names = ", ".join(unit.name for unit in down) or ", ".join(units)
            raise StepFailed(f"{names} did not start", self.log(down))

    def prove(self, version: DebVersion) -> None:
        """The host's own health, and that what runs is what was installed.

        A unit that is active proves nothing yet, and neither does UP at the balancer.
        """
        self._say("waiting for its health")
        if self.plan.app.health is not None:
            self._ask_health(version)
        state = self.observe()
        units = state.wanted_units
        if not state.runs(version) or any(unit.restarts for unit in units):
            runs = "; ".join(
                f"{unit.name} is {unit.active} ({unit.sub}), running {unit.running or 'nothing'}"
                + (f", restarted {unit.restarts} times" if unit.restarts else "")
                for unit in units
            )
            raise StepFailed(f"it does not run {version}: {runs}", self.log(units))

    def come_back(self) -> None:
        """Back into every balancer, and seen well there."""
        if not self.places:
            return
        self._say("returning to the balancer")
        self._write("put-back")
        # One balancer that refuses must not keep the host out of the others.
        errors = [error for place in self.places if (error := _put_back(place))]
        if errors:
            raise errors[0]
        seen = self._wait(_is_in, limit=lambda terms: terms.rise, looks=lambda terms: terms.looks)
        late = [member for member in seen if not _is_in(member)]
        if late:
            limits = {p.balancer.name: p.balancer.terms.rise for p in self.places}
            notes = "; ".join(
                f"{m.balancer} does not see it well after {limits[m.balancer]:g} s: "
                f"{m.note or m.standing.value}"
                for m in late
            )
            raise Failed(notes)
        warm = max(place.balancer.terms.warm for place in self.places)
        if warm:
            self._say(f"getting its full share within {warm:g} s")
            self.clock.sleep(warm)

    def stay_out(self) -> None:
        """Out of every balancer again, without waiting: it is not to be trusted."""
        for place in self.places:
            place.balancer.take_out(place.member)

    def log(self, units: Sequence[UnitState]) -> str:
        """The end of what these invocations of units wrote, not those that followed a crash."""
        which = tuple(f"_SYSTEMD_INVOCATION_ID={u.invocation}" for u in units if u.invocation)
        if not which:
            return ""
        return self.host.run(("journalctl", "-q", "-o", "cat", "-n", "80", *which)).text

    def _ask_health(self, version: DebVersion) -> None:
        health = self.plan.app.health
        assert health is not None
        url = f"http://127.0.0.1:{health.port}{health.path}"
        python = f"/usr/lib/{self.plan.app.package}/bin/python"
        words = (python, "-I", "-", url, f"{health.timeout:g}", str(health.times))
        units = self.observe().wanted_units
        answer = self.host.run(
            (*words, health.version or "", *(unit.name for unit in units)),
            stdin=_probe(),
            timeout=health.timeout + 30,
        )
        found = _last_object(answer.text)
        if not found.get("ok"):
            said = f"{found.get('status') or 'no answer'}: {found.get('said') or answer.complaint}"
            raise StepFailed(
                f"{url} was not well within {health.timeout:g} s: {said}",
                self.log(units),
            )
        if health.version and not _same(found.get("version"), version):
            raise StepFailed(f"{url} says version {found.get('version')}, not {version.upstream}")

    def _await_installation(self) -> None:
        deadline = self.clock.monotonic() + PATIENCE
        while True:
            why = f"{self.host.address}: the installation does not end"
            try:
                if self.observe().install not in {"activating", "deactivating"}:
                    return
            except (LinkLost, Unreachable) as error:
                why = error.message
            if self.clock.monotonic() > deadline:
                raise LinkLost(why)
            self.clock.sleep(1.0)

    def _let_linger(self) -> None:
        """Wait for connections that live on after their balancer calls the host out."""
        ports = {p.member.port for p in self.places if p.balancer.terms.lingers}
        if not ports:
            return
        self._say("waiting for its last connections")
        deadline = self.clock.monotonic() + LINGER
        quiet = 0
        while quiet < QUIET:
            left = established(self.host, ports)
            quiet = 0 if left else quiet + 1
            if left and self.clock.monotonic() > deadline:
                self._write("drain-limit", left=left)
                return
            self.clock.sleep(1.0)

    def _wait(
        self,
        good: Callable[[Member], bool],
        *,
        limit: Callable[[Terms], float],
        looks: Callable[[Terms], int] = lambda _: 1,
    ) -> tuple[Member, ...]:
        seed = f"{self.plan.roll} {self.host.address}"
        return wait_for(self.places, good, limit=limit, looks=looks, clock=self.clock, seed=seed)

    def _must_be_out(self) -> None:
        for place in self.places:
            member = place.now()
            if member.standing in {Standing.IN, Standing.WAVERING}:
                raise Failed(f"{member.balancer} still sends it requests ({member.note})")

    def _write(self, event: str, **facts: Any) -> None:
        self.journal.write(event, self.host.address, **facts)

    def _say(self, what: str) -> None:
        self.say(f"{self.host.address}: {what}")


def _is_out(member: Member) -> bool:
    return member.standing is Standing.OUT


def _is_in(member: Member) -> bool:
    return member.standing is Standing.IN


def _put_back(place: Place) -> DebshipError | None:
    try:
        place.balancer.put_back(place.member)
    except DebshipError as error:
        return error
    return None


@cache
def _probe() -> bytes:
    return (Path(__file__).parent / "probe.py").read_bytes()


def _last_object(text: str) -> dict[str, Any]:
    for line in reversed(text.splitlines()):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return {}


def _same(said: Any, version: DebVersion) -> bool:
    """Whether an application that speaks PEP 440 means this Debian version."""
    if not isinstance(said, str):
        return False
    if said in {version.text, version.upstream}:
        return True
    try:
        return DebVersion(from_pep440(said)).upstream == version.upstream
    except Misused:
        return False
