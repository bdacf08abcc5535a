"""Switching a lab on: what is there and right stays, the rest is made.

The plan is recorded before anything is made, and every step can be repeated, so that after a
crash at any point another ``up`` finishes the work, and a ``down`` takes it all away.
"""

import contextlib
import socket
import sys
import time
import tomllib
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import tomli_w

from debship.debian.releases import release
from debship.errors import Failed, Refused
from debship.lab import haproxy, host
from debship.lab.group import Group, Process, process
from debship.lab.keys import make_keys
from debship.lab.lab import Lab
from debship.lab.limits import make_room
from debship.lab.network import bridge_is_up, make_bridge
from debship.lab.numbers import alone, owned, reserve
from debship.lab.plan import NUMBERS, REPOSITORY_PORT, RUNTIME, HostPlan, LabPlan, plan_lab
from debship.lab.record import BALANCER, SERVER, Record, read_record, write_record
from debship.lab.rehearsal import FABFILE, FLEET_HEAD, rehearsal
from debship.roots import clean_root
from debship.run import Run, Spawned, spawn

Say = Callable[[str], None]


def plan_here(name: str, *, state: Path, runtime: Path = RUNTIME, run: Run, **how: Any) -> LabPlan:
    """Plan a lab with a number that is free on this machine, and reserve that.

    Args:
        name: of the lab.
        state: its folder, absolute.
        runtime: where numbers are reserved.
        run: the door to local programs.
        how: hosts, releases, packages, backends, cache, as ``plan_lab`` has them.

    Raises:
        Misused: one of these cannot be.
        Failed: no number is free.
    """
    planned = partial(plan_lab, name, state=state, runtime=runtime, **how)
    planned(number=NUMBERS[0])  # refuses what cannot be, before a number is taken
    return planned(number=reserve(state, runtime=runtime, run=run))


def up(plan: LabPlan, *, fleet: Path | None, run: Run, say: Say) -> Lab:
    """Switch a lab on.

    Args:
        plan: its number is reserved.
        fleet: the fleet.toml to rehearse, which ``read_fleet`` accepted; None for none.
        run: the door to local programs.
        say: hears what is being done.

    Raises:
        Refused: it is up already with other hosts.
        Failed: something of it could not be made; what was made is known, and ``down`` takes
            it away.
    """
    with alone(plan.state, runtime=plan.runtime):
        if owned(plan.state, runtime=plan.runtime) != plan.number:
            raise Failed(f"lab {plan.name} was taken down meanwhile", "try again")
        before = read_record(plan.state)
        lab = Lab(_recorded(plan, before))
        make_room(runtime=plan.runtime, say=say)
        make_keys(plan, run)
        plan.repository.mkdir(exist_ok=True)
        bridged = bridge_is_up(plan, run)
        if not bridged:
            say("connecting")
            make_bridge(plan, run)
        off = [one for one in plan.hosts if not (bridged and lab.runs(one.name))]
        lab = _boot(lab, off, run, say)
        lab = _balance(lab, run, say)
        lab = _serve(lab, say)
        write_fleet(plan, fleet)
        return Lab(lab.record, changed=lab.record != before)


def unplug(lab: Lab, name: str, *, run: Run) -> None:
    """Pull a host's plug: what it wrote stays, what it did not write is lost."""
    host.stop(lab.plan, lab.plan.host(name), run)


def plug_in(lab: Lab, name: str, *, run: Run, say: Say) -> Lab:
    """Boot a host again, on what it wrote; give the lab as it is now."""
    with alone(lab.plan.state, runtime=lab.plan.runtime):
        return _boot(lab, [lab.plan.host(name)], run, say)


def write_fleet(plan: LabPlan, fleet: Path | None) -> None:
    """Write the rehearsal's fleet.toml, and the fabfile beside it."""
    document = tomllib.loads(fleet.read_text()) if fleet else None
    folder = fleet.resolve().parent if fleet else plan.state
    text = tomli_w.dumps(rehearsal(document, folder, plan))
    plan.fleet_file.write_text(FLEET_HEAD + text)
    (plan.state / "fabfile.py").write_text(FABFILE)


def _recorded(plan: LabPlan, known: Record | None) -> Record:
    if known and known.plan.shape != plan.shape:
        raise Refused(
            f"lab {plan.name} is up with other hosts, addresses or packages than these",
            f"debship lab down --name {plan.name}",
        )
    record = Record(plan, known.processes if known else {})
    if record != known:
        write_record(record)
    return record


def _boot(lab: Lab, hosts: Sequence[HostPlan], run: Run, say: Say) -> Lab:
    plan, record = lab.plan, lab.record
    roots = {
        codename: clean_root(
            release(codename), (*host.PACKAGES, *plan.packages), run=run, cache=plan.cache, say=say
        )
        for codename in sorted({one.release for one in hosts})
    }
    if hosts:
        say(f"booting {', '.join(one.name for one in hosts)}")
    started: list[tuple[HostPlan, Spawned]] = []
    for one in hosts:
        host.prepare(plan, one, uuid.uuid4().hex)
        started.append((one, host.start(plan, one, roots[one.release], run)))
    for one, nspawn in started:
        record = record.running(one.name, host.booted(plan, one, nspawn))
        write_record(record)
    return Lab(record)


def _balance(lab: Lab, run: Run, say: Say) -> Lab:
    config = lab.plan.state / "haproxy.cfg"
    wanted = haproxy.haproxy_config(lab.plan)
    if lab.runs(BALANCER) and config.read_text() == wanted:
        return lab
    say("starting HAProxy")
    return _running(lab, BALANCER, haproxy.start(lab.plan, run))


def _serve(lab: Lab, say: Say) -> Lab:
    if lab.runs(SERVER):
        return lab
    say("serving the repository")
    plan = lab.plan
    group = Group.of(f"{plan.bridge}/repository")
    group.end()
    group.make()
    words = (sys.executable, "-m", "debship.lab.serve")
    what = (plan.repository, plan.gateway, str(REPOSITORY_PORT))
    started = spawn(group.around((*words, *what)), log=plan.state / "repository.log")
    _wait_for(plan.gateway, REPOSITORY_PORT)
    return _running(lab, SERVER, started)


def _running(lab: Lab, name: str, started: Spawned) -> Lab:
    known: Process | None = process(started.pid)
    if known is None:
        raise Failed(f"the {name} of lab {lab.name} ended at once", f"see {lab.plan.state}")
    record = lab.record.running(name, known)
    write_record(record)
    return Lab(record)


def _wait_for(address: str, port: int) -> None:
    for _ in range(250):
        with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1):
            return
        time.sleep(0.02)
    raise Failed(f"nothing answers at {address}:{port}")
