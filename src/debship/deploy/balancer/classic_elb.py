"""A classic Elastic Load Balancer (the API of elb, 2012-06-01).

A state alone says little there: a sick instance and one that left are both ``OutOfService``, and
one that drains is ``InService``. What tells them apart is whether it is registered, and the
description.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from debship.config.fleet import ClassicElbSettings
from debship.deploy.aws import Api, AwsRefused
from debship.deploy.balancer.door import Floor, Member, Standing, Terms
from debship.deploy.clock import Clock, length
from debship.deploy.machines import Machine, Machines
from debship.errors import Failed

_LONG = 120.0  # seconds of draining, from which a person is told


@dataclass
class ClassicElb:
    """One classic load balancer; its members are instances, and all share the listeners' ports."""

    settings: ClassicElbSettings
    terms: Terms
    port: int  # of its first listener's instances
    api: Api
    machines: Machines
    clock: Clock
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _named: set[str] = field(default_factory=set)  # asked for by name where the list has them not
    _seen: tuple[float, tuple[Member, ...]] | None = None

    @property
    def name(self) -> str:
        """The balancer's name."""
        return f"classic-elb/{self.settings.name}"

    def members(self) -> tuple[Member, ...]:
        """Read every instance that is registered, or still draining."""
        with self._lock:
            now = self.clock.monotonic()
            if self._seen is None or now - self._seen[0] >= self.terms.poll / 2:
                self._seen = (now, self._read())
            return self._seen[1]

    def absent(self, names: frozenset[str]) -> Member | None:
        """Say which instance a host is."""
        machine = self.machines.by_names(names)
        if machine is None:
            return None
        return self._member(machine.id, machine, Standing.OUT, "not registered")

    def take_out(self, member: Member) -> None:
        """Deregister it."""
        try:
            self._change("deregister_instances_from_load_balancer", member)
        except AwsRefused as refused:
            if refused.code not in {"InvalidInstance", "InvalidEndPoint"}:
                raise

    def put_back(self, member: Member) -> None:
        """Register it; for one that still drains, this ends the draining."""
        self._change("register_instances_with_load_balancer", member)

    def health(self, member: Member) -> Member:
        """Read how this instance stands now."""
        with self._lock:
            if member.id not in self._named:
                self._named.add(member.id)
                self._seen = None
        for candidate in self.members():
            if candidate.id == member.id:
                return candidate
        return replace(member, standing=Standing.OUT, note="not registered")

    def _change(self, operation: str, member: Member) -> None:
        try:
            self.api.call(
                operation,
                LoadBalancerName=self.settings.name,
                Instances=[{"InstanceId": member.id}],
            )
        finally:
            with self._lock:
                self._seen = None

    def _read(self) -> tuple[Member, ...]:
        told = {one["InstanceId"]: one for one in self._states()}
        for id_ in sorted(self._named - set(told)):
            # The list need not hold one that drains; asked by its name, AWS tells.
            told.update({one["InstanceId"]: one for one in self._states(id_)})
        machines = self.machines.by_id(told)
        return tuple(
            self._member(id_, machines.get(id_), standing(one), _note(one))
            for id_, one in told.items()
            if standing(one) is not Standing.OUT
        )

    def _states(self, *ids: str) -> Sequence[Mapping[str, Any]]:
        named = {"Instances": [{"InstanceId": one} for one in ids]} if ids else {}
        try:
            answer = self.api.call(
                "describe_instance_health", LoadBalancerName=self.settings.name, **named
            )
        except AwsRefused as refused:
            if ids and refused.code in {"InvalidInstance", "InvalidEndPoint"}:
                return ()
            raise
        states: Sequence[Mapping[str, Any]] = answer["InstanceStates"]
        return states

    def _member(self, id_: str, machine: Machine | None, standing: Standing, note: str) -> Member:
        address, zone = (machine.address, machine.zone) if machine else (id_, "")
        names, group = (machine.names, machine.group) if machine else (frozenset(), "")
        return Member(self.name, id_, address, self.port, standing, 0, note, zone, names, group)


def standing(told: Mapping[str, Any]) -> Standing:
    """Judge an instance by its state and its description (DescribeInstanceHealth)."""
    state, said = str(told.get("State")), str(told.get("Description", "")).lower()
    if "not currently registered" in said:
        return Standing.OUT
    if "deregistration currently in progress" in said:
        return Standing.DRAINING
    if state == "InService":
        return Standing.IN
    if state == "OutOfService":
        return Standing.WAVERING if "still in progress" in said else Standing.DOWN
    return Standing.WAVERING


def _note(told: Mapping[str, Any]) -> str:
    said = str(told.get("Description", ""))
    return f"{told.get('State')} {said if said != 'N/A' else ''}".strip()


def open_classic_elb(
    settings: ClassicElbSettings, api: Api, machines: Machines, clock: Clock
) -> ClassicElb:
    """Open the door to a classic load balancer: its settings are read once, here.

    Raises:
        Failed: it is not there, or may not be read.
    """
    answer = api.call("describe_load_balancers", LoadBalancerNames=[settings.name])
    if not answer["LoadBalancerDescriptions"]:
        raise Failed(f"classic-elb/{settings.name}: there is no such load balancer")
    told = answer["LoadBalancerDescriptions"][0]
    answer = api.call("describe_load_balancer_attributes", LoadBalancerName=settings.name)
    listeners = told.get("ListenerDescriptions", [])
    port = int(listeners[0]["Listener"]["InstancePort"]) if listeners else 0
    terms = read_terms(told.get("HealthCheck", {}), answer["LoadBalancerAttributes"])
    return ClassicElb(settings, terms, port, api, machines, clock)


def read_terms(check: Mapping[str, Any], attributes: Mapping[str, Any]) -> Terms:
    """Compute every deadline from the balancer's own settings."""
    draining = attributes.get("ConnectionDraining", {})
    delay = float(draining.get("Timeout") or 300) if draining.get("Enabled") else 0.0
    interval = float(check.get("Interval") or 30)
    threshold = int(check.get("HealthyThreshold") or 10)
    poll = min(5.0, max(0.5, interval / 4))
    crosses = bool(attributes.get("CrossZoneLoadBalancing", {}).get("Enabled"))
    warnings = []
    if not delay:
        warnings.append("draining is off: requests in flight are cut (ConnectionDraining)")
    if delay >= _LONG:
        warnings.append(f"a batch may drain for {length(delay)} (ConnectionDraining)")
    if not crosses:
        warnings.append("it does not cross zones: each zone must keep hosts that are well")
    return Terms(
        drain=delay + 60.0,
        # Every registration begins anew: the whole threshold counts.
        rise=interval * threshold + float(check.get("Timeout") or 5) + 60.0,
        poll=poll,
        looks=2,
        usual_drain=min(delay, poll),  # it ends with the last request
        usual_rise=interval * threshold + 2 * poll,
        floor=Floor(count=1, by_zone=not crosses),
        warnings=tuple(warnings),
    )
