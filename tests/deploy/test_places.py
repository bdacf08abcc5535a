"""The places of hosts, and what forbids taking a batch out."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debship.deploy.balancer.door import Floor, Member, Standing, Terms
from debship.deploy.places import Place, find_places, shortfall, unusable
from debship.errors import Refused

IN, OUT, DOWN = Standing.IN, Standing.OUT, Standing.DOWN


@dataclass
class Group:
    """A balancer that stands still."""

    all: tuple[Member, ...]
    terms: Terms = field(default_factory=lambda: Terms(drain=1, rise=1))
    name: str = "g"
    guess: Member | None = None

    def members(self) -> tuple[Member, ...]:
        return self.all

    def absent(self, names: frozenset[str]) -> Member | None:
        return self.guess


def member(host: str, *, port: int = 1, standing: Standing = IN, zone: str = "", **more) -> Member:
    return Member("g", f"i-{host}", host, port, standing, 0, zone=zone, **more)


def group(*members: Member, floor: Floor | None = None) -> Group:
    return Group(members, Terms(drain=1, rise=1, floor=floor or Floor()))


def short(balancer: Group, batch: str, *, minimum: int = 0, floors: bool = True) -> str | None:
    hosts = list(dict.fromkeys(m.address for m in balancer.all))
    places = {
        host: tuple(Place(balancer, m) for m in balancer.all if m.address == host) for host in hosts
    }
    return shortfall((balancer,), places, batch.split(), minimum, floors=floors)


def test_a_host_is_found_by_any_of_its_names() -> None:
    machine = member("10.0.0.1", names=frozenset({"web-1.internal"}))
    for name in ("i-10.0.0.1", "10.0.0.1", "web-1.internal"):
        assert find_places([name], [group(machine)], lambda _: frozenset())[name]
    assert find_places(["web"], [group(machine)], lambda _: frozenset({"10.0.0.1"}))["web"]


def test_a_host_that_its_balancer_forgot_is_who_it_would_be() -> None:
    balancer = Group((member("a"),), guess=member("b", standing=OUT))
    found = find_places(["a", "b"], [balancer], lambda _: frozenset())
    assert found["b"][0].member.standing is OUT


def test_a_host_that_is_nobody_is_refused() -> None:
    with pytest.raises(Refused, match="b is not in this balancer"):
        find_places(["b"], [group(member("a"))], lambda _: frozenset())


def test_one_server_by_two_names_is_refused() -> None:
    servers = group(member("10.77.1.11"), member("10.77.1.12"))
    known = {"alias": frozenset({"10.77.1.12"})}

    def resolve(host: str) -> frozenset[str]:
        return known.get(host, frozenset())

    with pytest.raises(Refused) as caught:
        find_places(["alias", "10.77.1.11", "10.77.1.12"], [servers], resolve)
    assert caught.value.message == "alias and 10.77.1.12 are the same server (i-10.77.1.12) of g"
    assert caught.value.hint == "name it once in fleet.toml"
    assert len(find_places(["alias", "10.77.1.11"], [servers], resolve)) == 2


def test_two_hosts_behind_one_address_are_two_where_their_ports_are() -> None:
    one, two = (Member("g", f"s{n}", "127.0.0.1", n, IN, 0) for n in (1, 2))
    assert len(find_places(["s1", "s2"], [group(one, two)], lambda _: frozenset())) == 2


def places_of(balancer: Group, record) -> list[tuple[str, int, str, Standing]]:
    found = find_places(["a"], [balancer], lambda _: frozenset(), {"a": record})["a"]
    return [(p.member.id, p.member.port, p.member.zone, p.member.standing) for p in found]


def test_ports_that_a_balancer_forgot_are_those_that_were_written_down() -> None:
    balancer = Group((), guess=member("a", port=80, standing=OUT))
    record = {
        "places": [
            {"balancer": "g", "id": "i-a", "port": 8080, "zone": "z1"},
            {"balancer": "g", "id": "i-a", "port": 8081, "zone": "z1"},
            {"balancer": "other", "id": "i-a", "port": 9, "zone": ""},
        ]
    }
    assert places_of(balancer, record) == [("i-a", 8080, "z1", OUT), ("i-a", 8081, "z1", OUT)]
    assert places_of(balancer, None) == [("i-a", 80, "", OUT)]


def test_a_port_that_came_back_and_one_that_did_not_are_both_kept() -> None:
    record = {"places": [{"balancer": "g", "id": "i-a", "port": p} for p in (8080, 8081)]}
    balancer = group(member("a", port=8080))
    assert places_of(balancer, record) == [("i-a", 8080, "", IN), ("i-a", 8081, "", OUT)]


def test_a_balancer_wired_to_nobody_is_told() -> None:
    place = Place(Group(()), member("a", standing=Standing.IDLE, note="Target.NotInUse"))
    assert unusable([place]) == "g is in no use: Target.NotInUse"


def test_fewer_than_the_minimum_may_not_serve() -> None:
    balancer = group(member("a"), member("b"), member("c", standing=DOWN))
    assert "only 1 of the fleet would serve, and 2 must" in (short(balancer, "a", minimum=2) or "")
    assert short(balancer, "a", minimum=1) is None
    assert short(balancer, "c", minimum=2) is None, "it serves nobody, so it costs nothing"


def test_a_zone_that_a_shift_emptied_does_not_count_as_serving() -> None:
    balancer = group(member("a"), member("b", away=True))
    assert short(balancer, "a", minimum=1)


def test_the_last_well_one_may_not_leave_a_balancer_that_would_fail_open() -> None:
    balancer = group(member("a"), member("b", standing=DOWN), floor=Floor(count=1))
    assert "gives up on health" in (short(balancer, "a") or "")
    assert short(balancer, "a", floors=False) is None
    assert short(group(member("a"), member("b"), floor=Floor(count=1)), "a") is None


def test_a_floor_in_percent_is_of_those_that_stay() -> None:
    four = [member(host) for host in "abcd"]
    assert short(group(*four, floor=Floor(percent=100)), "a") is None
    three = [*four[:3], member("d", standing=DOWN)]
    assert short(group(*three, floor=Floor(percent=67)), "a")


def test_each_zone_is_judged_by_itself_where_zones_are_not_crossed() -> None:
    members = (member("a", zone="z1"), member("b", zone="z1"), member("c", zone="z2"))
    zonal = group(*members, floor=Floor(count=1, by_zone=True))
    assert short(zonal, "a") is None
    assert "in z1" in (short(zonal, "a b") or "")
    assert "in z2" in (short(zonal, "c") or "")
    assert short(group(*members, floor=Floor(count=1)), "c") is None


def test_a_host_at_two_ports_serves_only_where_both_are_well() -> None:
    one, two = member("a", port=1), member("a", port=2, standing=DOWN)
    other = (member("b", port=1), member("b", port=2))
    assert short(group(one, two, *other), "b", minimum=1)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 100))
def test_a_floor_never_asks_for_more_than_all_where_its_number_does_not(
    members: int, count: int, percent: int
) -> None:
    assert Floor(count, percent).of(members) <= max(count, members)
    assert Floor(0, percent).of(members) * 100 >= members * percent
