"""Who holds a lock, and whether that lives."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from debship.deploy.clock import Clock

LEASE = 30.0  # seconds without a heartbeat after which a holder counts as dead, by a host's clock


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock."""

    roll: str
    number: int  # grows with each taking
    since: str
    by: str
    process: str  # see ``World.dead``
    age: float  # seconds since it was last heard of, by the host's clock

    def __str__(self) -> str:
        """Say who and since when."""
        return f"{self.by} since {self.since} (roll {self.roll}, heard of {self.age:g} s ago)"


class Watch:
    """What was seen of other holders, to tell the living from the dead."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.first: dict[tuple[str, str], tuple[float, Holder]] = {}
        self.held: dict[str, Holder] = {}
        self.gone: set[str] = set()
        self.beating: dict[str, Holder] = {}

    def see(self, held: Mapping[str, Holder], dead: Callable[[str], bool]) -> None:
        """Look at holders: one whose age grew by less than time did has beaten."""
        now = self.clock.monotonic()
        youngest: dict[str, Holder] = {}
        for name, holder in held.items():
            self.held[name] = holder
            at, before = self.first.setdefault((name, holder.roll), (now, holder))
            # A host tells whole seconds.
            if holder.age + 2 < before.age + (now - at):
                self.beating[holder.roll] = holder
            if holder.age <= youngest.get(holder.roll, holder).age:
                youngest[holder.roll] = holder
        for roll, holder in youngest.items():
            if holder.age > LEASE or dead(holder.process):
                self.gone.add(roll)

    def alive(self) -> Holder | None:
        """A holder whose heart was seen to beat."""
        return next((h for roll, h in self.beating.items() if roll not in self.gone), None)

    def over(self, name: str) -> str:
        """The roll that may be followed on a host, or "-"."""
        holder = self.held.get(name)
        return holder.roll if holder is not None and holder.roll in self.gone else "-"


def seems_alive(holders: Iterable[Holder], dead: Callable[[str], bool]) -> Holder | None:
    """A holder that was heard of lately and is not known to be dead."""
    return next((h for h in holders if h.age <= LEASE and not dead(h.process)), None)
