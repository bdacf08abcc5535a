"""One seed from its scenario to its end: what is drawn, what happens, and what must be so then."""

import json
import random
from dataclasses import replace

from debship.config.fleet import HookSettings, Share
from debship.deploy.hooks import ONCE
from debship.deploy.report import Outcome
from simulation.faults import draw
from simulation.machines import Nature, SimBalancer, SimHost
from simulation.scheduler import Endless, Process, SimClock
from simulation.world import FILE, IS, NEW, OLD, OUT, WAS, Broken, Roller, World, make_app, rendered

from fakes_fleet import FakeHost, File

BAD = frozenset({Outcome.FAILED, Outcome.RETURNED, Outcome.UNKNOWN})
MIGRATE = HookSettings("migrate", "before-restart", ("migrate",), once=True)
GOOD = frozenset({Outcome.CHANGED, Outcome.UNCHANGED})


def play(seed: int, *, size: int | None = None, faults: bool = True) -> World:
    """Play one seed.

    Args:
        size: the number of hosts; None: drawn.
        faults: whether anything goes wrong.

    Raises:
        Broken: an invariant does not hold; its ``story`` tells how it came.
    """
    world = make_world(seed, size=size, faults=faults)
    try:
        first = Roller("r1", Process("r1"), "deploy", NEW, IS)
        world.start(first)
        world.finish(first)
        while left := [roller for roller in world.rollers if not roller.over]:
            world.finish(*left)  # meanwhile others may begin
        judge_report(world, first)
        converge(world)
    except (Broken, Endless) as broken:
        broken.story = world.told()
        raise
    return world


def make_world(seed: int, *, size: int | None = None, faults: bool = True) -> World:
    """Draw a scenario."""
    chance = random.Random(seed)
    low, high = chance.choices(
        ((1, 1), (2, 3), (4, 8), (9, 20), (21, 60), (61, 200)), (150, 330, 370, 130, 18, 2)
    )[0]
    count = size or chance.randint(low, high)
    names = tuple(f"h{number}" for number in range(count))
    batch = chance.choice(
        [
            Share(count=1),
            Share(count=chance.randint(1, 5)),
            Share(percent=chance.choice((10, 25, 50))),
        ]
    )
    app = make_app(
        names,
        batch=batch,
        canary=chance.choice((1, 1, 2)),
        budget=chance.choice((0, 0, 0, 1, 2)),
        soak=chance.choice((0.0, 0.0, 3.0, 10.0, 50.0)),
        min_healthy=chance.choice((None, None, None, Share(count=max(0, count - 2)))),
        undo=chance.random() < 0.8,
    )
    if random.Random(-seed - 1).random() < 0.3:
        app = replace(app, hooks=(MIGRATE,))
    world = World(seed, chance, app)
    world.hosts = {name: make_host(world, name) for name in names}
    for number in range(chance.choices((0, 1, 2), (5, 75, 20))[0]):
        world.balancers.append(
            SimBalancer(
                f"lb{number}",
                world.scheduler,
                world.hosts,
                port=8101 + number,
                drain=chance.choice((2.0, 5.0)),
                forgets=chance.random() < 0.4,
                requests=chance.choice((0.0, 0.3, 1.5, 9.0)),
            )
        )
    if faults:
        _hurt(world)
    return world


def make_host(world: World, name: str) -> SimHost:
    """Make a host that runs OLD and is well."""
    host = SimHost(name, SimClock(world.scheduler))
    host.process, host.scheduler = Process(name), world.scheduler
    host.tell, host.restarted, host.unpacks = world.tell, world.restarted, world.unpacks
    host.migrated = world.migrated
    host.files[FILE] = File(rendered(WAS), mode=0o600, changed=500)
    host.behaviours = {OLD: Nature(), NEW: Nature()}
    host.pace = world.random.choice((1.0, 1.0, 1.0, 5.0, 60.0))
    return host


