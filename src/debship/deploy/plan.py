"""What a roll will do: decisions only. Facts about hosts are read when their turn comes."""

from dataclasses import dataclass
from typing import Any

from debship.config.fleet import FleetApp, Share
from debship.deploy.balancer.door import Standing, Terms
from debship.deploy.clock import length
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
    balancers: tuple[tuple[str, Terms], ...] = ()  # each by its name
    doubts: tuple[str, ...] = ()  # what else a person should know before

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every host, in order."""
        return tuple(host for batch in self.batches for host in batch)

    @property
    def floors(self) -> bool:
        """Whether the balancers' own floors hold; not where a whole outage is meant."""
        return self.app.min_healthy != Share(count=0)

    @property
    def waits(self) -> float:
        """Seconds that balancers and soaks will take as a rule; installing comes on top."""
        terms = [terms for _, terms in self.balancers]
        drain = max((t.usual_drain for t in terms), default=0.0)
        rise = max((t.usual_rise + t.warm for t in terms), default=0.0)
        return len(self.batches) * (drain + rise + self.app.soak)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know before the roll."""
        told = (f"{name}: {what}" for name, t in self.balancers for what in t.warnings)
        return (*told, *self.doubts)

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
            "balancers": [
                {"name": name, "drain": terms.drain, "rise": terms.rise}
                for name, terms in self.balancers
            ],
            "waits": self.waits,
            "warnings": list(self.warnings),
        }

    def lines(self) -> tuple[str, ...]:
        """The plan for people."""
        out = ", ".join(
            f"{name} (drains {length(terms.usual_drain)}, at most {length(terms.drain)})"
            for name, terms in self.balancers
        )
        files = ", ".join(str(file.path) for file in self.app.files)
        return (
            f"roll {self.app.package} {self.version} over {len(self.hosts)} hosts",
            *(f"  batch {n}: {', '.join(batch)}" for n, batch in enumerate(self.batches, 1)),
            f"  never fewer than {self.minimum} serving; out of {out or 'no balancer'}",
            f"  about {length(self.waits)} of waiting for balancers, besides installing",
            *(f"  warning: {warning}" for warning in self.warnings),
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
    balancers: tuple[tuple[str, Terms], ...] = (),
    doubts: tuple[str, ...] = (),
) -> RollPlan:
    """Decide the batches: the canaries first, then the rest in the size that the fleet states.

    Args:
        hosts: in the order in which they are to go.
        fleet: how many hosts there are, where these are not all.
        undo: whether what was changed is taken back where the version fails.
        balancers: every balancer's name, and its terms.
        doubts: what else a person should know before.
    """
    total = len(hosts) if fleet is None else fleet
    size = max(1, app.batch.of(total))
    minimum = app.min_healthy.of(total) if app.min_healthy is not None else total - size
    size = max(1, min(size, total - minimum))  # a larger batch could never begin
    canary = min(max(1, app.canary), size)
    batches = [hosts[:canary]] if hosts else []
    batches += [hosts[start : start + size] for start in range(canary, len(hosts), size)]
    return RollPlan(
        roll, by, app, version, tuple(batches), max(0, minimum), undo, balancers, doubts
    )


def costless_first(hosts: tuple[str, ...], serving: dict[str, Standing]) -> tuple[str, ...]:
    """Order hosts so that those that serve nobody go first: mending them costs no capacity."""
    return tuple(sorted(hosts, key=lambda host: serving.get(host) is Standing.IN))
