"""How a fleet stands, host by host, in every element that a roll converges."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from debship.config.fleet import Fleet, FleetApp
from debship.deploy import campaign
from debship.deploy.asking import reason
from debship.deploy.balancer.door import Standing
from debship.deploy.campaign import World
from debship.deploy.configuration import RenderedFile, differing
from debship.deploy.observation import HostState
from debship.deploy.places import Place, find_places
from debship.errors import DebshipError, Refused

_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class HostStatus:
    """One host: what is installed, what runs, its configuration, its places."""

    host: str
    installed: str
    running: str
    configuration: str
    places: str
    drift: tuple[str, ...]  # what is not as it should be
    unknown: tuple[str, ...] = ()  # why something of it could not be told
    hints: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The status for machines."""
        return {
            "host": self.host,
            "installed": self.installed,
            "running": self.running,
            "configuration": self.configuration,
            "places": self.places,
            "drift": list(self.drift),
            "unknown": list(self.unknown),
        }

    def line(self, width: int) -> str:
        """The status for people, where the longest name of a host is so wide."""
        drift = f"  DRIFT: {', '.join(self.drift)}" if self.drift else ""
        if self.installed == _UNKNOWN:
            said = f"{_UNKNOWN}: {self.unknown[0]}"
        else:
            said = (
                f"installed {self.installed}  running {self.running}  "
                f"configuration {self.configuration}"
            )
        return f"{self.host:<{width}}  {said}  {self.places}{drift}"


def look(fleet: Fleet, app: FleetApp, world: World) -> tuple[HostStatus, ...]:
    """See how every host stands; what cannot be told of one keeps back nothing of the others."""
    names = campaign.host_names(app)
    with campaign.connected(names, world.connect) as hosts:
        seen = campaign.observe_each(app, hosts, world.workers)
    states = seen.told | seen.silent
    files = _files(fleet, app, names, world)
    places = _places(names, world, {name: state.out for name, state in seen.told.items()})
    return tuple(judge(name, states[name], files[name], places[name]) for name in names)


def _files(
    fleet: Fleet, app: FleetApp, names: Sequence[str], world: World
) -> Mapping[str, tuple[RenderedFile, ...] | DebshipError]:
    """What every host is to have; at night the secrets may not be at hand."""
    try:
        return campaign.render_all(fleet, app, names, world)[0]
    except DebshipError as error:
        return dict.fromkeys(names, error)


def _places(
    names: tuple[str, ...], world: World, written: Mapping[str, Mapping[str, Any] | None]
) -> Mapping[str, tuple[Place, ...] | DebshipError]:
    """Find every host in the balancers, those that stand in all of them at least."""
    try:
        return find_places(names, world.balancers, world.resolve, written)
    except Refused as error:  # of some host: each by itself then
        if len(names) == 1:
            return {names[0]: error}
        return {name: _places((name,), world, written)[name] for name in names}
    except DebshipError as error:
        return dict.fromkeys(names, error)


def judge(
    host: str,
    state: HostState | DebshipError,
    files: tuple[RenderedFile, ...] | DebshipError,
    places: Sequence[Place] | DebshipError,
) -> HostStatus:
    """Compare one host with itself and with what the fleet says, as far as either is known."""
    errors = [one for one in (state, files, places) if isinstance(one, DebshipError)]
    found = _seen(host, state, files, () if isinstance(places, DebshipError) else places)
    if isinstance(places, DebshipError):
        found = replace(found, places=f"{_UNKNOWN}: {reason(host, places)}")
    return replace(
        found,
        unknown=tuple(reason(host, error) for error in errors),
        hints=tuple(error.hint for error in errors if error.hint),
    )


def _seen(
    host: str,
    state: HostState | DebshipError,
    files: tuple[RenderedFile, ...] | DebshipError,
    places: Sequence[Place],
) -> HostStatus:
    stand = ", ".join(f"{p.balancer.name} {p.member.standing.value}" for p in places) or "none"
    aside = any(place.member.standing is not Standing.IN for place in places)
    if isinstance(state, DebshipError):
        known = ("balancer",) if aside else ()
        return HostStatus(host, _UNKNOWN, _UNKNOWN, _UNKNOWN, stand, known)
    different: tuple[str, ...] = ()
    configuration = "as the fleet says"
    if isinstance(files, DebshipError):
        configuration = f"{_UNKNOWN}: {reason(host, files)}"
    elif different := tuple(file.path for file in differing(files, state)):
        configuration = f"differs: {', '.join(different)}"
    drift = _drift(state, differs=bool(different), aside=aside)
    return HostStatus(host, _installed(state), _running(state), configuration, stand, drift)


def _installed(state: HostState) -> str:
    version = str(state.package.version or "")
    if state.package.absent:
        return "nothing"
    return version if state.package.installed else f"{version} ({state.package.abbrev})"


def _running(state: HostState) -> str:
    told = (
        (unit.running or "no version") if unit.up else f"{unit.name} {unit.active}"
        for unit in state.wanted_units
        if unit.name.endswith(".service")
    )
    return ", ".join(dict.fromkeys(told)) or "nothing"


def _drift(state: HostState, *, differs: bool, aside: bool) -> tuple[str, ...]:
    drift = []
    if not state.package.installed:
        drift.append("package")
    elif state.package.version is not None and not state.runs(state.package.version):
        drift.append("running version")
    if differs or state.stale():
        drift.append("configuration")
    if aside:
        drift.append("balancer")
    if state.out is not None:
        drift.append(f"left out by roll {state.out.get('roll')}")
    return tuple(drift)
