"""The condition of every host when a roll ended, for people and for machines."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Self

from debship.model import Secret

_HIDDEN = "[hidden]"
_SHORTEST = 4  # hiding "a" would hide the log and no secret
_START = 8  # characters that say: here a secret begins


class Outcome(Enum):
    """What became of one host."""

    CHANGED = "changed"  # it runs the new version and serves
    UNCHANGED = "unchanged"  # it was so already
    RETURNED = "returned"  # it failed, was brought back to what it ran, and serves
    FAILED = "failed"  # it failed and is out of its balancers
    UNKNOWN = "unknown"  # nobody can say; it was left as it is
    GONE = "gone"  # it does not answer, for the fleet has it no more
    UNTOUCHED = "untouched"  # its turn never came


@dataclass(frozen=True, slots=True)
class HostReport:
    """What was done on one host, when, and how it was left."""

    host: str
    outcome: Outcome
    before: str | None = None  # version
    after: str | None = None
    reason: str = ""
    hint: str = ""
    log: str = ""  # the end of the service's own log, where it failed
    edited: tuple[str, ...] = ()  # conffiles that differ from the package's, and were kept
    edits: str = ""  # how they differ (diff(1), unified)
    events: tuple[tuple[str, float], ...] = ()  # step, seconds since the roll began
    calls: int = 0  # programs run there, preparation included
    standing: str = ""  # at the end, as the balancers said: in, out, in part, unknown
    version_failed: bool = False  # whether what failed speaks against the version

    @property
    def seconds_out(self) -> float | None:
        """Seconds between leaving the balancers and being back; None where it never left."""
        times = dict(self.events)
        if "out" not in times or "back" not in times:
            return None
        return round(times["back"] - times["out"], 2)


@dataclass(frozen=True, slots=True)
class RollReport:
    """How a roll ended."""

    roll: str
    app: str
    title: str  # the package and its version, or what else was done
    version: str | None
    hosts: tuple[HostReport, ...]
    seconds: float
    stopped: str = ""  # why it ended before its end
    well: frozenset[Outcome] = frozenset({Outcome.CHANGED, Outcome.UNCHANGED, Outcome.GONE})

    @property
    def exit_code(self) -> int:
        """0 all well, 1 something failed, 4 something is unknown."""
        outcomes = {host.outcome for host in self.hosts}
        if Outcome.UNKNOWN in outcomes:
            return 4
        return 0 if outcomes <= self.well and not self.stopped else 1

    def stopped_by(self, reasons: Iterable[str]) -> Self:
        """The report, with what else kept it from its end."""
        return replace(self, stopped="; ".join(filter(None, (self.stopped, *reasons))))

    def as_dict(self) -> dict[str, Any]:
        """The report for machines."""
        return {
            "roll": self.roll,
            "app": self.app,
            "version": self.version,
            "seconds": round(self.seconds, 2),
            "stopped": self.stopped,
            "hosts": [
                {
                    "host": host.host,
                    "outcome": host.outcome.value,
                    "before": host.before,
                    "after": host.after,
                    "seconds_out": host.seconds_out,
                    "reason": host.reason,
                    "hint": host.hint,
                    "log": host.log,
                    "edited": list(host.edited),
                    "edits": host.edits,
                    "events": [[step, round(at, 3)] for step, at in host.events],
                    "calls": host.calls,
                    "standing": host.standing,
                }
                for host in self.hosts
            ],
        }

    def lines(self) -> tuple[str, ...]:
        """The report for people: a line a host, then what needs a person."""
        counts = dict.fromkeys(Outcome, 0)
        for host in self.hosts:
            counts[host.outcome] += 1
        said = ", ".join(f"{n} {outcome.value}" for outcome, n in counts.items() if n)
        calls = [host.calls for host in self.hosts]
        asked = f", {sum(calls)} remote calls, at most {max(calls, default=0)} a host"
        width = max((len(host.host) for host in self.hosts), default=0)
        return (
            *(_line(host, width) for host in self.hosts),
            *(line for host in self.hosts for line in _details(host)),
            f"{self.title}: {said} in {self.seconds:.1f} s{asked}",
            *((f"stopped: {self.stopped}",) if self.stopped else ()),
        )


@dataclass
class Notes:
    """What is gathered about one host while its turn goes on."""

    host: str
    start: float
    before: str | None = None
    edited: tuple[str, ...] = ()
    edits: str = ""
    events: list[tuple[str, float]] = field(default_factory=list)

    def mark(self, step: str, at: float) -> None:
        """Note the moment of a step."""
        self.events.append((step, at - self.start))

    def reached(self, step: str) -> bool:
        """Whether the turn came as far as this step."""
        return any(name == step for name, _ in self.events)

    def report(
        self,
        outcome: Outcome,
        *,
        after: str | None,
        reason: str = "",
        hint: str = "",
        log: str = "",
        standing: str = "",
        version_failed: bool = False,
    ) -> HostReport:
        """Close the notes."""
        return HostReport(
            self.host,
            outcome,
            self.before,
            after,
            reason.removeprefix(f"{self.host}: "),  # a report says of which host it tells
            hint,
            log,
            self.edited,
            self.edits,
            tuple(self.events),
            standing=standing,
            version_failed=version_failed,
        )


def masked(text: str, secrets: Iterable[Secret]) -> str:
    """Hide every secret that a service wrote into its own log.

    A log is cut to its end, and an answer to its beginning: each line of a key is hidden by itself,
    and what the text ends with, where a secret begins so.
    """
    forms = {form for secret in secrets for form in _forms(secret.reveal())}
    forms = {form for form in forms if len(form) >= _SHORTEST}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, _HIDDEN)
    ends = (n for form in forms for n in range(_START, len(form)) if text.endswith(form[:n]))
    cut = max(ends, default=0)
    return text[:-cut] + _HIDDEN if cut else text


def _forms(value: str) -> Iterator[str]:
    """What a log may have of a secret: the whole, also as JSON and repr write it; its lines."""
    for whole in (value, value.strip()):
        yield from (whole, json.dumps(whole)[1:-1], repr(whole)[1:-1])
    yield from (line.strip() for line in value.splitlines())


def _line(host: HostReport, width: int) -> str:
    change = f"{host.before or 'nothing'} -> {host.after or 'nothing'}"
    if host.outcome in {Outcome.UNCHANGED, Outcome.UNTOUCHED}:
        change = host.after or host.before or ""
    out = "" if host.seconds_out is None else f"  out {host.seconds_out:.1f} s"
    return f"  {host.host:<{width}}  {host.outcome.value:<9}  {change}{out}".rstrip()


def _details(host: HostReport) -> Iterable[str]:
    if host.edited:
        yield f"  {host.host}: edited here, and kept: {', '.join(host.edited)}"
        yield from (f"    | {line}" for line in host.edits.splitlines())
    if host.reason:
        yield f"  {host.host}: {host.reason}"
    if host.log:
        yield from (f"    | {line}" for line in host.log.splitlines())
    if host.hint:
        yield f"  {host.host}: hint: {host.hint}"
