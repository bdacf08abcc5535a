"""The fleet.toml of a rehearsal: production's, with the lab in the place of what is production's."""

import copy
from pathlib import Path
from typing import Any

from debship.config.fleet import Fleet, FleetApp, TargetGroupSettings
from debship.config.toml import place
from debship.lab.plan import Backend, LabPlan

FLEET_HEAD = "# Written anew by each `debship lab up`: edit the fleet.toml that it rehearses.\n"  # its first line
FABFILE = "from debship.fabfile import *  # noqa: F403\n"
_SUITE = "lab"  # of a lab that rehearses nobody's fleet.toml


def backends_of(fleet: Fleet) -> tuple[Backend, ...]:
    """The applications of a fleet that can stand behind a balancer: those that have a port."""
    found = ((app, _port(app)) for app in fleet.apps.values())
    return tuple(
        Backend(app.name, port, app.health.path if app.health else None)
        for app, port in found
        if port is not None
    )


def rehearsal(document: dict[str, Any] | None, folder: Path, plan: LabPlan) -> dict[str, Any]:
    """Put a lab in the place of a fleet.

    Args:
        document: a fleet.toml that ``read_fleet`` accepts, as TOML gives it; None for a new one.
        folder: what its relative paths are relative to.
        plan: the lab.

    Returns:
        The document of the rehearsal: where packages lie, how hosts are reached, which they are
        and what they stand behind are the lab's; the way they are rolled is as it was.
    """
    document = copy.deepcopy(document or {})
    repository = document.get("repository", {"suite": _SUITE})
    document["repository"] = {
        **repository,
        "store": str(plan.repository),
        "url": plan.repository_url,
    }
    document["ssh"] = {
        "user": "root",
        "identity": str(plan.identity),
        "known_hosts": str(plan.known_hosts),
        "connect_timeout": 5,
    }
    for name, app in document.get("apps", {}).items():
        app["hosts"] = [host.address for host in plan.hosts]
        app["balancers"] = [
            {"kind": "haproxy", "socket": str(plan.socket), "backend": backend.name}
            for backend in plan.backends
            if backend.name == name
        ]
        for file in app.get("files", []):
            file["template"] = str(place(folder, file["template"]))
        for secret in app.get("secrets", {}).values():
            if "file" in secret:
                secret["file"] = str(place(folder, secret["file"]))
    return document


def _port(app: FleetApp) -> int | None:
    if app.health:
        return app.health.port
    ports = (b.port for b in app.balancers if isinstance(b, TargetGroupSettings))
    return next((port for port in ports if port is not None), None)
