"""lab.json: the plan of a lab, written before anything of it is made, and what runs of it."""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from debship.errors import Failed
from debship.lab.group import Process
from debship.lab.plan import Backend, HostPlan, LabPlan

_FORMAT = 1

BALANCER = "balancer"
SERVER = "repository"


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a lab.

    Attributes:
        plan: what it is made of.
        processes: of each host its systemd, by the host's name; beside them ``BALANCER`` and
            ``SERVER``.
    """

    plan: LabPlan
    processes: dict[str, Process] = field(default_factory=dict)

    def running(self, name: str, process: Process) -> "Record":
        """The same, with one more process."""
        return replace(self, processes={**self.processes, name: process})


def read_record(state: Path) -> Record | None:
    """Read what is known of the lab in a folder; None where there is none.

    Raises:
        Failed: the record is of another debship.
    """
    path = state / "lab.json"
    try:
        return parse_record(json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise Failed(
            f"{path}: not the record of a lab", "it may be of another version of debship"
        ) from error


def write_record(record: Record) -> None:
    """Write it, in one step."""
    path = record.plan.state / "lab.json"
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(render_record(record), indent=2) + "\n")
    beside.rename(path)


def render_record(record: Record) -> dict[str, Any]:
    """Give the record as what JSON can hold."""
    plan = asdict(record.plan)
    for place in ("state", "runtime", "cache"):
        plan[place] = str(plan[place])
    processes = {name: asdict(process) for name, process in record.processes.items()}
    return {"format": _FORMAT, "plan": plan, "processes": processes}


def parse_record(found: dict[str, Any]) -> Record:
    """Read what ``render_record`` gave.

    Raises:
        ValueError, KeyError, TypeError: it is something else.
    """
    if found["format"] != _FORMAT:
        raise ValueError(found["format"])
    plan = found["plan"]
    return Record(
        plan=LabPlan(
            name=plan["name"],
            number=plan["number"],
            state=Path(plan["state"]),
            runtime=Path(plan["runtime"]),
            cache=Path(plan["cache"]),
            hosts=tuple(HostPlan(**host) for host in plan["hosts"]),
            packages=tuple(plan["packages"]),
            backends=tuple(Backend(**backend) for backend in plan["backends"]),
            containers=plan.get("containers", False),
        ),
        processes={name: Process(**known) for name, known in found["processes"].items()},
    )
