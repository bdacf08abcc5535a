"""The recipes: a roll and what belongs to it, from what was typed to the report."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from debship.config.fleet import Fleet, FleetApp
from debship.deploy import campaign, records
from debship.deploy.asking import Answers, ask_all, ask_some
from debship.deploy.campaign import World, connected
from debship.deploy.history import Remembered, entries
from debship.deploy.holder import Holder, seems_alive
from debship.deploy.hooks import open_hooks
from debship.deploy.host import Host
from debship.deploy.lock import Lock, NotBroken, break_lock, show_lock
from debship.deploy.observation import HostState
from debship.deploy.places import Place, find_places, unminded, unusable
from debship.deploy.plan import RollPlan, plan_roll
from debship.deploy.report import RollReport
from debship.deploy.restore import Restore
from debship.deploy.roll import Doors, Roll
from debship.deploy.say import Say
from debship.deploy.stop import Stop
from debship.errors import DebshipError, Misused, Refused
from debship.model import DebVersion


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants done."""

    roll: str  # names this roll in journals and on hosts
    by: str  # who: user@machine
    version: str | None = None  # None is the newest
    back: bool = False  # to the version that the last roll replaced, where none is named
    only: tuple[str, ...] = ()  # hosts; empty: all
    undo: bool = True  # whether what was changed is taken back where the version fails
    unknown_hooks: str = ""  # see ``open_hooks``
    config: bool = False  # configuration alone, in the version that is there


def deploy(
    fleet: Fleet,
    app: FleetApp,
    world: World,
    order: Order,
    *,
    say: Say,
    stop: Stop,
    carry_on: Callable[[Sequence[str]], bool] = lambda _: True,
) -> RollReport:
    """Roll a version across the hosts, under the lock.

    Args:
        stop: a person's wish to stop.
        carry_on: asked between two batches, with the hosts of the next.

    Raises:
        Misused, Refused, Failed: no host has left its balancer.
    """
    names = _names(app, order)
    if order.config:  # a migration belongs to a version
        app = replace(app, hooks=tuple(hook for hook in app.hooks if not hook.once))
    with (
        campaign.let_through(fleet, app, names, world) as doors,
        _lock(app, world, order).held(doors, world.connect) as hosts,
        world.held(say) as still_held,
    ):
        mine = {name: hosts[name] for name in order.only or names}
        version = _version(app, world, order, mine, say)
        say(f"making {len(mine)} hosts ready for {app.package} {version}")
        files, secrets = campaign.render_all(fleet, app, names, world)
        ready = campaign.prepare_all(app, version, mine, world, say)
        campaign.check_all(version, mine, ready, (files, secrets), world)
        places = _places(names, world, {name: one.state for name, one in ready.items()})
        plan = _plan(app, version, order, world, places)
        for warning in plan.warnings:
            say(f"warning: {warning}")
        journal = world.journal(campaign.where_journals_lie(world.env, app, order.roll))
        walk = Roll(
            plan,
            Doors(hosts, places, files, secrets),
            world.clock,
            journal,
            say,
            world.workers,
            stop,
            carry_on,
            open_hooks(
                plan,
                hosts,
                campaign.remember_hooks(app, hosts, ready, world),
                run=world.run,
                journal=journal,
                workers=world.workers,
                folder=fleet.path.parent,
                unknown=order.unknown_hooks,
            ),
            world.gone,
        )
        report = walk.to_the_end()
    return report.stopped_by(still_held)


def plan(fleet: Fleet, app: FleetApp, world: World, order: Order) -> RollPlan:
    """Decide what ``deploy`` would do; nothing is fetched, nothing is mended, nothing is locked.

    Raises:
        Misused, Refused, Failed: it would not begin.
    """
    names = _names(app, order)
    with connected(names, world.connect) as hosts:
        mine = {name: hosts[name] for name in order.only or names}
        version = _version(app, world, order, mine, lambda _: None)
        campaign.render_all(fleet, app, names, world)
        states = campaign.observe_all(app, mine, world.workers)
    places = _places(names, world, states)
    return _plan(app, version, order, world, places)


def restore(
    fleet: Fleet, app: FleetApp, world: World, order: Order, *, say: Say, stop: Stop
) -> RollReport:
    """Put back what a dead run left out, on every host that answers.

    Raises:
        Refused: a roll that is alive holds the lock.
    """
    names = _names(app, order)
    lock = _lock(app, world, order)
    with (
        connected(names, world.connect) as doors,
        lock.held(doors, world.connect, all_must=False) as hosts,
        world.held(say) as still_held,
    ):
        say(f"looking at {len(hosts)} of {len(names)} hosts")
        try:
            secrets = campaign.render_all(fleet, app, names, world)[1]
        except DebshipError:
            secrets = None  # nothing is rendered here; without them no log is shown
        journal = world.journal(campaign.where_journals_lie(world.env, app, order.roll))
        report = Restore(
            app, order.roll, order.by, names, hosts, world, journal, say, stop, secrets, lock.silent
        ).run()
    return report.stopped_by(still_held)


