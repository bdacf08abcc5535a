"""The places of hosts in balancers, and the rule that enough of them must serve."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
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
    hosts: Sequence[str], balancers: Sequence[Balancer], resolve: Resolve
) -> dict[str, tuple[Place, ...]]:
    """Find every host in every balancer.

    Args:
        resolve: the addresses that a host's name stands for.

    A balancer that forgets who left it (a target group) names a host that is not there now as
    the member that it would be.

    Raises:
        Refused: a host is in none of the places of a balancer; it would be restarted while
            that balancer still sends it requests.
    """
    found: dict[str, list[Place]] = {host: [] for host in hosts}
    for balancer in balancers:
        members = balancer.members()
        for host in hosts:
            names = frozenset({host}) | resolve(host)
            mine = [member for member in members if member.is_of(names)]
            if not mine and (absent := balancer.absent(names)):
                mine = [absent]
            if not mine:
                has = ", ".join(f"{m.id} ({m.address})" for m in members)
                raise Refused(
                    f"{balancer.name}: {host} is not in this balancer, which has {has}",
                    "add it there, or take the host out of fleet.toml",
                )
            found[host] += [Place(balancer, member) for member in mine]
    return {host: tuple(places) for host, places in found.items()}


def standing(places: Sequence[Place]) -> Standing:
    """How a host stands as a whole: in only where it is in everywhere."""
    standings = {place.member.standing for place in places}
    for worse in (Standing.DOWN, Standing.WAVERING, Standing.DRAINING, Standing.OUT):
        if worse in standings:
            return worse
    return Standing.IN


def remembered(places: Sequence[Place], record: Mapping[str, Any] | None) -> tuple[Place, ...]:
    """Put what a roll wrote down before it took a host out in the place of what is guessed now.

    Args:
        record: the host's ``out.json``: every balancer with id, port and zone as they were; it
            knows the ports of a member that its balancer has forgotten.
    """
    written = [entry for entry in (record or {}).get("places", []) if isinstance(entry, dict)]
    found: list[Place] = []
    for place in places:
        mine = [entry for entry in written if entry.get("balancer") == place.balancer.name]
        there = {(p.member.id, p.member.port) for p in places if p.balancer is place.balancer}
        if place.member.standing is not Standing.OUT or not mine:
            mine = [entry for entry in mine if (entry.get("id"), entry.get("port")) not in there]
            found.append(place)
        found += [_as_written(place, entry) for entry in mine]
    return tuple({(p.balancer.name, p.member.id, p.member.port): p for p in found}.values())


def _as_written(place: Place, entry: Mapping[str, Any]) -> Place:
    member = replace(
        place.member,
        id=str(entry.get("id")),
        port=int(entry.get("port") or 0),
        zone=str(entry.get("zone") or ""),
        standing=Standing.OUT,
    )
    return Place(place.balancer, member)


def unusable(places: Iterable[Place]) -> str | None:
    """Say which balancer is wired to nobody, so that a roll through it would prove nothing."""
    for place in places:
        if place.member.standing is Standing.IDLE:
            return f"{place.balancer.name} is in no use: {place.member.note}"
    return None


def shortfall(
    balancers: Sequence[Balancer],
    places: Mapping[str, Sequence[Place]],
    batch: Sequence[str],
    minimum: int,
    *,
    floors: bool = True,
) -> str | None:
    """Say what forbids taking a batch out now, judged from the balancers; None where nothing does.

    A batch none of whose hosts serves costs nothing, whatever the others do.

    Args:
        minimum: hosts of the fleet that must go on serving.
        floors: whether the balancers' own floors hold too, in each zone where it matters.
    """
    for balancer in balancers:
        members = balancer.members()
        serving = {key(m) for m in members if m.standing is Standing.IN and not m.away}

        def mine(hosts: Iterable[str], name: str = balancer.name) -> list[Member]:
            return [p.member for h in hosts for p in places[h] if p.balancer.name == name]

        def serves(host: str, keys: set[tuple[str, int]] = serving) -> bool:
            own = mine([host])
            return bool(own) and all(key(member) in keys for member in own)

        if not any(serves(host) for host in batch):
            continue
        left = [host for host in places if host not in batch and serves(host)]
        if len(left) < minimum:
            return (
                f"{balancer.name}: with {', '.join(batch)} out only {len(left)} of the fleet "
                f"would serve, and {minimum} must"
            )
        if floors and (below := _below_floor(balancer, members, mine(batch))):
            return below
    return None


def key(member: Member) -> tuple[str, int]:
    """What tells one member of a balancer from another: a machine may stand there twice."""
    return member.id, member.port


def _below_floor(
    balancer: Balancer, members: Sequence[Member], leaving: Sequence[Member]
) -> str | None:
    """Say where a balancer would find too few well, and send requests to the sick as well."""
    floor = balancer.terms.floor
    gone = {key(member) for member in leaving}
    zones = {m.zone for m in members if key(m) in gone} if floor.by_zone else {None}
    for zone in sorted(zones, key=str):
        here = [m for m in members if key(m) not in gone and zone in {None, m.zone}]
        well = [m for m in here if m.standing is Standing.IN and not m.away]
        needed = floor.of(len(here))
        if len(well) < needed:
            where = f" in {zone}" if zone else ""
            return (
                f"{balancer.name}: only {len(well)} would be well{where}, and below {needed} it "
                "gives up on health; smaller batches, more hosts, or min_healthy = 0 if an "
                "outage is meant"
            )
    return None
