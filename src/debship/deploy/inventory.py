"""Which hosts an application has: a list, instances with tags, an Auto Scaling group."""

from debship.config.fleet import AsgHosts, Ec2Hosts, Inventory
from debship.deploy.balancer.scaling_group import ScalingGroup
from debship.deploy.machines import Machines, interleaved
from debship.errors import Refused

# Instances that begin are no hosts yet: the end of a roll finds them; those that end are none now.
_HOSTS = frozenset({"InService", "EnteringStandby", "Standby"})


def find_hosts(
    inventory: Inventory, machines: Machines, group: ScalingGroup | None
) -> tuple[str, ...]:
    """Find the hosts, as addresses or names to reach them by.

    AWS's are private addresses, in an order whose neighbours stand in different zones.

    Args:
        group: the door to the Auto Scaling group, where the inventory is one.

    Raises:
        Refused: there are none, or none that EC2 still has.
    """
    if isinstance(inventory, Ec2Hosts):
        found = machines.with_filters(inventory.tags)
        if not found:
            tags = ", ".join(f"{key} = {value}" for key, value in inventory.tags)
            raise Refused(
                f"EC2 has no running instance with {tags}",
                "is it the right region and account? see: aws sts get-caller-identity",
            )
        return tuple(machine.address for machine in interleaved(found))
    if isinstance(inventory, AsgHosts):
        assert group is not None
        group.forget()
        here = _in_service(group)
        if not here:
            raise Refused(
                f"{group.name}: it has no instance in service",
                f"see: {_activities(group)}",
            )
        known = machines.by_id(here)
        if not known:
            raise Refused(
                f"{group.name}: EC2 has none of its instances any more: {', '.join(here)}",
                f"wait until the group has replaced them; see: {_activities(group)}",
            )
        return tuple(machine.address for machine in interleaved(known.values()))
    return inventory


def missing(machines: Machines, group: ScalingGroup) -> tuple[str, ...]:
    """The instances that a group counts among its hosts, and EC2 has not: they have ended."""
    here = _in_service(group)
    known = machines.by_id(here)
    return tuple(one for one in here if one not in known)


def _in_service(group: ScalingGroup) -> tuple[str, ...]:
    told = group.read()["Instances"]
    return tuple(str(one["InstanceId"]) for one in told if one["LifecycleState"] in _HOSTS)


def _activities(group: ScalingGroup) -> str:
    name = group.settings.group
    return f"aws autoscaling describe-scaling-activities --auto-scaling-group-name {name}"
