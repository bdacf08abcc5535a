"""The doors that a Fabric task opens: the fleet's file, its hosts, its balancers, its journal."""

import os
import random
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

from debship.errors import Misused


def read_nearest(fleet: str) -> Any:
    """Read the fleet that is named, or the nearest."""
    from debship.config.fleet_file import find_fleet, read_fleet

    path = Path(fleet) if fleet else find_fleet(Path.cwd())
    if path is None:
        raise Misused("there is no fleet.toml here or above", "name it: --fleet FILE")
    return read_fleet(path.absolute())


def open_doors(fleet: str, app: str, events: str = "", login: str = "") -> tuple[Any, Any, Any]:
    """Read the fleet and open the doors of one application; events are told where they are to be."""
    from debship.deploy import campaign
    from debship.deploy.aws import Aws
    from debship.deploy.balancer.opening import region_of_app
    from debship.deploy.clock import SystemClock
    from debship.deploy.gate import gate_path
    from debship.deploy.host import FabricHost
    from debship.deploy.journal import DiskJournal, Journal, ToldJournal
    from debship.deploy.process import is_dead, this_process
    from debship.deploy.surroundings import open_surroundings
    from debship.deploy.workers import Threads
    from debship.run import run

    file = read_nearest(fleet)
    ssh = replace(file.ssh, user=login) if login else file.ssh
    settings = campaign.pick_app(file, app)
    clock = SystemClock()

    def journal(path: Path) -> Journal:
        kept = DiskJournal(path, clock)
        about = {"app": app, "roll": path.stem}
        return ToldJournal(kept, Path(events), about, clock) if events else kept

    aws = Aws(clock, random.Random(), region_of_app(settings))  # noqa: S311 - spreads retries
    surroundings = open_surroundings(settings, aws, clock)
    gate = gate_path(settings) if ssh.gate and not login else ""
    world = campaign.World(
        connect=lambda name: FabricHost(name, ssh, gate),
        balancers=surroundings.balancers,
        resolve=_resolve,
        run=run,
        env=os.environ,
        clock=clock,
        workers=Threads(),
        journal=journal,
        process=this_process(),
        dead=is_dead,
        aws=aws,
        held=surroundings.held,
        gone=surroundings.gone,
    )
    return file, surroundings, world


def _resolve(name: str) -> frozenset[str]:
    try:
        return frozenset(str(found[4][0]) for found in socket.getaddrinfo(name, None))
    except OSError:
        return frozenset()