def unlock(app: FleetApp, world: World, *, force: bool = False) -> Answers[Holder]:
    """Break the lock on every host that answers; who held it, and where.

    Args:
        force: also where its holder seems alive.

    Raises:
        Refused: its holder seems alive.
        Failed: no host answers.
    """
    with connected(campaign.host_names(app), world.connect) as hosts:
        seen = ask_some(hosts, lambda host: show_lock(host, app.package), world.workers)
        held = {name: holder for name, holder in seen.told.items() if holder is not None}
        alive = seems_alive(held.values(), world.dead)
        if alive is not None and not force:
            raise Refused(
                f"{app.package} is being rolled by {alive}, which seems alive",
                "stop it, or break its lock all the same: --force; it stops at the next step",
            )
        broken = ask_all(
            {name: hosts[name] for name in held},
            lambda host: break_lock(host, app.package, held[host.address]),
            world.workers,
        )
    return Answers({name: held[name] for name in broken.told}, seen.silent | broken.silent)


def unlocked_lines(found: Answers[Holder]) -> tuple[str, ...]:
    """What ``unlock`` found, for people."""
    held = [f"{host}: was locked by {holder}" for host, holder in found.told.items()]
    nobody = "no host that answers is locked" if found.silent else "nobody holds the lock"
    kept = {host for host, error in found.silent.items() if isinstance(error, NotBroken)}
    unknown = (
        f"{host}: {why}" if host in kept else f"{host}: its lock is unknown: {why}"
        for host, why in found.why().items()
    )
    return (*(held or ([] if kept else [nobody])), *unknown)


def history(app: FleetApp, world: World) -> Remembered:
    """The rolls that hosts remember.

    Raises:
        Failed: no host answers.
    """
    with connected(campaign.host_names(app), world.connect) as hosts:
        seen = ask_some(hosts, lambda host: records.read_history(host, app.package), world.workers)
    return Remembered(entries(seen.told), seen.why())


def _names(app: FleetApp, order: Order) -> tuple[str, ...]:
    names = campaign.host_names(app)
    if strangers := [name for name in order.only if name not in names]:
        raise Misused(
            f"apps.{app.name} has no host {', '.join(strangers)}", f"it has {', '.join(names)}"
        )
    return names


def _lock(app: FleetApp, world: World, order: Order) -> Lock:
    return Lock(
        app.package, order.roll, order.by, world.process, world.clock, world.workers, world.dead
    )


def _version(
    app: FleetApp, world: World, order: Order, hosts: Mapping[str, Host], say: Say
) -> DebVersion:
    """The version to roll; for configuration alone nothing is asked of the repository."""
    if order.config:
        return campaign.present_version(campaign.observe_all(app, hosts, world.workers))
    say(f"asking {len(hosts)} hosts which versions they can get")
    return campaign.find_version(app, hosts, _wanted(app, world, order, hosts), world, say)


def _wanted(app: FleetApp, world: World, order: Order, hosts: Mapping[str, Host]) -> str | None:
    """The version that somebody means; None is the newest."""
    if order.version is None and order.back:
        return str(campaign.last_change(campaign.observe_all(app, hosts, world.workers)))
    return order.version


def _plan(
    app: FleetApp,
    version: DebVersion,
    order: Order,
    world: World,
    places: Mapping[str, tuple[Place, ...]],
) -> RollPlan:
    hosts = order.only or campaign.host_names(app)
    return plan_roll(
        app,
        version,
        campaign.in_order(hosts, places),
        roll=order.roll,
        by=order.by,
        fleet=len(campaign.host_names(app)),
        undo=order.undo,
        balancers=tuple((balancer.name, balancer.terms) for balancer in world.balancers),
        doubts=unminded(places),
    )


def _places(
    names: tuple[str, ...], world: World, states: Mapping[str, HostState]
) -> dict[str, tuple[Place, ...]]:
    """Find every host's places; a balancer that is wired to nobody could prove nothing.

    Raises:
        Refused: there is such a one, or a host is in none of a balancer's places.
    """
    written = {name: state.out for name, state in states.items()}
    places = find_places(names, world.balancers, world.resolve, written)
    if idle := unusable(place for mine in places.values() for place in mine):
        raise Refused(idle, "wire it to a load balancer, or take it out of fleet.toml")
    return places
