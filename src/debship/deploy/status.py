"""How a fleet stands, host by host, in every element that a roll converges."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from debship.deploy.configuration import RenderedFile, differing
from debship.deploy.observation import HostState
from debship.deploy.places import Place


@dataclass(frozen=True, slots=True)
class HostStatus:
    """One host: what is installed, what runs, its configuration, its places."""

    host: str
    installed: str
    running: str
    configuration: str
    places: str
    drift: tuple[str, ...]  # what is not as it should be

    def as_dict(self) -> dict[str, Any]:
        """The status for machines."""
        return {
            "host": self.host,
            "installed": self.installed,
            "running": self.running,
            "configuration": self.configuration,
            "places": self.places,
            "drift": list(self.drift),
        }


def judge(
    host: str, state: HostState, files: tuple[RenderedFile, ...], places: Sequence[Place]
) -> HostStatus:
    """Compare one host with itself and with what the fleet says."""
    version = str(state.package.version or "")
    installed = version if state.package.installed else f"{version} ({state.package.abbrev})"
    if state.package.absent:
        installed = "not installed"
    units = state.wanted_units
    running = ", ".join(
        dict.fromkeys(
            (unit.running or "no version") if unit.up else f"{unit.name} {unit.active}"
            for unit in units
            if unit.name.endswith(".service")
        )
    )
    different = tuple(file.path for file in differing(files, state))
    drift = []
    if not state.package.installed:
        drift.append("package")
    elif state.package.version is not None and not state.runs(state.package.version):
        drift.append("running version")
    if different or state.stale():
        drift.append("configuration")
    if any(place.member.standing.value != "in" for place in places):
        drift.append("balancer")
    if state.out is not None:
        drift.append(f"left out by roll {state.out.get('roll')}")
    return HostStatus(
        host,
        installed,
        running or "nothing",
        "as the fleet says" if not different else f"differs: {', '.join(different)}",
        ", ".join(f"{p.balancer.name} {p.member.standing.value}" for p in places) or "none",
        tuple(drift),
    )
