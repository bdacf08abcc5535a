"""The places of hosts in balancers, and the rule that enough of them must serve."""

from collections.abc import Callable, Iterable, Mapping, Sequence
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

    A balancer that forgets who left it (a target group) names a host that is not there now as
    the member that it would be, unless it was written down which it was.

    Raises:
        Refused: a host is in none of the places of a balancer; it would be restarted while
            that balancer still sends it requests. Or two are one there: while the one is out,
            the other would be counted on.
    """
    found: dict[str, list[Place]] = {host: [] for host in hosts}
    for balancer in balancers:
        members = balancer.members()
        whose: dict[tuple[str, int], str] = {}
        for host in hosts:
            names = frozenset({host}) | resolve(host)
            mine = [member for member in members if member.is_of(names)]
            seen = {key(member) for member in mine}
            mine += [m for m in _written(written, host, balancer) if key(m) not in seen]
            if not mine and (absent := balancer.absent(names)):
                mine = [absent]
            if not mine:
                has = ", ".join(f"{m.id} ({m.address})" for m in members)
                raise Refused(
                    f"{balancer.name}: {host} is not in this balancer, which has {has}",
                    "add it there, or take the host out of fleet.toml",
                )
            _must_be_its_own(balancer, host, mine, whose)
            found[host] += [Place(balancer, member) for member in mine]
    return {host: tuple(places) for host, places in found.items()}


def _must_be_its_own(
    balancer: Balancer, host: str, mine: Sequence[Member], whose: dict[tuple[str, int], str]
) -> None:
    for member in mine:
        other = whose.setdefault(key(member), host)
        if other != host:
            raise Refused(
                f"{other} and {host} are the same server ({member.id}) of {balancer.name}",
                "name it once in fleet.toml",
            )


def _written(
    written: Mapping[str, Mapping[str, Any] | None] | None, host: str, balancer: Balancer
) -> list[Member]:
    record = (written or {}).get(host) or {}
    return [
        Member(
            balancer.name,
            p["id"],
            p.get("address", host),
            p["port"],
            Standing.OUT,
            0,
            zone=p.get("zone", ""),
        )
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


def unusable(places: Iterable[Place]) -> str | None:
    """Say which balancer is wired to nobody, so that a roll through it would prove nothing."""
    for place in places:
        if place.member.standing is Standing.IDLE:
            return f"{place.balancer.name} is in no use: {place.member.note}"
    return None


def unminded(places: Mapping[str, Sequence[Place]]) -> tuple[str, ...]:
    """Say which Auto Scaling groups do not know that their hosts are rolled; a line each."""
    found: dict[str, list[str]] = {}
    for host, mine in places.items():
        known = {place.balancer.name for place in mine}
        for group in {p.member.scaled_by for p in mine if p.member.scaled_by}:
            if f"asg/{group}" not in known:
                found.setdefault(group, []).append(host)
    return tuple(
        f"{', '.join(hosts)}: of the Auto Scaling group {group}, which may replace what is out: "
        f'hosts = {{ asg = "{group}" }} lets it stand by'
        for group, hosts in found.items()
    )


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
        well = {key(m) for m in members if m.standing is Standing.IN and not m.away}
        mine = _places_in(balancer.name, places)
        serving = {host for host, own in mine.items() if own and {key(m) for m in own} <= well}
        if serving.isdisjoint(batch):
            continue
        left = serving.difference(batch)
        if len(left) < minimum:
            return (
                f"{balancer.name}: with {', '.join(batch)} out only {len(left)} of the fleet "
                f"would serve, and {minimum} must"
            )
        leaving = [member for host in batch for member in mine[host]]
        if floors and (below := _below_floor(balancer, members, leaving)):
            return below
    return None


def _places_in(balancer: str, places: Mapping[str, Sequence[Place]]) -> dict[str, list[Member]]:
    """Who each host is in one balancer."""
    return {
        host: [place.member for place in mine if place.member.balancer == balancer]
        for host, mine in places.items()
    }


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


def idle(
    balancers: Sequence[Balancer], places: Mapping[str, Sequence[Place]], hosts: Sequence[str]
) -> tuple[str, ...]:
    """Those of some hosts that no balancer counts on now: taking them out costs nothing."""
    serving = {
        (b.name, key(m)) for b in balancers for m in b.members() if m.standing is Standing.IN
    }
    return tuple(
        host
        for host in hosts
        if not any((p.balancer.name, key(p.member)) in serving for p in places[host])
    )
