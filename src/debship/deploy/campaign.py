"""What stands before a roll: the doors opened, the version found, every host made ready."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from debship.config.fleet import Fleet, FleetApp
from debship.deploy import apt
from debship.deploy.asking import Answers, ask_all, everywhere
from debship.deploy.aws import Aws
from debship.deploy.balancer.door import Balancer
from debship.deploy.checks import check_files
from debship.deploy.clock import Clock
from debship.deploy.configuration import (
    RenderedFile,
    differing,
    render_files,
    resolve_secrets,
)
from debship.deploy.fence import GuardedHost
from debship.deploy.gate import gate_mark
from debship.deploy.host import Host
from debship.deploy.installation import StepFailed
from debship.deploy.journal import Journal
from debship.deploy.observation import HostState, Once, observe
from debship.deploy.places import Place, Resolve, standing
from debship.deploy.plan import costless_first
from debship.deploy.prepare import Prepared, install_ahead, prepare, refresh
from debship.deploy.report import masked
from debship.deploy.say import Say
from debship.deploy.steps import Gone
from debship.deploy.workers import Workers
from debship.errors import Failed, Misused, Refused
from debship.model import DebVersion, Secret
from debship.run import Run


@dataclass(frozen=True)
class World:
    """Everything outside that a campaign reaches: handed in, so that tests hand in fakes."""

    connect: Callable[[str], Host]
    balancers: tuple[Balancer, ...]
    resolve: Resolve
    run: Run
    env: Mapping[str, str]
    clock: Clock
    workers: Workers
    journal: Callable[[Path], Journal]
    process: str  # names this process, for ``dead``
    dead: Callable[[str], bool]  # whether a process is of this machine, and is no more
    aws: Aws | None = None  # None where nothing of the fleet is AWS's
    held: Callable[[Say], AbstractContextManager[Sequence[str]]] = lambda _: contextlib.nullcontext(
        ()
    )
    """Keeps what hosts come from as it is, while this roll has the lock; see ``scaling.held``."""
    gone: Gone = lambda _: ()


def pick_app(fleet: Fleet, name: str) -> FleetApp:
    """Find an application of a fleet.

    Raises:
        Misused: the fleet has none of this name.
    """
    if name not in fleet.apps:
        known = ", ".join(sorted(fleet.apps)) or "none"
        raise Misused(f'{fleet.path.name} has no application "{name}"', f"it has {known}")
    return fleet.apps[name]


def host_names(app: FleetApp) -> tuple[str, ...]:
    """The hosts of an application, where its surroundings have found them."""
    assert isinstance(app.hosts, tuple), "surroundings.open_surroundings finds them"
    return app.hosts


@contextlib.contextmanager
def connected(names: Sequence[str], connect: Callable[[str], Host]) -> Iterator[dict[str, Host]]:
    """Doors to hosts, all let go at the end; a host is reached when it is first asked."""
    hosts = {name: connect(name) for name in names}
    try:
        yield hosts
    finally:
        for host in hosts.values():
            host.close()


@contextlib.contextmanager
def let_through(
    fleet: Fleet, app: FleetApp, names: Sequence[str], world: World
) -> Iterator[dict[str, Host]]:
    """Doors to hosts whose gates let all of a roll through: half of one would leave a host out.

    Raises:
        Failed: one is of another fleet.toml, or of another debship.
    """

    def see(host: Host) -> None:
        if host.run(gate_mark(app)).returncode != 0:
            raise Failed(
                f"{host.address}: its gate is of another {fleet.path.name}, or of another debship",
                f"bring it up to date: fab bootstrap --app {app.name} --login ADMIN",
            )

    with connected(names, world.connect) as hosts:
        if fleet.ssh.gate:
            everywhere(hosts, see, "nothing was changed", world.workers)
        yield hosts


def find_version(
    app: FleetApp,
    hosts: Mapping[str, Host],
    wanted: str | None,
    world: World,
    say: Say = lambda _: None,
) -> DebVersion:
    """Find the version that is meant, as every host can get it; only indices are read.

    Raises:
        Misused: it is not in the repository, or not for every host.
    """

    def read(host: Host) -> tuple[DebVersion, ...]:
        return refresh(host, app.package, world.clock, say)

    offers = everywhere(hosts, read, "nothing was changed", world.workers)
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
    records = [record for record in records if record.get("previous")]
    newest = max(records, key=lambda record: str(record.get("roll")), default=None)
    if newest is None:
        raise Refused(
            "no host remembers a version before this one", "name it: fab rollback --version V"
        )
    return DebVersion(str(newest["previous"]))


def observe_all(app: FleetApp, hosts: Mapping[str, Host], workers: Workers) -> dict[str, HostState]:
    """Read the state of every host."""
    return everywhere(hosts, _observer(app), "nothing was changed", workers)


def observe_each(app: FleetApp, hosts: Mapping[str, Host], workers: Workers) -> Answers[HostState]:
    """Read the state of every host that lets it be read."""
    return ask_all(hosts, _observer(app), workers)


def _observer(app: FleetApp) -> Callable[[Host], HostState]:
    files = tuple(str(file.path) for file in app.files)
    return lambda host: observe(host, app.package, files)


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


def prepare_all(
    app: FleetApp,
    version: DebVersion,
    hosts: Mapping[str, GuardedHost],
    world: World,
    say: Say = lambda _: None,
) -> dict[str, Prepared]:
    """Make everything ready while every host still serves.

    Only when every host has proven that the installation can work is anything installed ahead.

    Raises:
        Failed, Refused: something would not work; no host has left its balancer.
    """
    paths = tuple(str(file.path) for file in app.files)

    def fetch(host: GuardedHost) -> Prepared:
        return prepare(
            host, app.package, version, paths, roll=host.roll, clock=world.clock, say=say
        )

    def install(host: GuardedHost) -> None:
        one = ready[host.address]
        install_ahead(host, app.package, one, roll=host.roll, clock=world.clock, say=say)

    ready = everywhere(hosts, fetch, "every host still serves as before", world.workers)
    ahead = {t for one in ready.values() for t in apt.ahead(one.also, app.package)}
    if ahead:
        say(f"installing {', '.join(sorted(ahead))} beside what serves")
        everywhere(hosts, install, "every host still serves as before", world.workers)
    return ready


def check_all(
    version: DebVersion,
    hosts: Mapping[str, Host],
    ready: Mapping[str, Prepared],
    rendered: tuple[Mapping[str, tuple[RenderedFile, ...]], tuple[Secret, ...]],
    world: World,
) -> None:
    """Let the application judge files that are to change, where its code stays the same.

    Where another version comes, that one judges them, once it is installed.

    Args:
        rendered: what ``render_all`` gave.

    Raises:
        Failed: it does not want one; no host has left its balancer.
    """
    files, secrets = rendered

    def check(host: Host) -> None:
        state = ready[host.address].state
        if not state.package.installed or state.package.version != version:
            return
        try:
            check_files(host, differing(files[host.address], state))
        except StepFailed as error:
            said = masked(error.log, secrets)
            raise Failed(f"{error.message}\n{said}".rstrip()) from None

    everywhere(hosts, check, "every host still serves as before", world.workers)


def present_version(states: Mapping[str, HostState]) -> DebVersion:
    """Find the one version that every host has.

    Raises:
        Refused: they have several, or one has none.
    """
    found = {
        name: str(state.package.version) if state.package.installed else "nothing installed"
        for name, state in states.items()
    }
    versions = set(found.values())
    if len(versions) != 1 or "nothing installed" in versions:
        told = ", ".join(f"{name} {what}" for name, what in found.items())
        raise Refused(
            f"configuration is rolled over hosts of one version, and these are not: {told}",
            "bring them to one first: fab deploy",
        )
    return DebVersion(versions.pop())


def remember_hooks(
    app: FleetApp, hosts: Mapping[str, Host], ready: Mapping[str, Prepared], world: World
) -> dict[str, tuple[Once, ...]]:
    """What every host of the fleet remembers of the hooks that are done once."""
    states = {name: one.state for name, one in ready.items()}
    if any(hook.once for hook in app.hooks):
        others = {name: host for name, host in hosts.items() if name not in states}
        states |= observe_all(app, others, world.workers)
    return {name: state.once for name, state in states.items()}


def in_order(names: tuple[str, ...], places: Mapping[str, tuple[Place, ...]]) -> tuple[str, ...]:
    """The order in which hosts are to go."""
    return costless_first(names, {name: standing(places[name]) for name in names})


def where_journals_lie(env: Mapping[str, str], app: FleetApp, roll: str) -> Path:
    """The file of one roll's journal (XDG Base Directory: state)."""
    home = Path(env.get("XDG_STATE_HOME") or Path(env.get("HOME", "/")) / ".local/state")
    return home / "debship" / app.name / f"{roll}.jsonl"