def _hurt(world: World) -> None:
    """Draw what is wrong before the roll, and what will go wrong in it."""
    chance, hosts = world.random, list(world.hosts.values())
    if chance.random() < 0.25:
        bad = _bad(chance)
        everywhere = chance.random() < 0.7
        for host in hosts if everywhere else [chance.choice(hosts)]:
            host.behaviours[NEW] = bad
        world.tell("--", f"{NEW} {'everywhere' if everywhere else 'somewhere'}: {bad}")
    elif chance.random() < 0.2:
        slow = Nature(start=chance.choice((3.0, 15.0)))
        for host in hosts:
            host.behaviours[NEW] = slow
    if chance.random() < 0.15:
        host = chance.choice(hosts)
        what = chance.choice(("iF ", "iHR", "hi ", "down", "disabled", "new"))
        world.tell("--", f"{host.address} is {what} before")
        if what == "down":
            host.active = "failed"
        elif what == "new":
            for fresh in hosts if chance.random() < 0.3 else [host]:
                _empty(fresh)
        elif what == "disabled":
            host.enabled, host.active, host.running = "disabled", "inactive", None
        else:
            host.abbrev = what
        if what == "hi ":
            world.holds.add(host.address)
    names = tuple(balancer.name for balancer in world.balancers)
    world.faults += draw(chance, tuple(world.hosts), names)
    well = not any(_is_bad(host.behaviours[NEW]) for host in hosts)
    world.polite = well and all(fault.kind == "stop" for fault in world.faults)
    world.gentle = well and not world.story and all(f.gentle for f in world.faults)


def _empty(host: SimHost) -> None:
    """Make it a host that never had the package."""
    host.abbrev, host.version, host.running, host.active = "un ", None, None, "inactive"
    host.files.clear()


def _bad(chance: random.Random) -> Nature:
    return chance.choice(
        (
            Nature(installs=False),
            Nature(starts=False),
            Nature(healthy=False),
            Nature(says="9.9"),
            Nature(start=50.0),
            Nature(crash=chance.choice((0.5, 2.0, 6.0))),
            Nature(deaf=True),
        )
    )


def judge_report(world: World, roller: Roller) -> None:
    """I3, I4, I5, I6, I8: what a report says is what somebody else sees."""
    report = roller.report
    if roller.error is not None and not world.crossed:
        world.must(
            not [h for h in world.hosts.values() if OUT in h.files or world.out(h)],
            "I3",
            f"it ended with an error and left a host out: {roller.error.message}",
        )
    if report is None:
        return
    paused = any(fault.kind in {"paused", "offline"} for fault in world.faults)
    lost = "no longer holds the lock" in report.stopped
    world.must(paused or not lost, "lease", f"a living roll lost its lock: {report.stopped}")
    if world.crossed:
        return
    outcomes = {host.outcome for host in report.hosts}
    well = outcomes <= GOOD and not report.stopped
    code = 4 if Outcome.UNKNOWN in outcomes else 0 if well else 1
    world.must(report.exit_code == code, "I8", f"exit code {report.exit_code}, and {outcomes}")
    for entry in report.hosts:
        _judge(world, roller, entry)
    if world.gentle:
        told = "; ".join(f"{h.host} {h.outcome.value} {h.reason}" for h in report.hosts)
        world.must(report.exit_code == 0, "row 6", f"it ended for little: {report.stopped}: {told}")
    if world.polite and roller.stop.asked == 1:
        finished = all(h.outcome in {Outcome.CHANGED, Outcome.UNTOUCHED} for h in report.hosts)
        world.must(finished, "row 8", f"asked once, the batch was not finished: {outcomes}")
        begun = {h.host for h in report.hosts if h.outcome is Outcome.UNTOUCHED} & roller.begun
        world.must(not begun, "row 8", f"asked once, it left {begun} in the middle")
    failed = (h for h in report.hosts if h.outcome in BAD)
    bad = [h.host for h in failed if not h.reason.startswith("taken back")]
    batch = max(1, world.app.batch.of(len(world.hosts)))
    world.must(len(bad) <= world.app.budget + batch, "budget", f"{len(bad)} failed: {bad}")
    for host in world.hosts.values():
        if host.address not in world.disturbed:
            world.must(host.lock[0] == "-", "I6", f"a lock is left on {host.address}")


