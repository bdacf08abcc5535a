"""What of AWS one application needs: hosts, balancers, secrets; opened only where it does."""

import contextlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

from debship.config.fleet import FleetApp, Inventory
from debship.deploy.aws import Aws
from debship.deploy.balancer.door import Balancer
from debship.deploy.balancer.opening import open_balancers
from debship.deploy.balancer.scaling_group import ScalingGroup
from debship.deploy.clock import Clock
from debship.deploy.inventory import find_hosts
from debship.deploy.machines import Machines
from debship.deploy.report import HostReport, Outcome, RollReport
from debship.deploy.scaling import held
from debship.deploy.steps import Say
from debship.errors import DebshipError

ROUNDS = 3  # how often newcomers are looked for: a group that grows all the time has no end

Once = Callable[[FleetApp, str | None], RollReport]


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
        """Roll every host with the fleet held still, then those that came meanwhile.

        Args:
            once: rolls an application over the hosts that it has, in a version or, where that is
                None, in the one that was asked for.

        Returns:
            One report of all.
        """
        with self._held(say):
            report = once(self.app, None)
        for _ in range(ROUNDS):
            came = self._newcomers({host.host for host in report.hosts})
            if came is None or report.exit_code:
                break
            say(f"{len(names_of(came))} hosts came meanwhile")
            report = _together(report, _attempt(once, came, report))
        return report

    def _newcomers(self, known: Collection[str]) -> FleetApp | None:
        """The application on the hosts that it has now and had not; None where none came."""
        if isinstance(self.inventory, tuple):
            return None
        hosts = find_hosts(self.inventory, self.machines, self.group)
        came = tuple(host for host in hosts if host not in known)
        return replace(self.app, hosts=came) if came else None

    @contextlib.contextmanager
    def _held(self, say: Say) -> Iterator[None]:
        """Keep the fleet as it is; an Auto Scaling group would change it."""
        if self.group is None:
            yield
            return
        with held(self.group, self.app.batch.of(len(names_of(self.app))), say):
            yield


def _attempt(once: Once, app: FleetApp, before: RollReport) -> RollReport:
    """Roll newcomers; one that cannot be reached yet must not hide the report of all others."""
    try:
        return once(app, str(before.plan.version))
    except DebshipError as error:
        hint = "when it is up, run the same deploy again"
        hosts = tuple(
            HostReport(
                host, Outcome.UNKNOWN, reason=f"it came meanwhile; {error.message}", hint=hint
            )
            for host in names_of(app)
        )
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
    return replace(opened, app=replace(app, hosts=find_hosts(app.hosts, machines, opened.group)))


def names_of(app: FleetApp) -> tuple[str, ...]:
    """The hosts of an application whose inventory was found."""
    assert isinstance(app.hosts, tuple)
    return app.hosts
