"""Opening the doors to the balancers of an application."""

from debship.config.fleet import (
    AsgHosts,
    ClassicElbSettings,
    FleetApp,
    HaproxySettings,
    TargetGroupSettings,
)
from debship.deploy.aws import Aws
from debship.deploy.balancer.classic_elb import open_classic_elb
from debship.deploy.balancer.door import Balancer
from debship.deploy.balancer.haproxy import Haproxy
from debship.deploy.balancer.scaling_group import ScalingGroup
from debship.deploy.balancer.target_group import open_target_group
from debship.deploy.clock import Clock
from debship.deploy.machines import Machines


def open_balancers(
    app: FleetApp, aws: Aws, machines: Machines, clock: Clock
) -> tuple[Balancer, ...]:
    """Open the door to each balancer of an application.

    The Auto Scaling group that hosts come from is the first: an instance stands by before it
    leaves a target group, so that nothing puts it back there. AWS is asked only where one of
    these is AWS's.

    Raises:
        Failed: a balancer is not there, or does not answer.
    """
    opened: list[Balancer] = []
    if isinstance(app.hosts, AsgHosts):
        opened.append(open_scaling_group(app.hosts, aws, machines, clock))
    for settings in app.balancers:
        if isinstance(settings, HaproxySettings):
            opened.append(Haproxy(settings))
        elif isinstance(settings, TargetGroupSettings):
            api = aws.api("elbv2", region_of(settings.arn))
            opened.append(open_target_group(settings, api, machines, clock))
        elif isinstance(settings, ClassicElbSettings):
            opened.append(open_classic_elb(settings, aws.api("elb"), machines, clock))
    return tuple(opened)


def open_scaling_group(
    settings: AsgHosts, aws: Aws, machines: Machines, clock: Clock
) -> ScalingGroup:
    """Open the door to an Auto Scaling group."""
    return ScalingGroup(settings, aws.api("autoscaling"), machines, clock)


def region_of(arn: str) -> str | None:
    """The region that an ARN names: arn:partition:service:region:account:resource."""
    return arn.split(":")[3] or None


def region_of_app(app: FleetApp) -> str | None:
    """The region of the first ARN of an application; for what names none itself."""
    arns = (b.arn for b in app.balancers if isinstance(b, TargetGroupSettings))
    return next((region for arn in arns if (region := region_of(arn))), None)
