"""A target group of an Application or Network Load Balancer (the API of elbv2).

What its states mean: Elastic Load Balancing, "Health checks for your target groups". Membership
is forgotten by AWS when draining ends, port and zone with it; so it is written down before.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from debship.config.fleet import TargetGroupSettings
from debship.deploy.aws import Api, AwsRefused
from debship.deploy.balancer.door import Floor, Member, Standing, Terms
from debship.deploy.clock import Clock, length
from debship.deploy.machines import Machines, is_address
from debship.errors import Failed, Refused

_DELAY = "deregistration_delay"
_HEALTH = "target_group_health"
_SHIFTED = frozenset({"zonal_shift_active", "zonal_shift_delegated_to_dns"})
_LONG = 120.0  # seconds of draining, from which a person is told


@dataclass(frozen=True, slots=True)
class Group:
    """What a target group says of itself."""

    name: str
    by_instance: bool  # targets are instances; else they are addresses
    port: int
    checked: bool  # its health checks are on
    terms: Terms


@dataclass
class TargetGroup:
    """One target group, or its targets at one port."""

    settings: TargetGroupSettings
    group: Group
    api: Api
    machines: Machines
    clock: Clock
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _seen: tuple[float, tuple[Member, ...]] | None = None

    @property
    def name(self) -> str:
        """The group's name, with the port where the fleet names one."""
        port = f":{self.settings.port}" if self.settings.port else ""
        return f"target-group/{self.group.name}{port}"

    @property
    def terms(self) -> Terms:
        """By the group's own settings."""
        return self.group.terms

    def members(self) -> tuple[Member, ...]:
        """Read every target that is registered, or still draining.

        One question serves all who ask at the same time: a batch is as cheap as a host.
        """
        with self._lock:
            now = self.clock.monotonic()
            if self._seen is None or now - self._seen[0] >= self.terms.poll / 2:
                self._seen = (now, self._read())
            return self._seen[1]

    def absent(self, names: frozenset[str]) -> Member | None:
        """Say which target a host would be: its instance, or its address."""
        port = self.settings.port or self.group.port
        if self.group.by_instance:
            machine = self.machines.by_names(names)
            if machine is None:
                return None
            where = {"zone": machine.zone, "address": machine.address}
            return self._member(machine.id, port, Standing.OUT, "Target.NotRegistered", **where)
        address = min((name for name in names if is_address(name)), default=None)
        if address is None:
            return None
        return self._member(address, port, Standing.OUT, "Target.NotRegistered", address=address)

    def take_out(self, member: Member) -> None:
        """Deregister it: with its port, for the same machine may stand here at others."""
        try:
            self._change("deregister_targets", member)
        except AwsRefused as refused:
            if refused.code not in {"InvalidTarget", "InvalidTargetException"}:
                raise
            if self.health(member).standing is not Standing.OUT:
                raise

    def put_back(self, member: Member) -> None:
        """Register it as it was; for one that still drains, this ends the draining."""
        self._change("register_targets", member)

    def health(self, member: Member) -> Member:
        """Read how this target stands now."""
        for candidate in self.members():
            if (candidate.id, candidate.port) == (member.id, member.port):
                return candidate
        return replace(member, standing=Standing.OUT, note="Target.NotRegistered", away=False)

    def _change(self, operation: str, member: Member) -> None:
        target: dict[str, Any] = {"Id": member.id, "Port": member.port}
        if not self.group.by_instance and member.zone:
            target["AvailabilityZone"] = member.zone  # "all" for an address outside the VPC
        try:
            self.api.call(operation, TargetGroupArn=self.settings.arn, Targets=[target])
        finally:  # whatever became of it, what was seen before is no longer true
            with self._lock:
                self._seen = None

    def _read(self) -> tuple[Member, ...]:
        answer = self.api.call("describe_target_health", TargetGroupArn=self.settings.arn)
        told = answer["TargetHealthDescriptions"]
        told = [one for one in told if self.settings.port in {None, one["Target"].get("Port")}]
        if not self.group.by_instance:
            return self._see_through(self._judge(one, address=one["Target"]["Id"]) for one in told)
        machines = self.machines.by_id(one["Target"]["Id"] for one in told)
        members = []
        for one in told:
            machine = machines.get(one["Target"]["Id"])
            more: dict[str, Any] = {"address": one["Target"]["Id"]}
            if machine is not None:
                more = {
                    "address": machine.address,
                    "zone": machine.zone,
                    "names": machine.names,
                    "scaled_by": machine.group,
                }
            members.append(self._judge(one, **more))
        return self._see_through(members)

    def _judge(self, told: Mapping[str, Any], **more: Any) -> Member:
        target, health = told["Target"], told["TargetHealth"]
        state, reason = str(health["State"]), str(health.get("Reason", ""))
        override = str(told.get("AdministrativeOverride", {}).get("State", ""))
        more.setdefault("zone", str(target.get("AvailabilityZone") or ""))
        note = " ".join(filter(None, (state, reason, override if override in _SHIFTED else "")))
        found = self._member(
            str(target["Id"]), int(target.get("Port") or 0), standing(state, reason), note, **more
        )
        return replace(found, away=override in _SHIFTED)

    def _member(self, id_: str, port: int, standing: Standing, note: str, **more: Any) -> Member:
        return Member(self.name, id_, more.pop("address"), port, standing, 0, note=note, **more)

    def _see_through(self, members: Any) -> tuple[Member, ...]:
        """See through fail-open: with too few healthy ones, the sick get requests as well."""
        found = tuple(members)
        floor = self.terms.floor
        registered = [m for m in found if m.standing in {Standing.IN, Standing.DOWN}]
        open_zones = set()
        for zone in {m.zone for m in registered} if floor.by_zone else {None}:
            here = [m for m in registered if zone in {None, m.zone}]
            well = [m for m in here if m.standing is Standing.IN]
            if here and len(well) < floor.of(len(here)):
                open_zones.add(zone)

        def seen(member: Member) -> Member:
            fails_open = member.zone in open_zones if floor.by_zone else bool(open_zones)
            if member.standing is not Standing.DOWN or not fails_open:
                return member
            note = f"{member.note}; too few are healthy, so it gets requests all the same"
            return replace(member, standing=Standing.WAVERING, note=note)

        return tuple(seen(member) for member in found)


