"""Switching a lab off: nothing of it stays."""

from collections.abc import Callable
from pathlib import Path

from debship.lab import host
from debship.lab.group import Group
from debship.lab.lab import Lab
from debship.lab.limits import make_room
from debship.lab.mounts import detach, remove_tree
from debship.lab.network import take_bridge_away
from debship.lab.numbers import alone, owned, release_number
from debship.lab.plan import LabPlan
from debship.lab.record import read_record
from debship.run import Run


def down(state: Path, *, runtime: Path, run: Run, say: Callable[[str], None]) -> bool:
    """Take a lab away: its processes, mounts, network, and its folder with all that is in it.

    Args:
        state: the lab's folder.
        runtime: where numbers are reserved.
        run: the door to local programs.
        say: hears what is being done.

    Returns:
        Whether there was one.

    Raises:
        Failed: something of it could not be taken away; what is left is still known.
    """
    with alone(state, runtime=runtime):
        known = read_record(state)
        number = owned(state, runtime=runtime)
        # After a restart of the machine the number may be another lab's; of this one there is
        # nothing but its folder then.
        if known is not None and known.plan.number == number:
            say(f"taking lab {known.plan.name} down")
            _take_apart(known.plan, run)
        remove_tree(state)
        if number is not None:
            release_number(number, runtime=runtime)
        make_room(runtime=runtime, say=say)
    return known is not None


def labs(base: Path) -> tuple[Lab, ...]:
    """Find all labs below a folder, by name."""
    found = (read_record(path.parent) for path in sorted(base.glob("*/lab.json")))
    return tuple(Lab(record) for record in found if record is not None)


def _take_apart(plan: LabPlan, run: Run) -> None:
    Group.of(plan.bridge).end()
    for one in plan.hosts:
        host.stop(plan, one, run)
        detach(plan.folder(one) / "root")
    take_bridge_away(plan, run)
