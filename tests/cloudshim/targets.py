"""Who is registered where, and how AWS would see them as time goes by (facts: deploy.md 4.1)."""

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])

Key = tuple[str, str, int]  # the group's ARN, or a classic balancer's name; id; port

Well = Callable[[str, int], bool]


@dataclass(frozen=True)
class Rules:
    """One group's own settings."""

    interval: float
    healthy: int
    unhealthy: int
    delay: float
    checked: bool = True
    used: bool = True
    first_is_enough: bool = True  # a new target of a target group needs one success; classic: all


@dataclass
class Target:
    """One registered target."""

    due: float  # of the next check
    state: str = "initial"  # initial, healthy, unhealthy
    row: int = 0  # equal checks in a row
    until: float | None = None  # it drains until then
    zone: str = ""


def _alone(method: F) -> F:
    """Requests come in threads, and each moves the table."""

    @functools.wraps(method)
    def wrapper(self: "Targets", *words: Any, **named: Any) -> Any:
        with self.lock:
            return method(self, *words, **named)

    return cast("F", wrapper)


class Targets:
    """The table of all targets; time moves it, at each look."""

    def __init__(
        self, clock: Callable[[], float], rules: Callable[[str], Rules], well: Well
    ) -> None:
        self.lock = threading.RLock()
        self.clock = clock
        self.rules = rules
        self.well = well
        self.table: dict[Key, Target] = {}
        self.stopped: set[str] = set()  # instances that do not run
        self.shifted: set[str] = set()  # zones that a shift keeps requests from

    @_alone
    def register(self, group: str, id_: str, port: int, zone: str = "") -> None:
        known = self.table.get((group, id_, port))
        if known is None:
            self.table[group, id_, port] = Target(self.clock() + self.rules(group).interval)
            self.table[group, id_, port].zone = zone
        elif known.until is not None:  # registering ends the draining
            known.until, known.row = None, 0

    @_alone
    def deregister(self, group: str, id_: str, port: int | None) -> None:
        """Begin to drain; one that is unknown, or named with another port, is no error."""
        delay = self.rules(group).delay
        for key, target in self.table.items():
            same_port = port is None or key[2] == port
            if key[:2] == (group, id_) and same_port and target.until is None:
                target.until = self.clock() + delay

    @_alone
    def advance(self) -> None:
        """Let everything happen that was due by now."""
        now = self.clock()
        for (group, id_, port), target in list(self.table.items()):
            if target.until is not None and target.until <= now:
                del self.table[group, id_, port]
                continue
            rules = self.rules(group)
            while target.due <= now:
                target.due += rules.interval
                self._check(target, rules, well=self.well(id_, port))

    def _check(self, target: Target, rules: Rules, *, well: bool) -> None:
        good = target.state == "healthy"
        target.row = 0 if target.state != "initial" and good == well else target.row + 1
        if well and not good:
            new = target.state == "initial" and rules.first_is_enough
            if new or target.row >= rules.healthy:
                target.state, target.row = "healthy", 0
        elif not well and target.state != "unhealthy" and target.row >= rules.unhealthy:
            target.state, target.row = "unhealthy", 0

    @_alone
    def of(self, group: str) -> dict[tuple[str, int], Target]:
        """The targets of one group, those that drain included."""
        self.advance()
        return {(key[1], key[2]): t for key, t in self.table.items() if key[0] == group}

    def told(self, group: str, id_: str, target: Target) -> tuple[str, str]:
        """The state and the reason that DescribeTargetHealth gives."""
        rules = self.rules(group)
        if target.until is not None:
            return "draining", "Target.DeregistrationInProgress"
        if not rules.used:
            return "unused", "Target.NotInUse"
        if id_ in self.stopped:
            return "unused", "Target.InvalidState"
        if not rules.checked:
            return "unavailable", "Target.HealthCheckDisabled"
        reasons = {
            "initial": "Elb.InitialHealthChecking",
            "unhealthy": "Target.ResponseCodeMismatch",
        }
        return target.state, reasons.get(target.state, "")

    def serving(self, group: str) -> set[tuple[str, int]]:
        """Who gets requests now: the healthy, and everyone where nobody is (fail-open)."""
        here = {key: t for key, t in self.of(group).items() if t.until is None}
        healthy = {key for key, target in here.items() if target.state == "healthy"}
        return healthy or {key for key, target in here.items() if target.state == "unhealthy"}
