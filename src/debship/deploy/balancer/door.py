"""The door to a load balancer."""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from debship.errors import Failed


class Standing(Enum):
    """How a member stands, as its balancer sees it."""

    IN = "in"  # gets requests, and every check says that it is well
    WAVERING = "wavering"  # gets requests, or soon will or will not: its checks are changing
    DOWN = "down"  # registered, and its checks say that it is not well
    IDLE = "idle"  # registered, and the balancer itself is wired to nobody: it can say nothing
    DRAINING = "draining"  # gets no new requests; some are still in flight
    OUT = "out"  # gets none and has none


@dataclass(frozen=True, slots=True)
class Member:
    """One host's place in one balancer."""

    balancer: str  # the balancer's name
    id: str  # what the balancer calls it
    address: str
    port: int  # 0 where the balancer knows none
    standing: Standing
    connections: int  # requests in flight; 0 where the balancer does not tell
    note: str = ""  # the balancer's own words, for people
    zone: str = ""  # the availability zone; "" where there are none
    names: frozenset[str] = frozenset()  # more addresses and names of the same machine
    scaled_by: str = ""  # the Auto Scaling group that the machine belongs to
    away: bool = False  # well, but requests are kept away from its zone (a zonal shift)
    gone: bool = False  # its balancer has let it go, and would not have it back

    def is_of(self, names: frozenset[str]) -> bool:
        """Whether this is a place of the host that goes by these names and addresses."""
        return not names.isdisjoint({self.id, self.address, *self.names})


@dataclass(frozen=True, slots=True)
class Floor:
    """Below how many healthy members a balancer gives up and sends requests to all (fail-open)."""

    count: int = 0
    percent: float = 0.0
    by_zone: bool = False  # judged in each zone by itself: it does not cross zones

    def of(self, members: int) -> int:
        """The smallest number of healthy ones among this many members."""
        return max(self.count, -int(-members * self.percent // 100))


@dataclass(frozen=True, slots=True)
class Terms:
    """How long things take at one balancer, by its own settings, in seconds; and its limits."""

    drain: float  # at most, until one that was taken out has no request in flight
    rise: float  # at most, until one that was put back is seen well
    poll: float = 0.1  # between two looks
    looks: int = 1  # looks in a row that must find it well: one check alone can be lucky
    warm: float = 0.0  # after that, until it gets its full share (slow start)
    usual_drain: float = 0.0  # as a rule; for the plan's estimate
    usual_rise: float = 0.0
    lingers: bool = False  # connections live on after it calls a member out: ask the host too
    drains_out: bool = False  # one that drains can be put back only once it has drained
    floor: Floor = Floor()
    warnings: tuple[str, ...] = ()  # what a person should know before the roll


class Unanswered(Failed):
    """The balancer did not answer this time; the same question may be answered later."""


class Declined(Failed):
    """The balancer answered, and says no: it would say so again."""


class Balancer(Protocol):
    """Takes hosts out of traffic and puts them back."""

    @property
    def name(self) -> str:
        """What people and records call it."""
        ...

    @property
    def terms(self) -> Terms:
        """How long things take here; known since the door was opened."""
        ...

    def members(self) -> tuple[Member, ...]:
        """Read how every member stands now.

        Raises:
            Unanswered: the balancer, or one of its nodes, does not answer.
        """
        ...

    def absent(self, names: frozenset[str]) -> Member | None:
        """Say which member a host would be that is none now; OUT is its standing.

        Args:
            names: the host's name and addresses.

        Returns:
            None where only the balancer's own configuration makes members, or where nobody
            knows this host.
        """
        ...

    def take_out(self, member: Member) -> None:
        """Begin to drain: no new requests, those in flight go on. Doing it twice is no error."""
        ...

    def put_back(self, member: Member) -> None:
        """Let requests come again, as far as the checks agree. Doing it twice is no error."""
        ...

    def health(self, member: Member) -> Member:
        """Read how this member stands now; OUT where the balancer does not have it."""
        ...
