"""The door to a load balancer."""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class Standing(Enum):
    """How a member stands, as its balancer sees it."""

    IN = "in"  # gets requests, and every check says that it is well
    WAVERING = "wavering"  # gets requests, or soon will or will not: its checks are changing
    DOWN = "down"  # registered, and its checks say that it is not well
    DRAINING = "draining"  # gets no new requests; some are still in flight
    OUT = "out"  # gets none and has none


@dataclass(frozen=True, slots=True)
class Member:
    """One host's place in one balancer."""

    balancer: str  # the balancer's name
    id: str  # what the balancer calls it
    address: str
    port: int
    standing: Standing
    connections: int  # requests in flight; 0 where the balancer does not tell
    note: str = ""  # the balancer's own words, for people


class Balancer(Protocol):
    """Takes hosts out of traffic and puts them back."""

    @property
    def name(self) -> str:
        """What people and records call it."""
        ...

    @property
    def drain(self) -> float:
        """Seconds that requests in flight are waited for."""
        ...

    def members(self) -> tuple[Member, ...]:
        """Read how every member stands now.

        Raises:
            Failed: the balancer, or one of its nodes, does not answer.
        """
        ...

    def take_out(self, member: Member) -> None:
        """Begin to drain: no new requests, those in flight go on, checks go on."""
        ...

    def put_back(self, member: Member) -> None:
        """Let requests come again, as far as the checks agree."""
        ...

    def health(self, member: Member) -> Member:
        """Read how this member stands now."""
        ...
