"""What stands before a roll: the doors opened, the version found, every host made ready."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from debship.config.fleet import Fleet, FleetApp
from debship.deploy import apt
from debship.deploy.aws import Aws
from debship.deploy.balancer.door import Balancer
from debship.deploy.clock import Clock
from debship.deploy.configuration import RenderedFile, render_files, resolve_secrets
from debship.deploy.host import Host
from debship.deploy.observation import HostState, observe
from debship.deploy.places import Resolve, find_places, remembered, standing, unusable
from debship.deploy.plan import RollPlan, costless_first, plan_roll
from debship.deploy.prepare import prepare, refresh
from debship.deploy.roll import Doors
from debship.errors import DebshipError, Failed, Misused, Refused
from debship.model import DebVersion, Secret
from debship.run import Run

T = TypeVar("T")
MOST = 32  # hosts that are worked on at once


@dataclass(frozen=True)
class World:
    """Everything outside that a campaign reaches: handed in, so that tests hand in fakes."""

    connect: Callable[[str], Host]
    balancers: tuple[Balancer, ...]
    resolve: Resolve
    run: Run
    env: Mapping[str, str]
    clock: Clock
    aws: Aws | None = None  # None where nothing of the fleet is AWS's


@dataclass(frozen=True)
class Ready:
    """A plan, and the doors to walk it through."""

    plan: RollPlan
    doors: Doors
    also: tuple[str, ...]  # other packages that the installation changes


def pick_app(fleet: Fleet, name: str) -> FleetApp:
    """Find an application of a fleet.

    Raises:
        Misused: the fleet has none of this name.
    """
    if name not in fleet.apps:
        known = ", ".join(sorted(fleet.apps)) or "none"
        raise Misused(f'{fleet.path.name} has no application "{name}"', f"it has {known}")
    return fleet.apps[name]


@contextlib.contextmanager
def connected(names: Sequence[str], connect: Callable[[str], Host]) -> Iterator[dict[str, Host]]:
    """Doors to hosts, all let go at the end; a host is reached when it is first asked."""
    hosts = {name: connect(name) for name in names}
    try:
        yield hosts
    finally:
        for host in hosts.values():
            host.close()


def together(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Do several things at once, in threads; their results in order, the first error raised."""
    if len(calls) == 1:
        return [calls[0]()]
    with ThreadPoolExecutor(max_workers=min(MOST, max(1, len(calls)))) as pool:
        return list(pool.map(lambda call: call(), calls))


def everywhere(hosts: Mapping[str, Host], action: Callable[[Host], T], what: str) -> dict[str, T]:
    """Do one thing on every host at once.

    Raises:
        Failed: some hosts could not; all of them are named.
    """

    def attempt(host: Host) -> T | DebshipError:
        try:
            return action(host)
        except DebshipError as error:
            return error

    results = together([lambda host=host: attempt(host) for host in hosts.values()])  # type: ignore[misc]
    errors = [result for result in results if isinstance(result, DebshipError)]
    if errors:
        message = "\n".join(dict.fromkeys(error.message for error in errors))
        hint = next((error.hint for error in errors if error.hint), None)
        kind = type(errors[0]) if len({type(e) for e in errors}) == 1 else Failed
        raise kind(f"{message}\n{what}", hint)
    return dict(zip(hosts, results, strict=True))  # type: ignore[arg-type]


def find_version(app: FleetApp, hosts: Mapping[str, Host], wanted: str | None) -> DebVersion:
    """Find the version that is meant, as every host can get it; only indices are read.

    Raises:
        Misused: it is not in the repository, or not for every host.
    """
    offers = everywhere(hosts, lambda h: refresh(h, app.package), "nothing was changed")
    version = apt.choose(wanted, next(iter(offers.values())), app.package)
    without = [name for name, offered in offers.items() if version not in offered]
    if without:
        raise Misused(
            f"{app.package} {version} is not offered to {', '.join(without)}",
            "do all hosts read the same suite? see: fab bootstrap",
        )
    return version


def last_change(states: Mapping[str, HostState]) -> DebVersion:
    """Find the version that the newest roll replaced.

    Raises:
        Refused: no host remembers one.
    """
    records = [state.history for state in states.values() if state.history]
    newest = max(records, key=lambda record: str(record.get("roll")), default=None)
    if newest is None or not newest.get("previous"):
        raise Refused(
            "no host remembers a version before this one", "name it: fab rollback --version V"
        )
    return DebVersion(str(newest["previous"]))


def observe_all(app: FleetApp, hosts: Mapping[str, Host]) -> dict[str, HostState]:
    """Read the state of every host."""
    files = tuple(str(file.path) for file in app.files)
    return everywhere(hosts, lambda h: observe(h, app.package, files), "nothing was changed")


def render_all(
    fleet: Fleet, app: FleetApp, names: Sequence[str], world: World
) -> tuple[dict[str, tuple[RenderedFile, ...]], tuple[Secret, ...]]:
    """Get the secrets and render every host's files, before anything is touched."""
    folder = fleet.path.parent
    secrets = resolve_secrets(
        app.secrets, run=world.run, env=world.env, folder=folder, aws=world.aws
    )
    files = {name: render_files(app, name, secrets) for name in names}
    return files, tuple(secrets.values())


def make_ready(
    fleet: Fleet,
    app: FleetApp,
    version: DebVersion,
    hosts: Mapping[str, Host],
    world: World,
    *,
    roll: str,
    by: str,
    dry: bool = False,
) -> Ready:
    """Make everything ready while every host still serves, and plan the roll.

    Args:
        dry: only plan; nothing is fetched and nothing is mended.

    Raises:
        Failed, Refused: something would not work; no host has left its balancer.
    """
    names = tuple(hosts)
    files, secrets = render_all(fleet, app, names, world)
    places = find_places(names, world.balancers, world.resolve)
    if idle := unusable(place for mine in places.values() for place in mine):
        raise Refused(idle, "wire it to a load balancer, or take it out of fleet.toml")
    also: tuple[str, ...] = ()
    if not dry:
        paths = tuple(str(file.path) for file in app.files)
        prepared = everywhere(
            hosts,
            lambda host: prepare(host, app.package, version, paths, clock=world.clock),
            "every host still serves as before",
        )
        also = tuple(sorted({change for p in prepared.values() for change in p.also}))
        places = {name: remembered(places[name], prepared[name].state.out) for name in names}
    order = costless_first(names, {name: standing(places[name]) for name in names})
    terms = tuple((balancer.name, balancer.terms) for balancer in world.balancers)
    plan = plan_roll(app, version, order, roll=roll, by=by, balancers=terms)
    return Ready(plan, Doors(hosts, places, files, secrets), also)


def where_journals_lie(env: Mapping[str, str], app: FleetApp, roll: str) -> Path:
    """The file of one roll's journal (XDG Base Directory: state)."""
    home = Path(env.get("XDG_STATE_HOME") or Path(env.get("HOME", "/")) / ".local/state")
    return home / "debship" / app.name / f"{roll}.jsonl"
