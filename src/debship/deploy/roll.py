"""The roll: batch after batch, as far as the fleet can bear it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from debship.config.fleet import Share
from debship.deploy.balancer.door import Balancer
from debship.deploy.clock import Clock
from debship.deploy.configuration import RenderedFile
from debship.deploy.host import Host
from debship.deploy.journal import Journal
from debship.deploy.places import Place, shortfall
from debship.deploy.plan import RollPlan
from debship.deploy.report import HostReport, Outcome, RollReport
from debship.deploy.steps import Say, Steps
from debship.deploy.turn import take_turn
from debship.errors import DebshipError
from debship.model import Secret

CAPACITY = 60.0  # seconds that a roll waits for enough hosts to serve before it stops

T = TypeVar("T")
Together = Callable[[Sequence[Callable[[], T]]], list[T]]


@dataclass(frozen=True)
class Doors:
    """The doors of one roll, and what is rendered for each host."""

    hosts: Mapping[str, Host]
    places: Mapping[str, tuple[Place, ...]]
    files: Mapping[str, tuple[RenderedFile, ...]]
    secrets: tuple[Secret, ...]

    @property
    def balancers(self) -> tuple[Balancer, ...]:
        """Every balancer that a host stands in."""
        found = {p.balancer.name: p.balancer for places in self.places.values() for p in places}
        return tuple(found.values())


def roll(
    plan: RollPlan,
    doors: Doors,
    *,
    clock: Clock,
    journal: Journal,
    say: Say,
    together: Together[HostReport],
    stopped: Callable[[], bool] = lambda: False,
) -> RollReport:
    """Walk a plan. Hosts were prepared before: nothing slow is left but what must be.

    Args:
        together: does several things at once and gives their results in order.
        stopped: whether a person asked to stop; looked at before each batch.

    Raises:
        Failed: the journal could not be written; what is not written down is not done.
    """
    start = clock.monotonic()
    journal.write("begin", plan=plan.as_dict())
    reports: dict[str, HostReport] = {}

    def turn(host: str) -> Callable[[], HostReport]:
        places, files = doors.places[host], doors.files[host]
        steps = Steps(doors.hosts[host], places, plan, files, journal, clock, say)
        return lambda: take_turn(steps, doors.secrets, start)

    why = ""
    for batch in plan.batches:
        why = _forbidden(plan, doors, batch, clock, stopped)
        if why:
            break
        for report in together([turn(host) for host in batch]):
            reports[report.host] = replace(
                report, calls=getattr(doors.hosts[report.host], "calls", 0)
            )
        why = _spent(plan, reports)
        if why:
            break
        if plan.app.soak and batch != plan.batches[-1]:
            clock.sleep(plan.app.soak)
    for host in plan.hosts:
        reports.setdefault(host, HostReport(host, Outcome.UNTOUCHED))
    journal.write("end", stopped=why, outcomes={h: r.outcome.value for h, r in reports.items()})
    return RollReport(
        plan, tuple(reports[host] for host in plan.hosts), clock.monotonic() - start, why
    )


def _forbidden(
    plan: RollPlan,
    doors: Doors,
    batch: Sequence[str],
    clock: Clock,
    stopped: Callable[[], bool],
) -> str:
    """Say why a batch must not begin, after waiting for capacity to come back; "" if it may."""
    deadline = clock.monotonic() + CAPACITY
    while True:
        if stopped():
            return "a person asked to stop"
        try:
            floors = plan.app.min_healthy != Share(count=0)  # an outage that is meant
            short = shortfall(doors.balancers, doors.places, batch, plan.minimum, floors=floors)
        except DebshipError as error:
            short = error.message
        if not short:
            return ""
        if clock.monotonic() > deadline:
            return short
        clock.sleep(1.0)


def _spent(plan: RollPlan, reports: Mapping[str, HostReport]) -> str:
    """Say that the budget of failures is spent, over the whole run; "" while it is not."""
    bad = {Outcome.FAILED, Outcome.RETURNED, Outcome.UNKNOWN}
    failed = [report.host for report in reports.values() if report.outcome in bad]
    if len(failed) <= plan.app.budget:
        return ""
    return f"{len(failed)} failed ({', '.join(failed)}), and the budget is {plan.app.budget}"
