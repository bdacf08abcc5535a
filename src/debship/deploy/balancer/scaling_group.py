"""An Auto Scaling group, as a balancer: what leaves it stands by, and is not replaced meanwhile.

An instance that is only deregistered from a target group still counts in its group, which may
replace it, or register it again in the middle of an installation. In Standby it does neither
(Amazon EC2 Auto Scaling, "Temporarily remove instances").
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from debship.config.fleet import AsgHosts
from debship.deploy.aws import Api, AwsRefused
from debship.deploy.balancer.door import Member, Standing, Terms
from debship.deploy.clock import Clock
from debship.deploy.machines import Machines
from debship.errors import Failed

_STANDING = {
    "InService": Standing.IN,
    "Standby": Standing.OUT,
    "EnteringStandby": Standing.DRAINING,
    "Pending": Standing.WAVERING,
    "Pending:Wait": Standing.WAVERING,
    "Pending:Proceed": Standing.WAVERING,
}


@dataclass
class ScalingGroup:
    """One Auto Scaling group."""

    settings: AsgHosts
    api: Api
    machines: Machines
    clock: Clock
    terms: Terms = field(
        # It waits for the load balancers that it is attached to: at most an hour, AWS says.
        default_factory=lambda: Terms(drain=3660.0, rise=300.0, poll=5.0, drains_out=True)
    )
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _seen: tuple[float, dict[str, Any]] | None = None

    @property
    def name(self) -> str:
        """The group's name."""
        return f"asg/{self.settings.group}"

    def read(self) -> dict[str, Any]:
        """What AWS says of the group: instances, sizes, suspended processes, tags.

        Raises:
            Failed: there is no such group.
        """
        with self._lock:
            now = self.clock.monotonic()
            if self._seen is None or now - self._seen[0] >= self.terms.poll / 2:
                answer = self.api.call(
                    "describe_auto_scaling_groups", AutoScalingGroupNames=[self.settings.group]
                )
                if not answer["AutoScalingGroups"]:
                    raise Failed(f"{self.name}: there is no such Auto Scaling group here")
                self._seen = (now, answer["AutoScalingGroups"][0])
            return self._seen[1]

    def members(self) -> tuple[Member, ...]:
        """Read every instance of the group, whatever its state of life."""
        instances = {one["InstanceId"]: one for one in self.read()["Instances"]}
        machines = self.machines.by_id(instances)
        return tuple(self._member(one, machines) for one in instances.values())

    def absent(self, names: frozenset[str]) -> Member | None:
        """Nobody: the group itself makes its instances."""
        return None

    def take_out(self, member: Member) -> None:
        """Let it stand by; the group wants one fewer meanwhile, so it does not replace it."""
        if self.health(member).standing in {Standing.OUT, Standing.DRAINING}:
            return
        self._change("enter_standby", member, ShouldDecrementDesiredCapacity=True)

    def put_back(self, member: Member) -> None:
        """Let it serve again; the group registers it where it is attached.

        AWS refuses that for one that still enters Standby: it is left to do so.
        """
        if self.health(member).standing is Standing.OUT:
            self._change("exit_standby", member)

    def health(self, member: Member) -> Member:
        """Read how this instance stands now; DOWN where the group has let it go."""
        for candidate in self.members():
            if candidate.id == member.id:
                return candidate
        return replace(member, standing=Standing.DOWN, note="no longer in the group", gone=True)

    def change(self, operation: str, **arguments: Any) -> None:
        """Change the group, and forget what was seen before."""
        try:
            self.api.call(operation, AutoScalingGroupName=self.settings.group, **arguments)
        finally:
            self.forget()

    def forget(self) -> None:
        """Look anew at the next question."""
        with self._lock:
            self._seen = None

    def _change(self, operation: str, member: Member, **arguments: Any) -> None:
        before = self.health(member).standing
        try:
            self.change(operation, InstanceIds=[member.id], **arguments)
        except AwsRefused:
            # It may be the second asking of a call whose answer was lost after its effect.
            if self.health(member).standing is before:
                raise

    def _member(self, one: Mapping[str, Any], machines: Mapping[str, Any]) -> Member:
        id_, state = str(one["InstanceId"]), str(one["LifecycleState"])
        machine = machines.get(id_)
        return Member(
            balancer=self.name,
            id=id_,
            address=machine.address if machine else id_,
            port=0,
            standing=_STANDING.get(state, Standing.DOWN),
            connections=0,
            note=state,
            zone=str(one.get("AvailabilityZone", "")),
            names=machine.names if machine else frozenset(),
        )
