"""One host's way out of its balancers and back, seen through balancers that sometimes err."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from debship.deploy.balancer.door import Member, Standing
from debship.deploy.clock import Clock
from debship.deploy.installation import StepFailed
from debship.deploy.places import Place
from debship.errors import Failed, Refused

T = TypeVar("T")
POLL = 0.1  # seconds between looks at a balancer
RISE = 60.0  # seconds that a balancer may take to see a host well
SILENCE = 60.0  # seconds that a balancer may err before it is believed to be out of order
SERVED = frozenset({Standing.IN, Standing.WAVERING})
ASIDE = frozenset({Standing.OUT, Standing.DRAINING})


@dataclass(frozen=True)
class Traffic:
    """Every place of one host. An answer that was lost is asked for again, never assumed."""

    places: tuple[Place, ...]
    clock: Clock
    confirm: Callable[[], None]  # raises where this roll may no longer move the host

    def take_out(self) -> None:
        """Begin to drain everywhere."""
        for place in self.places:
            self._move(lambda p=place: p.balancer.take_out(p.member))  # type: ignore[misc]

    def put_back(self) -> None:
        """Let requests come again everywhere."""
        for place in self.places:
            self._move(lambda p=place: p.balancer.put_back(p.member))  # type: ignore[misc]

    def drained(self, safe_point: Callable[[], None]) -> int:
        """Wait until nothing is in flight, at most as long as the balancers allow.

        Returns:
            Requests that were still in flight when the limit was reached.

        Raises:
            Failed: a balancer still sends it requests.
        """
        drain = max((place.balancer.drain for place in self.places), default=0.0)
        deadline = self.clock.monotonic() + drain
        while True:
            seen = self.now()
            if all(member.standing is Standing.OUT for member in seen):
                return 0
            if self.clock.monotonic() > deadline:
                self.must_be_out()
                return sum(member.connections for member in seen)
            safe_point()
            self.clock.sleep(POLL)

    def stay_out(self, safe_point: Callable[[], None]) -> None:
        """See that it is still out, and drain it again where not: a reload of HAProxy forgets."""
        if any(member.standing in SERVED for member in self.now()):
            self.take_out()
            self.drained(safe_point)

    def risen(self, safe_point: Callable[[], None]) -> None:
        """Wait until every balancer sees it well.

        Raises:
            StepFailed: one does not.
        """
        deadline = self.clock.monotonic() + RISE
        while True:
            seen = self.now()
            if all(member.standing is Standing.IN for member in seen):
                return
            if self.clock.monotonic() > deadline:
                notes = "; ".join(f"{m.balancer}: {m.note or m.standing.value}" for m in seen)
                raise StepFailed(f"its balancer does not see it well after {RISE:g} s: {notes}")
            safe_point()
            self.clock.sleep(POLL)

    def must_be_out(self) -> None:
        """See that no balancer sends it new requests.

        Raises:
            Failed: one does.
        """
        for member in self.now():
            if member.standing in SERVED:
                raise Failed(f"{member.balancer} still sends it requests ({member.note})")

    def now(self) -> tuple[Member, ...]:
        """How it stands everywhere."""
        return tuple(self._persist(place.now) for place in self.places)

    def told(self) -> str:
        """How it stands, in a word for reports: in, out, ``in part``, or unknown. Asks once."""
        try:
            standings = {place.now().standing for place in self.places}
        except Failed:
            return "unknown"
        served = standings & SERVED
        aside = standings & ASIDE
        if served and aside:
            return "in part"
        if aside:
            return "out"
        return "in" if standings else ""

    def _move(self, action: Callable[[], None]) -> None:
        def confirmed() -> None:
            self.confirm()
            action()

        self._persist(confirmed)

    def _persist(self, action: Callable[[], T]) -> T:
        """Ask again while a balancer errs: they throttle, and reload."""
        deadline = self.clock.monotonic() + SILENCE
        while True:
            try:
                return action()
            except Refused:
                raise
            except Failed:
                if self.clock.monotonic() > deadline:
                    raise
            self.clock.sleep(1.0)
