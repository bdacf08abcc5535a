"""The places of hosts in balancers, and the rule that enough of them must serve."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from debship.deploy.balancer.door import Balancer, Member, Standing
from debship.errors import Refused


@dataclass(frozen=True, slots=True)
class Place:
    """One host's place in one balancer."""

    balancer: Balancer
    member: Member

    def now(self) -> Member:
        """How it stands at this moment."""
        return self.balancer.health(self.member)


Resolve = Callable[[str], frozenset[str]]


def find_places(
    hosts: Sequence[str],
    balancers: Sequence[Balancer],
    resolve: Resolve,
    written: Mapping[str, Mapping[str, Any] | None] | None = None,
) -> dict[str, tuple[Place, ...]]:
    """Find every host in every balancer.

    Args:
        resolve: the addresses that a host's name stands for.
        written: what a roll wrote down on a host before it took it out; some balancers forget
            whom they let go, and with which port.

    Raises:
        Refused: a host is in none of the places of a balancer; it would be restarted while
            that balancer still sends it requests.
    """
    found: dict[str, list[Place]] = {host: [] for host in hosts}
    for balancer in balancers:
        members = balancer.members()
        for host in hosts:
            addresses = {host, *resolve(host)}
            mine = [m for m in members if m.address in addresses or m.id == host]
            seen = {(m.id, m.port) for m in mine}
            mine += [m for m in _written(written, host, balancer) if (m.id, m.port) not in seen]
            if not mine:
                has = ", ".join(f"{m.id} ({m.address})" for m in members)
                raise Refused(
                    f"{balancer.name}: {host} is not in this balancer, which has {has}",
                    "add it there, or take the host out of fleet.toml",
                )
            found[host] += [Place(balancer, member) for member in mine]
    return {host: tuple(places) for host, places in found.items()}


def _written(
    written: Mapping[str, Mapping[str, Any] | None] | None, host: str, balancer: Balancer
) -> list[Member]:
    record = (written or {}).get(host) or {}
    return [
        Member(balancer.name, p["id"], p.get("address", host), p["port"], Standing.OUT, 0)
        for p in record.get("places", ())
        if p["balancer"] == balancer.name
    ]


def standing(places: Sequence[Place]) -> Standing:
    """How a host stands as a whole: in only where it is in everywhere."""
    standings = {place.member.standing for place in places}
    for worse in (Standing.DOWN, Standing.WAVERING, Standing.DRAINING, Standing.OUT):
        if worse in standings:
            return worse
    return Standing.IN


def shortfall(
    balancers: Sequence[Balancer],
    places: Mapping[str, Sequence[Place]],
    batch: Sequence[str],
    minimum: int,
) -> str | None:
    """Say what forbids taking a batch out now, judged from the balancers; None where nothing does.

    A batch none of whose hosts serves costs nothing, whatever the others do.
    """
    for balancer in balancers:
        serving = {m.id for m in balancer.members() if m.standing is Standing.IN}

        def serves(host: str, name: str = balancer.name, ids: set[str] = serving) -> bool:
            mine = [p.member.id for p in places[host] if p.balancer.name == name]
            return bool(mine) and ids.issuperset(mine)

        if not any(serves(host) for host in batch):
            continue
        left = [host for host in places if host not in batch and serves(host)]
        if len(left) < minimum:
            return (
                f"{balancer.name}: with {', '.join(batch)} out only {len(left)} of the fleet "
                f"would serve, and {minimum} must"
            )
    return None


def idle(
    balancers: Sequence[Balancer], places: Mapping[str, Sequence[Place]], hosts: Sequence[str]
) -> tuple[str, ...]:
    """Those of some hosts that no balancer counts on now: taking them out costs nothing."""
    serving = {(b.name, m.id) for b in balancers for m in b.members() if m.standing is Standing.IN}
    return tuple(
        host
        for host in hosts
        if not any((p.balancer.name, p.member.id) in serving for p in places[host])
    )
