"""EC2's own book of machines: which instance has which address, name and zone."""

import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from debship.deploy.aws import Api

_FILTERED = 200  # values that one filter may have (EC2, DescribeInstances)
_GROUP = "aws:autoscaling:groupName"  # AWS puts this tag on what it starts for a group
_GONE = frozenset({"terminated", "shutting-down"})


@dataclass(frozen=True, slots=True)
class Machine:
    """One instance."""

    id: str
    address: str  # the private one: what its neighbours and the balancers know it by
    zone: str
    state: str  # pending, running, stopping, stopped
    names: frozenset[str]  # every other address and name that it goes by
    group: str = ""  # the Auto Scaling group that runs it


@dataclass
class Machines:
    """Looks instances up, each once; what changes in them meanwhile is their standing, not these.

    Args:
        open_api: opens the door to EC2 when it is first needed: a fleet whose target groups know
            addresses never needs it, nor the right to it.
    """

    open_api: Callable[[], Api]
    _known: dict[str, Machine] = field(default_factory=dict)

    def by_id(self, ids: Iterable[str]) -> Mapping[str, Machine]:
        """Find instances by their ids; one that is gone is not among them."""
        wanted = tuple(dict.fromkeys(ids))
        unknown = [one for one in wanted if one not in self._known]
        for start in range(0, len(unknown), _FILTERED):
            # By a filter, for one unknown id among named ones fails the whole call.
            self._read({"instance-id": unknown[start : start + _FILTERED]})
        return {one: self._known[one] for one in wanted if one in self._known}

    def by_names(self, names: frozenset[str]) -> Machine | None:
        """Find the instance that goes by one of these names and addresses."""
        for machine in self._known.values():
            if names & {machine.id, machine.address, *machine.names}:
                return machine
        addresses = sorted(name for name in names if is_address(name))
        others = sorted(names - set(addresses))
        for key, values in (
            ("private-ip-address", addresses),
            ("ip-address", addresses),
            ("private-dns-name", others),
            ("dns-name", others),
            ("instance-id", [name for name in others if name.startswith("i-")]),
        ):
            if values and (found := self._read({key: values})):
                return found[0]
        return None

    def with_filters(self, filters: Sequence[tuple[str, str]]) -> tuple[Machine, ...]:
        """Find the running instances that match all of these filters, such as ``tag:app``."""
        wanted = {key: [value] for key, value in filters}
        return tuple(self._read({"instance-state-name": ["running"], **wanted}))

    def _read(self, filters: Mapping[str, Sequence[str]]) -> list[Machine]:
        reservations = self.open_api().pages(
            "describe_instances",
            "Reservations",
            Filters=[{"Name": key, "Values": list(values)} for key, values in filters.items()],
        )
        instances = [one for each in reservations for one in each.get("Instances", [])]
        found = [_machine(one) for one in instances]
        found = [machine for machine in found if machine.state not in _GONE and machine.address]
        self._known.update({machine.id: machine for machine in found})
        return found


def _machine(one: Mapping[str, Any]) -> Machine:
    interfaces = one.get("NetworkInterfaces", [])
    names = {one.get(key) for key in ("PublicIpAddress", "PublicDnsName", "PrivateDnsName")}
    for interface in interfaces:
        names |= {a.get("PrivateIpAddress") for a in interface.get("PrivateIpAddresses", [])}
        names |= {a.get("Ipv6Address") for a in interface.get("Ipv6Addresses", [])}
    return Machine(
        id=str(one["InstanceId"]),
        address=str(one.get("PrivateIpAddress") or ""),
        zone=str(one.get("Placement", {}).get("AvailabilityZone") or ""),
        state=str(one.get("State", {}).get("Name") or ""),
        names=frozenset(str(name) for name in names if name),
        group={tag["Key"]: str(tag["Value"]) for tag in one.get("Tags", [])}.get(_GROUP, ""),
    )


def is_address(name: str) -> bool:
    """Whether this is an IP address rather than a name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def interleaved(machines: Iterable[Machine]) -> tuple[Machine, ...]:
    """Order machines so that neighbours stand in different zones: a batch then spreads over them."""
    ordered = sorted(machines, key=lambda machine: (machine.zone, machine.id))
    rank: dict[str, int] = {}
    keys = {}
    for machine in ordered:
        rank[machine.zone] = rank.get(machine.zone, -1) + 1
        keys[machine.id] = (rank[machine.zone], machine.zone, machine.id)
    return tuple(sorted(ordered, key=lambda machine: keys[machine.id]))
