"""One host's way out of its balancers and back, seen through balancers that sometimes err."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from debship.deploy.balancer.door import Declined, Member, Standing, Terms, Unanswered
from debship.deploy.clock import Clock
from debship.deploy.installation import StepFailed
from debship.deploy.places import Place
from debship.deploy.waiting import LASTING, SILENCE, Good, wait_for
from debship.errors import Failed

T = TypeVar("T")
SERVED = frozenset({Standing.IN, Standing.WAVERING})
ASIDE = frozenset({Standing.OUT, Standing.DRAINING})


@dataclass(frozen=True)
class Traffic:
    """Every place of one host. An answer that was lost is asked for again, never assumed."""

    places: tuple[Place, ...]
    clock: Clock
    confirm: Callable[[], None]  # raises where this roll may no longer move the host
    seed: str = ""  # spreads its looks among those of other hosts and rolls

    def take_out(self) -> None:
        """Begin to drain everywhere."""
        for place in self.places:
            self._move(lambda p=place: p.balancer.take_out(p.member))  # type: ignore[misc]

    def put_back(self) -> None:
        """Let requests come again everywhere; where it must drain to its end first, last.

        Raises:
            Failed: a balancer would not; it does not keep the host out of the others.
        """
        errors = []
        for place in sorted(self.places, key=lambda place: place.balancer.terms.drains_out):
            try:
                if place.balancer.terms.drains_out:
                    self._drain_out(place)
                self._move(lambda p=place: p.balancer.put_back(p.member))  # type: ignore[misc]
            except (Declined, Unanswered) as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def _drain_out(self, place: Place) -> None:
        """Wait, as long as that may take, until it no longer drains."""
        wait_for(
            (place,),
            lambda member: member.standing is not Standing.DRAINING,
            limit=lambda terms: terms.drain,
            looks=lambda _: 1,
            clock=self.clock,
            seed=self.seed,
        )

    def drained(self, safe_point: Callable[[], None]) -> int:
        """Wait until nothing is in flight, at most as long as the balancers allow.

        Returns:
            Requests that were still in flight when the limit was reached; where a balancer does
            not count them, places that still drained.

        Raises:
            Failed: a balancer still sends it requests.
        """
        seen = self._wait(_is_out, lambda terms: terms.drain, lambda _: 1, safe_point)
        late = [member for member in seen if not _is_out(member)]
        if late:
            self.must_be_out()
        return sum(member.connections for member in late) or len(late)

    def stay_out(self, safe_point: Callable[[], None]) -> None:
        """See that it is still out, and drain it again where not: a reload of HAProxy forgets."""
        if any(member.standing in SERVED for member in self.now()):
            self.take_out()
            self.drained(safe_point)

    def risen(self, safe_point: Callable[[], None]) -> None:
        """Wait until every balancer sees it well, often enough, and gives it its full share.

        Raises:
            StepFailed: one does not see it well in time.
        """
        seen = self._wait(_is_in, lambda terms: terms.rise, lambda terms: terms.looks, safe_point)
        late = {
            f"{place.balancer.name} does not see it well after {place.balancer.terms.rise:g} s: "
            f"{member.note or member.standing.value}": member
            for place, member in zip(self.places, seen, strict=True)
            if not _is_in(member)
        }
        if late:
            raise StepFailed("; ".join(late), of_host=taken_away(late.values()))
        if warm := max((place.balancer.terms.warm for place in self.places), default=0.0):
            self.clock.sleep(warm)

    @property
    def lingering(self) -> frozenset[int]:
        """Ports whose connections live on after their balancer calls the host out."""
        return frozenset(p.member.port for p in self.places if p.balancer.terms.lingers)

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

    def _wait(
        self,
        good: Good,
        limit: Callable[[Terms], float],
        looks: Callable[[Terms], int],
        safe_point: Callable[[], None],
    ) -> tuple[Member, ...]:
        return wait_for(
            self.places,
            good,
            limit=limit,
            looks=looks,
            clock=self.clock,
            seed=self.seed,
            safe_point=safe_point,
        )

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
            except LASTING:
                raise
            except Failed:
                if self.clock.monotonic() > deadline:
                    raise
            self.clock.sleep(1.0)


def taken_away(members: Iterable[Member]) -> bool:
    """Whether somebody else took a host out of places where it is to serve: no version does."""
    return all(member.standing in ASIDE or member.gone for member in members)


def _is_out(member: Member) -> bool:
    return member.standing is Standing.OUT


def _is_in(member: Member) -> bool:
    return member.standing is Standing.IN