def standing(state: str, reason: str) -> Standing:
    """Judge a target by its state and the reason for it; a word that is new is neither in nor out.

    Only ``Target.NotRegistered`` means out: ``unused`` is also said of targets that nobody took
    out, of a group without a listener, and of stopped instances.
    """
    if state == "unused":
        return {
            "Target.NotRegistered": Standing.OUT,
            "Target.NotInUse": Standing.IDLE,
            "Target.InvalidState": Standing.DOWN,
            "Target.IpUnusable": Standing.DOWN,
        }.get(reason, Standing.WAVERING)
    if (state, reason) == ("unavailable", "Target.HealthCheckDisabled"):
        return Standing.IN  # it gets requests, and the host's own health is the only gate
    return {
        "healthy": Standing.IN,
        "initial": Standing.WAVERING,
        "unhealthy": Standing.DOWN,
        "unhealthy.draining": Standing.DOWN,  # registered still; its old connections are let go
        "draining": Standing.DRAINING,
    }.get(state, Standing.WAVERING)


def open_target_group(
    settings: TargetGroupSettings, api: Api, machines: Machines, clock: Clock
) -> TargetGroup:
    """Open the door to a target group: its settings are read once, here.

    Raises:
        Failed: it is not there, or may not be read.
        Refused: its targets are no hosts.
    """
    answer = api.call("describe_target_groups", TargetGroupArns=[settings.arn])
    if not answer["TargetGroups"]:
        raise Failed(f"{settings.arn}: there is no such target group")
    told = answer["TargetGroups"][0]
    if told.get("TargetType", "instance") not in {"instance", "ip"}:
        raise Refused(f"{settings.arn}: its targets are of type {told['TargetType']}, not hosts")
    answer = api.call("describe_target_group_attributes", TargetGroupArn=settings.arn)
    attributes = {one["Key"]: one["Value"] for one in answer["Attributes"]}
    group = Group(
        name=str(told["TargetGroupName"]),
        by_instance=told.get("TargetType", "instance") == "instance",
        port=int(told.get("Port") or 0),
        checked=bool(told.get("HealthCheckEnabled", True)),
        terms=read_terms(told, attributes, crosses_zones=_crosses(api, told, attributes)),
    )
    return TargetGroup(settings, group, api, machines, clock)


