"""A lab that runs, as its users see it."""

from dataclasses import dataclass
from typing import Any

from debship.errors import Failed
from debship.lab.group import Process, alive
from debship.lab.plan import LabPlan
from debship.lab.record import BALANCER, SERVER, Record
from debship.run import Completed, Run, Word

# What a login as root finds on a Debian host; nothing of this machine's, such as PYTHON* or http_proxy.
_SURROUNDINGS = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/root",
    "LANG=C.UTF-8",
)


def inside(pid: int, *words: Word) -> tuple[Word, ...]:
    """The words that run a command as root inside the host whose systemd is this process."""
    return ("nsenter", "-t", str(pid), "-a", "env", "-i", *_SURROUNDINGS, *words)


@dataclass(frozen=True, slots=True)
class LabHost:
    """One host of a lab that runs."""

    name: str
    address: str
    release: str  # codename
    process: Process | None  # its systemd; None where it never ran

    @property
    def pid(self) -> int:
        """The process id of its systemd, seen from this machine.

        Raises:
            Failed: it does not run.
        """
        if self.process is None or not alive(self.process):
            raise Failed(f"host {self.name} does not run", "debship lab up boots it again")
        return self.process.pid


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab: what it was planned to be, and what runs of it."""

    record: Record
    changed: bool = False  # whether ``up`` had anything to do

    @property
    def plan(self) -> LabPlan:
        """Its names, addresses and places."""
        return self.record.plan

    @property
    def name(self) -> str:
        """Its name."""
        return self.plan.name

    @property
    def hosts(self) -> tuple[LabHost, ...]:
        """Its hosts, in order."""
        known = self.record.processes
        return tuple(
            LabHost(host.name, host.address, host.release, known.get(host.name))
            for host in self.plan.hosts
        )

    @property
    def whole(self) -> bool:
        """Whether everything of it runs."""
        names = (BALANCER, SERVER, *(host.name for host in self.plan.hosts))
        return all(self.runs(name) for name in names)

    def runs(self, name: str) -> bool:
        """Whether a host runs, or ``record.BALANCER``, or ``record.SERVER``."""
        return alive(self.record.processes.get(name))

    @property
    def frontends(self) -> dict[str, str]:
        """Where each application answers: its name, and a URL without a path."""
        loopback = self.plan.loopback
        return {backend.name: f"http://{loopback}:{backend.port}" for backend in self.plan.backends}

    def host(self, name: str) -> LabHost:
        """Find a host by its name.

        Raises:
            Misused: there is none.
        """
        self.plan.host(name)
        return next(host for host in self.hosts if host.name == name)

    def enter(self, host: str, argv: tuple[Word, ...], *, run: Run, **how: Any) -> Completed:
        """Run a command inside a host without ssh, as root, as a look from outside.

        Args:
            host: its name.
            argv: the words of the command.
            run: the door to local programs.
            how: stdin, timeout, check, as ``Run`` has them.

        Raises:
            Failed: the host does not run, or the command failed.
        """
        return run(inside(self.host(host).pid, *argv), **how)

    def describe(self, *, run: Run) -> dict[str, Any]:
        """Everything about it, as ``debship lab status --json`` prints it."""
        return {
            "name": self.name,
            "whole": self.whole,
            "hosts": [
                {
                    "name": host.name,
                    "address": host.address,
                    "release": host.release,
                    "state": _state(host, run),
                    "pid": host.process.pid if host.process and alive(host.process) else None,
                }
                for host in self.hosts
            ],
            "frontends": self.frontends,
            "haproxy": {"running": self.runs(BALANCER), "sockets": list(self.plan.sockets)},
            "repository": {
                "running": self.runs(SERVER),
                "store": str(self.plan.repository),
                "url": self.plan.repository_url,
            },
            "ssh": {
                "user": "root",
                "identity": str(self.plan.identity),
                "known_hosts": str(self.plan.known_hosts),
            },
            "fleet": str(self.plan.fleet_file),
        }


def _state(host: LabHost, run: Run) -> str:
    """What the host's systemd says of itself: running, degraded, starting; or that it is off."""
    if not alive(host.process):
        return "off"
    words = inside(host.pid, "systemctl", "is-system-running")
    return run(words, check=False, timeout=10).text or "unknown"
