"""What a roll will do: decisions only. Facts about hosts are read when their turn comes."""

from dataclasses import dataclass
from typing import Any

from debship.config.fleet import FleetApp
from debship.deploy.balancer.door import Standing
from debship.model import DebVersion


@dataclass(frozen=True, slots=True)
class RollPlan:
    """One application, one version, and the order in which hosts get it."""

    roll: str  # names this roll in journals and on hosts
    by: str  # who: user@machine
    app: FleetApp
    version: DebVersion
    batches: tuple[tuple[str, ...], ...]
    minimum: int  # hosts that must serve while a batch is out
    undo: bool = True  # whether what it changed is taken back where the version fails

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every host, in order."""
        return tuple(host for batch in self.batches for host in batch)

    def as_dict(self) -> dict[str, Any]:
        """The plan for machines; it holds no secret, for it never had one."""
        return {
            "roll": self.roll,
            "app": self.app.name,
            "package": self.app.package,
            "version": str(self.version),
            "batches": [list(batch) for batch in self.batches],
            "minimum": self.minimum,
            "undo": self.undo,
            "files": [str(file.path) for file in self.app.files],
            "balancers": [balancer.kind for balancer in self.app.balancers],
        }

    def lines(self) -> tuple[str, ...]:
        """The plan for people."""
        drains = ", ".join(
            f"{balancer.kind} (drains up to {balancer.drain:g} s)"
            if balancer.kind == "haproxy"
            else balancer.kind
            for balancer in self.app.balancers
        )
        files = ", ".join(str(file.path) for file in self.app.files)
        return (
            f"roll {self.app.package} {self.version} over {len(self.hosts)} hosts",
            *(f"  batch {n}: {', '.join(batch)}" for n, batch in enumerate(self.batches, 1)),
            f"  never fewer than {self.minimum} serving; out of {drains or 'no balancer'}",
            *((f"  managed files: {files}",) if files else ()),
            *(() if self.undo else ("  what it changes stays, also where the version fails",)),
        )


def plan_roll(
    app: FleetApp,
    version: DebVersion,
    hosts: tuple[str, ...],
    *,
    roll: str,
    by: str,
    fleet: int | None = None,
    undo: bool = True,
) -> RollPlan:
    """Decide the batches: the canaries first, then the rest in the size that the fleet states.

    Args:
        hosts: in the order in which they are to go.
        fleet: how many hosts there are, where these are not all.
        undo: whether what was changed is taken back where the version fails.
    """
    total = len(hosts) if fleet is None else fleet
    size = max(1, app.batch.of(total))
    minimum = app.min_healthy.of(total) if app.min_healthy is not None else total - size
    size = max(1, min(size, total - minimum))  # a larger batch could never begin
    canary = min(max(1, app.canary), size)
    batches = [hosts[:canary]] if hosts else []
    batches += [hosts[start : start + size] for start in range(canary, len(hosts), size)]
    return RollPlan(roll, by, app, version, tuple(batches), max(0, minimum), undo)


def costless_first(hosts: tuple[str, ...], serving: dict[str, Standing]) -> tuple[str, ...]:
    """Order hosts so that those that serve nobody go first: mending them costs no capacity."""
    return tuple(sorted(hosts, key=lambda host: serving.get(host) is Standing.IN))