def _judge(world: World, roller: Roller, entry) -> None:
    host, name = world.hosts[entry.host], entry.host
    lost = entry.outcome in {Outcome.FAILED, Outcome.UNKNOWN}
    if lost:
        world.must(bool(entry.reason), "I8", f"{name} {entry.outcome} without a reason")
        if name in roller.touched and OUT in host.files:
            world.must("fab restore" in entry.hint, "I8", f"{name}: no way out is told")
    if entry.standing in {"in", "out"} and not world.reloaded and name not in world.disturbed:
        stands = world.standing(host)
        world.must(
            stands in {entry.standing, ""}, "I8", f"{name} stands {stands}, not {entry.standing}"
        )
    if entry.outcome is Outcome.UNTOUCHED and not entry.reason:
        world.must(name not in roller.begun, "I8", f"{name} is called untouched, and was not")
    if lost or host.dead or name in world.disturbed:
        return
    crash = host.behaviours[NEW].crash
    if crash and host.active == "active" and world.app.soak > crash + 3 and not roller.stop.asked:
        changed = entry.outcome is Outcome.CHANGED
        world.must(not changed, "soak", f"{name} crashed, and is called {entry.outcome}")
    world.must(not world.out(host) or world.reloaded, "I3", f"{name} is out, and {entry.outcome}")
    world.must(OUT not in host.files, "I6", f"{name}: a record is left, and {entry.outcome}")
    if name in roller.touched and entry.outcome is not Outcome.UNTOUCHED:
        world.must(world.whole(host), "I4", f"{name}: {host.abbrev}{host.version}")
        world.must(world.agrees(host), "I5", f"{name}: {world.tuple_of(host)}")
    wanted = {Outcome.CHANGED: NEW, Outcome.UNCHANGED: NEW, Outcome.RETURNED: OLD}.get(
        entry.outcome
    )
    if entry.outcome in {Outcome.CHANGED, Outcome.RETURNED}:
        told = (entry.outcome.value, name) in roller.lines
        world.must(told, "I8", f"{name} {entry.outcome}, and the journal has no line of it")
    if wanted is not None:
        world.must(host.version == wanted, "I8", f"{name}: {entry.outcome} with {host.version}")


def converge(world: World) -> None:
    """I7: with nothing going wrong any more, whatever was left is finished, and then stays."""
    calm(world)
    dare(world)
    for host in world.hosts.values():
        _look_after(world, host)
    chance = world.random
    if chance.random() < 0.15:
        change_fleet(world)
    if chance.random() < 0.5:
        left = {name for name, host in world.hosts.items() if _had_something(host)}
        healer = Roller("r7", Process("r7"), "restore", OLD, WAS, machine="m7")
        world.start(healer)
        world.finish(healer)
        world.must(healer.error is None, "I7", f"restore failed: {healer.error}")
        for name in sorted(left):
            host = world.hosts[name]
            world.must(not world.out(host), "I7", f"restore left {name} out")
            world.must(OUT not in host.files, "I7", f"restore left the record of {name}")
    bad = any(_is_bad(host.behaviours[NEW]) for host in world.hosts.values())
    version, value = (OLD, WAS) if bad else chance.choice(((NEW, IS), (NEW, IS), (OLD, WAS)))
    for name in ("r8", "r9"):
        world.mutations = 0
        roller = Roller(name, Process(name), "deploy", version, value, machine="m8")
        world.start(roller)
        world.finish(roller)
        world.must(roller.error is None, "I7", f"{name} failed: {roller.error}")
        assert roller.report is not None
        told = "; ".join(f"{h.host} {h.outcome.value} {h.reason}" for h in roller.report.hosts)
        world.must(roller.report.exit_code == 0, "I7", f"{name}: {roller.report.stopped}: {told}")
        _all_well(world, version, value)
    world.must(not world.mutations, "I7", f"a further deploy changed {world.mutations} things")


