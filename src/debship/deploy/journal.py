"""What a roll writes down before it acts: on this machine, and on the hosts themselves."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from debship.deploy.clock import Clock
from debship.deploy.host import Host
from debship.deploy.places import Place
from debship.deploy.plan import RollPlan
from debship.errors import Failed


class Journal:
    """One roll's journal on this machine: a JSON object a line, on disk before the act."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Begin a journal; the folder is made where it is missing."""
        self.path = path
        self._clock = clock
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Failed(f"{path.parent}: no journal can be kept here: {error.strerror}") from error

    def write(self, event: str, host: str = "", **facts: Any) -> None:
        """Add a line and see it on disk.

        Raises:
            Failed: the disk would not take it, so what it announces must not be done.
        """
        line = json.dumps({"time": self._clock.now(), "event": event, "host": host, **facts})
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(descriptor, line.encode() + b"\n")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise Failed(
                f"{self.path}: the journal cannot be written: {error.strerror}",
                "nothing further was done",
            ) from error


def _folder(plan: RollPlan) -> str:
    return f"/var/lib/debship/{plan.app.package}"


def record_out(host: Host, plan: RollPlan, places: Sequence[Place], clock: Clock) -> None:
    """Write down on the host that this roll takes it out, and of what, before it does.

    A roll that dies here is finished by the next one, from any machine: the record tells it that
    the host was out by our doing, not by an administrator's.
    """
    record = {
        "roll": plan.roll,
        "by": plan.by,
        "since": clock.now(),
        "version": str(plan.version),
        "places": [
            {
                "balancer": p.balancer.name,
                "id": p.member.id,
                "port": p.member.port,
                "zone": p.member.zone,
            }
            for p in places
        ],
    }
    _put(host, f"{_folder(plan)}/out.json", record)


def clear_out(host: Host, plan: RollPlan) -> None:
    """Take the record away: the host is back."""
    answer = host.run(("rm", "-f", "--", f"{_folder(plan)}/out.json"))
    if answer.returncode != 0:
        raise Failed(f"{host.address}: out.json could not be removed: {answer.complaint}")


def record_version(host: Host, plan: RollPlan, previous: str | None, clock: Clock) -> None:
    """Write down which version this host was left with, and what it had before."""
    record = {
        "version": str(plan.version),
        "previous": previous,
        "roll": plan.roll,
        "by": plan.by,
        "at": clock.now(),
    }
    _put(host, f"{_folder(plan)}/version.json", record)


def _put(host: Host, path: str, record: dict[str, Any]) -> None:
    data = json.dumps(record, sort_keys=True).encode() + b"\n"
    host.put(path, data, owner="root", group="root", mode=0o644)