def read_terms(
    group: Mapping[str, Any], attributes: Mapping[str, str], *, crosses_zones: bool
) -> Terms:
    """Compute every deadline from the group's own settings (DescribeTargetGroups, ...Attributes)."""
    network = group.get("Protocol") not in {"HTTP", "HTTPS"}
    delay = float(attributes.get(f"{_DELAY}.timeout_seconds", 300))
    interval = float(group.get("HealthCheckIntervalSeconds") or 30)
    threshold = int(group.get("HealthyThresholdCount") or 5)
    timeout = float(group.get("HealthCheckTimeoutSeconds") or 10)
    checked = bool(group.get("HealthCheckEnabled", True))
    poll = min(5.0, max(0.5, min(delay or interval, interval) / 4))
    looks = 3 if checked else 1  # the first success alone makes a new target healthy
    floor = _floor(attributes, by_zone=not crosses_zones) if checked else Floor()
    cuts = attributes.get(f"{_DELAY}.connection_termination.enabled") == "true"
    return Terms(
        drain=delay + 60.0,
        # Network balancers take up to minutes until a new target gets its first check.
        rise=interval * threshold + timeout + (180.0 if network else 60.0),
        poll=poll,
        looks=looks,
        warm=float(attributes.get("slow_start.duration_seconds", 0)),
        usual_drain=delay,
        usual_rise=interval + looks * poll if checked else 0.0,
        lingers=network and not cuts,
        floor=floor,
        warnings=tuple(_warnings(delay, checked=checked, floor=floor, network=network, cuts=cuts)),
    )


def _floor(attributes: Mapping[str, str], *, by_zone: bool) -> Floor:
    counts, percents = [1], [0.0]
    for rule in ("unhealthy_state_routing", "dns_failover"):
        count = attributes.get(f"{_HEALTH}.{rule}.minimum_healthy_targets.count", "off")
        percent = attributes.get(f"{_HEALTH}.{rule}.minimum_healthy_targets.percentage", "off")
        counts += [int(count)] if count != "off" else []
        percents += [float(percent)] if percent != "off" else []
    return Floor(max(counts), max(percents), by_zone)


def _warnings(
    delay: float, *, checked: bool, floor: Floor, network: bool, cuts: bool
) -> Sequence[str]:
    found = []
    if delay >= _LONG:
        found.append(
            f"every batch drains for {length(delay)}, however idle it is ({_DELAY}.timeout_seconds)"
        )
    if delay == 0:
        found.append(f"draining is off: requests in flight are cut ({_DELAY}.timeout_seconds)")
    if not checked:
        found.append("its health checks are off: the host's own health is the only gate")
    if floor.by_zone:
        found.append("it does not cross zones: each zone must keep hosts that are well")
    if network and cuts:
        found.append("it cuts connections that outlive the drain (connection_termination)")
    return found


def _crosses(api: Api, group: Mapping[str, Any], attributes: Mapping[str, str]) -> bool:
    """Whether requests of one zone may go to targets in another."""
    own = attributes.get("load_balancing.cross_zone.enabled", "use_load_balancer_configuration")
    if own in {"true", "false"}:
        return own == "true"
    balancers = group.get("LoadBalancerArns", [])
    if group.get("Protocol") in {"HTTP", "HTTPS"} or not balancers:
        return True  # an Application Load Balancer always does
    for arn in balancers:
        answer = api.call("describe_load_balancer_attributes", LoadBalancerArn=arn)
        told = {one["Key"]: one["Value"] for one in answer["Attributes"]}
        if told.get("load_balancing.cross_zone.enabled", "false") != "true":
            return False
    return True
