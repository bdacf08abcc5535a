"""The rolls that hosts remember, put together from what each of them wrote down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Entry:
    """One roll, as the hosts that it reached remember it."""

    roll: str
    by: str
    at: str  # when the last of them was finished
    version: str  # that was to be
    hosts: tuple[tuple[str, str], ...]  # host and outcome

    def as_dict(self) -> dict[str, Any]:
        """The entry for machines."""
        return {
            "roll": self.roll,
            "by": self.by,
            "at": self.at,
            "version": self.version,
            "hosts": dict(self.hosts),
        }

    def line(self) -> str:
        """The entry for people."""
        outcomes = [outcome for _, outcome in self.hosts]
        counts = ", ".join(f"{outcomes.count(o)} {o}" for o in dict.fromkeys(outcomes))
        return f"{self.at}  {self.version}  {counts}  by {self.by} (roll {self.roll})"


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a fleet remembers."""

    rolls: tuple[Entry, ...]  # the newest first
    silent: dict[str, str]  # host and why it did not say what it remembers

    def as_dict(self) -> dict[str, Any]:
        """The memory for machines."""
        return {"rolls": [entry.as_dict() for entry in self.rolls], "silent": self.silent}

    def lines(self) -> tuple[str, ...]:
        """The memory for people: a line a roll, then who may have been part of them as well."""
        unknown = (f"{host}: what it remembers is unknown: {w}" for host, w in self.silent.items())
        return (*(entry.line() for entry in self.rolls), *unknown)


def entries(told: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[Entry, ...]:
    """Group what each host wrote down by roll, the newest first.

    Args:
        told: for each host, its lines, the oldest first; where a roll wrote two lines on a host,
            the last one counts.
    """
    rolls: dict[str, dict[str, Mapping[str, Any]]] = {}
    for host, lines in told.items():
        for line in lines:
            rolls.setdefault(str(line.get("roll")), {})[host] = line
    found = []
    for roll in sorted(rolls, reverse=True):
        hosts = rolls[roll]
        last = max(hosts.values(), key=lambda line: str(line.get("at")))
        outcomes = tuple((host, str(line.get("outcome"))) for host, line in hosts.items())
        version = str(last.get("wanted", last.get("version")))
        found.append(Entry(roll, str(last.get("by")), str(last.get("at")), version, outcomes))
    return tuple(found)