def _had_something(host: SimHost) -> bool:
    """Whether a roll left it out, and it had something before."""
    return OUT in host.files and json.loads(host.files[OUT].content)["before"] is not None


def change_fleet(world: World) -> None:
    """A host of before is gone for ever, and another has come, with nothing or with the old."""
    chance, hosts = world.random, list(world.app.hosts)
    if chance.random() < 0.5 and len(hosts) > 1:
        gone = chance.choice(hosts)
        world.tell("--", f"{gone} is no more")
        hosts.remove(gone)
        del world.hosts[gone]
        world.holds.discard(gone)
        for balancer in world.balancers:
            balancer.held.pop(gone, None)
    if chance.random() < 0.7:
        world.tell("--", "new has come")
        world.hosts["new"] = make_host(world, "new")
        model = world.hosts[hosts[0]]
        world.hosts["new"].behaviours = model.behaviours
        if chance.random() < 0.5:
            _empty(world.hosts["new"])
        hosts.insert(chance.randrange(len(hosts) + 1), "new")
    world.app = replace(world.app, hosts=tuple(hosts))


def calm(world: World) -> None:
    """Let nothing go wrong any more, and everything come back that can."""
    world.faults.clear()
    world.disturbed.clear()
    for host in world.hosts.values():
        host.room, host.dpkg_locked_until, host.interrupt = True, 0.0, False
        if host.dead or host.going_down:
            host.boot()
        if host.enabled == "disabled":
            host.enabled = "enabled"
            FakeHost.restart(host)
    for balancer in world.balancers:
        balancer.gone.clear()
        for name in list(balancer.held):
            # Somebody who removes a host from a balancer and adds it again adds it as it was.
            if OUT not in world.hosts[name].files and world.reloaded:
                del balancer.held[name]


def dare(world: World) -> None:
    """Roll on as if nobody had looked: a migration whose end nobody knows is not made again."""
    if any(_last_note(host).get("state") == "begun" for host in world.hosts.values()):
        roller = Roller("r6", Process("r6"), "deploy", NEW, IS, machine="m6")
        world.start(roller)
        world.finish(roller)


def _last_note(host: SimHost) -> dict[str, str]:
    """What a host remembers last of what is done once."""
    path = f"{host.folder}/{ONCE}"
    lines = host.files[path].content.splitlines() if path in host.files else []
    note: dict[str, str] = json.loads(lines[-1]) if lines else {}
    return note


def _look_after(world: World, host: SimHost) -> None:
    """Do what the refusal of a roll asks for, where nobody knows how a migration ended."""
    path, last = f"{host.folder}/{ONCE}", _last_note(host)
    if last.get("state") == "begun":
        if last["version"] in world.migrations:
            host.files[path].content += json.dumps({**last, "state": "done"}).encode() + b"\n"
        else:
            del host.files[path]


def _is_bad(nature) -> bool:
    return not (nature.installs and nature.starts and nature.healthy) or bool(
        nature.says or nature.crash or nature.deaf or nature.start > 20
    )


def _all_well(world: World, version: str, value: str) -> None:
    for name, host in world.hosts.items():
        world.must(host.version == version, "I7", f"{name} has {host.version}")
        held = host.abbrev[0] == "h"
        world.must(held == (name in world.holds), "I6", f"{name}: on hold: {held}")
        world.must(world.whole(host), "I4", f"{name}: {host.abbrev}{host.version}")
        world.must(world.agrees(host), "I5", f"{name}: {world.tuple_of(host)}")
        world.must(not world.out(host), "I3", f"{name} is out")
        world.must(OUT not in host.files, "I6", f"{name}: a record is left")
        world.must(host.lock[0] == "-", "I6", f"a lock is left on {name}")
        world.must(host.unit != "activating", "I6", f"apt still runs on {name}")
