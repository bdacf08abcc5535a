"""What of AWS one application needs: hosts, balancers, secrets; opened only where it does."""

import contextlib
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from debship.config.fleet import FleetApp, Inventory
from debship.deploy.aws import Aws
from debship.deploy.balancer.door import Balancer
from debship.deploy.balancer.opening import open_balancers
from debship.deploy.balancer.scaling_group import ScalingGroup
from debship.deploy.campaign import host_names
from debship.deploy.clock import Clock
from debship.deploy.inventory import find_hosts, missing
from debship.deploy.machines import Machines
from debship.deploy.report import HostReport, Outcome, RollReport
from debship.deploy.say import Say
from debship.deploy.scaling import held
from debship.errors import DebshipError

ROUNDS = 3  # how often newcomers are looked for: a group that grows all the time has no end

Once = Callable[[FleetApp, tuple[str, ...], str | None], RollReport]


@dataclass(frozen=True)
class Surroundings:
    """Where an application's hosts come from, and what they stand behind."""

    inventory: Inventory
    app: FleetApp  # with the hosts that there were when this was opened
    balancers: tuple[Balancer, ...]
    machines: Machines

    @property
    def group(self) -> ScalingGroup | None:
        """The Auto Scaling group that hosts come from."""
        groups = (one for one in self.balancers if isinstance(one, ScalingGroup))
        return next(groups, None)

    def roll(self, once: Once, say: Say) -> RollReport:
        """Roll every host, then those that came meanwhile.

        Args:
            once: rolls an application over those of its hosts that are named, in a version;
                over all and in the one that was asked for, where nothing is named.

        Returns:
            One report of all.
        """
        report = once(self.app, (), None)
        for _ in range(ROUNDS):
            if report.exit_code:
                break
            try:
                app, came = self._newcomers({host.host for host in report.hosts})
            except DebshipError as error:
                why = f"whether hosts came meanwhile is unknown: {error.message}"
                return report.stopped_by((why,))
            if not came:
                break
            say(f"{len(came)} hosts came meanwhile")
            report = _together(report, _attempt(once, app, came, report))
        return report

    def _newcomers(self, known: Collection[str]) -> tuple[FleetApp, tuple[str, ...]]:
        """The application as it is now, and those of its hosts that it had not."""
        if isinstance(self.inventory, tuple):
            return self.app, ()
        hosts = find_hosts(self.inventory, self.machines, self.group)
        known = {*known, *host_names(self.app)}  # those that nobody wanted rolled are no newcomers
        return replace(self.app, hosts=hosts), tuple(h for h in hosts if h not in known)

    def gone(self, hosts: Collection[str]) -> frozenset[str]:
        """Those of some hosts that AWS has ended or let go of meanwhile; where unsure, none."""
        if isinstance(self.inventory, tuple):
            return frozenset()
        try:
            return frozenset(hosts).difference(
                find_hosts(self.inventory, self.machines, self.group)
            )
        except DebshipError:
            return frozenset()

    def held(self, say: Say) -> AbstractContextManager[Sequence[str]]:
        """Keep the fleet as it is, for who has its lock; an Auto Scaling group would change it."""
        if self.group is None:
            return contextlib.nullcontext(())
        return held(self.group, self.app.batch.of(len(host_names(self.app))), say)


def _attempt(once: Once, app: FleetApp, came: tuple[str, ...], before: RollReport) -> RollReport:
    """Roll newcomers; one that cannot be reached yet must not hide the report of all others."""
    try:
        return once(app, came, before.version)
    except DebshipError as error:
        hint = "when it is up, run the same deploy again"
        reason = f"it came meanwhile; {error.message}"
        hosts = tuple(HostReport(h, Outcome.UNKNOWN, reason=reason, hint=hint) for h in came)
        return replace(before, hosts=hosts, seconds=0.0)


def _together(first: RollReport, second: RollReport) -> RollReport:
    return replace(
        first,
        hosts=first.hosts + second.hosts,
        seconds=first.seconds + second.seconds,
        stopped=first.stopped or second.stopped,
    )


def open_surroundings(app: FleetApp, aws: Aws, clock: Clock) -> Surroundings:
    """Open the doors and find the hosts; AWS is asked only where these are its own.

    Raises:
        Refused: there are no hosts.
        Failed: a balancer is not there, or does not answer.
    """
    machines = Machines(lambda: aws.api("ec2"))
    balancers = open_balancers(app, aws, machines, clock)
    opened = Surroundings(app.hosts, app, balancers, machines)
    hosts = find_hosts(app.hosts, machines, opened.group)
    if opened.group is not None and (ended := missing(machines, opened.group)):
        warning = f"EC2 has these of its instances no more, and they are left: {', '.join(ended)}"
        opened.group.terms = replace(opened.group.terms, warnings=(warning,))
    return replace(opened, app=replace(app, hosts=hosts))
