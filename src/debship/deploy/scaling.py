"""Holding an Auto Scaling group still while its hosts are rolled, and letting it go as it was.

What was changed is written on the group itself, as a tag, before it is changed: whoever comes
after a roll that died lets go of exactly that, from any machine.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from debship.deploy.balancer.scaling_group import ScalingGroup
from debship.deploy.say import Say
from debship.errors import DebshipError, Refused

TAG = "debship:held"
# What would start, end, move or re-register instances under our hands. Launch and Terminate go on:
# without Launch no instance leaves Standby, and one that dies is still replaced after the roll.
PROCESSES = ("AZRebalance", "AlarmNotification", "ReplaceUnhealthy", "ScheduledActions")


@dataclass(frozen=True, slots=True)
class Hold:
    """What a roll changed in a group, to be undone."""

    minimum: int  # the group's own MinSize
    resume: tuple[str, ...]  # processes that ran before

    def text(self) -> str:
        """As a tag's value, which may hold no other signs than + - = . _ : / @ (EC2, tags)."""
        return " ".join((f"min={self.minimum}", f"resume={':'.join(self.resume)}"))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read a tag's value; None where a person wrote something else."""
        parts = dict(part.partition("=")[::2] for part in text.split())
        if not parts.get("min", "").isdigit():
            return None
        resume = tuple(name for name in parts.get("resume", "").split(":") if name in PROCESSES)
        return cls(int(parts["min"]), resume)


@contextlib.contextmanager
def held(group: ScalingGroup, most: int, say: Say) -> Iterator[Sequence[str]]:
    """Hold a group for a roll that takes out at most so many hosts at once; let go at the end.

    Yields:
        what the report must say where the group could not be let go; empty until the end.

    Raises:
        Refused: the group cannot start instances now, so none could leave Standby.
        Failed: AWS would not have it held.
    """
    hold(group, most, say)
    still_held: list[str] = []
    try:
        yield still_held
    except BaseException:
        _let_go_all_the_same(group, say)
        raise
    try:
        lines = let_go(group)
    except DebshipError as error:
        still_held.append(_still_held(group, error))
    else:
        for line in lines:
            say(line)


def _let_go_all_the_same(group: ScalingGroup, say: Say) -> None:
    """Let go where something else ended: that is what people must be told, and this beside it."""
    try:
        for line in let_go(group):
            say(line)
    except DebshipError as error:
        say(_still_held(group, error))


def _still_held(group: ScalingGroup, error: DebshipError) -> str:
    hint = f" ({error.hint})" if error.hint else ""
    return (
        f"{group.name} is still held: {error.message}{hint}; "
        "the next deploy, or fab restore, lets it go"
    )


def hold(group: ScalingGroup, most: int, say: Say = lambda _: None) -> Hold:
    """Suspend what would interfere and make room below MinSize; written on the group first.

    Raises:
        Refused: the group cannot start instances now.
        Failed: AWS says no; what was done before that is undone.
    """
    group.forget()
    told = group.read()
    suspended = {one["ProcessName"] for one in told.get("SuspendedProcesses", [])}
    if "Launch" in suspended:
        raise Refused(
            f"{group.name}: its process Launch is suspended, so nothing could leave Standby",
            f"aws autoscaling resume-processes --auto-scaling-group-name {group.settings.group} "
            "--scaling-processes Launch",
        )
    # A roll that died left its tag: what it found is what the group was, not what is there now.
    found = _read_tag(told)
    still = tuple(name for name in PROCESSES if name not in suspended)
    if found is None:
        found = Hold(int(told["MinSize"]), still)
        _write_tag(group, found)
    try:
        _make_still(group, still, max(0, int(told["DesiredCapacity"]) - most), told)
    except BaseException:
        _let_go_all_the_same(group, say)
        raise
    return found


def _make_still(
    group: ScalingGroup, still: Sequence[str], room: int, told: Mapping[str, Any]
) -> None:
    if still:
        group.change("suspend_processes", ScalingProcesses=list(still))
    if room < int(told["MinSize"]):
        group.change("update_auto_scaling_group", MinSize=room)


def let_go(group: ScalingGroup) -> tuple[str, ...]:
    """Make a group again what it was before a roll held it; what could not be is told.

    MinSize is raised no further than to the instances that the group wants now: raising it over
    them would start new ones in the place of those that were left out.
    """
    group.forget()
    told = group.read()
    found = _read_tag(told)
    if found is None:
        return ()
    suspended = {one["ProcessName"] for one in told.get("SuspendedProcesses", [])}
    resume = [name for name in found.resume if name in suspended]
    if resume:
        group.change("resume_processes", ScalingProcesses=resume)
    size = min(found.minimum, int(told["DesiredCapacity"]))
    if size != int(told["MinSize"]):
        group.change("update_auto_scaling_group", MinSize=size)
    if size < found.minimum:
        return (
            f"{group.name}: MinSize stays {size} instead of {found.minimum} while hosts of it "
            "stand by; the next roll that brings them back raises it",
        )
    group.api.call("delete_tags", Tags=[_tag(group, found)])
    group.forget()
    return ()


def _read_tag(told: Mapping[str, Any]) -> Hold | None:
    for tag in told.get("Tags", []):
        if tag["Key"] == TAG:
            return Hold.parse(tag["Value"])
    return None


def _write_tag(group: ScalingGroup, found: Hold) -> None:
    group.api.call("create_or_update_tags", Tags=[_tag(group, found)])
    group.forget()


def _tag(group: ScalingGroup, found: Hold) -> dict[str, Any]:
    return {
        "ResourceId": group.settings.group,
        "ResourceType": "auto-scaling-group",
        "Key": TAG,
        "Value": found.text(),
        "PropagateAtLaunch": False,
    }
