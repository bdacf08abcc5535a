"""Waiting for balancers, on a clock that passes only when somebody sleeps."""

from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest

from debship.deploy.balancer.door import Declined, Member, Standing, Terms, Unanswered
from debship.deploy.places import Place
from debship.deploy.waiting import SILENCE, wait_for

from fakes_fleet import FakeClock


@dataclass
class Told:
    """A balancer that answers as it is told, one answer a look, the last for ever."""

    clock: FakeClock
    answers: list
    terms: Terms = field(default_factory=lambda: Terms(drain=10, rise=60, poll=1))
    name: str = "told"
    looks: list[float] = field(default_factory=list)

    def health(self, member: Member) -> Member:
        self.looks.append(self.clock.at)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            raise Unanswered("no answer")
        return replace(member, standing=answer)


IN, OUT, DRAINING = Standing.IN, Standing.OUT, Standing.DRAINING
SICK = Standing.DOWN


def wait(*balancers: Told, wanted: Standing = OUT, looks: int = 1) -> tuple[Standing, ...]:
    places = [Place(b, Member(b.name, "i", "a", 1, IN, 0)) for b in balancers]
    seen = wait_for(
        places,
        lambda member: member.standing is wanted,
        limit=lambda terms: terms.drain,
        looks=lambda _: looks,
        clock=balancers[0].clock,
        seed="roll host",
    )
    return tuple(member.standing for member in seen)


def test_it_ends_with_the_first_good_look() -> None:
    told = Told(FakeClock(), [DRAINING, DRAINING, OUT])
    assert wait(told) == (OUT,)
    assert len(told.looks) == 3


def test_it_ends_when_the_time_is_over_and_tells_how_it_stands() -> None:
    clock = FakeClock()
    told = Told(clock, [DRAINING])
    assert wait(told) == (DRAINING,)
    assert 10 < told.looks[-1] - told.looks[0] <= 10 + 1.25


def test_one_lucky_look_is_not_enough_where_more_are_asked() -> None:
    told = Told(FakeClock(), [IN, SICK, IN, IN, IN])
    assert wait(told, wanted=IN, looks=3) == (IN,)
    assert len(told.looks) == 5


def test_lost_answers_are_asked_again_less_and_less_often() -> None:
    told = Told(FakeClock(), [None] * 5 + [OUT])
    assert wait(told) == (OUT,)
    gaps = [b - a for a, b in pairwise(told.looks)]
    assert gaps[:4] == sorted(gaps[:4])
    assert 7 < gaps[-1] < 13


def test_a_balancer_that_stays_silent_ends_it() -> None:
    told = Told(FakeClock(), [None])
    with pytest.raises(Unanswered):
        wait(told)
    assert SILENCE < told.clock.at - 1000 < SILENCE + 20


def test_a_balancer_that_says_no_ends_it_at_once() -> None:
    told = Told(FakeClock(), [OUT])
    told.health = lambda member: (_ for _ in ()).throw(Declined("no"))
    with pytest.raises(Declined):
        wait(told)
    assert told.clock.at == 1000


def test_a_person_who_wants_out_is_noticed_within_a_second() -> None:
    clock = FakeClock()
    told = Told(clock, [DRAINING], Terms(drain=100, rise=1, poll=10))
    place = Place(told, Member("told", "i", "a", 1, IN, 0))
    moments = []

    def safe_point() -> None:
        moments.append(clock.at)
        if clock.at > 1005:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        wait_for(
            [place],
            lambda _: False,
            limit=lambda terms: terms.drain,
            looks=lambda _: 1,
            clock=clock,
            seed="",
            safe_point=safe_point,
        )
    assert max(b - a for a, b in pairwise(moments)) <= 1.0


def test_lost_answers_with_good_ones_between_do_not_add_up() -> None:
    told = Told(FakeClock(), [None, DRAINING] * 40 + [OUT], Terms(drain=999, rise=1, poll=1))
    assert wait(told) == (OUT,)


def test_a_deadline_in_the_middle_of_lost_answers_is_not_taken_for_a_state() -> None:
    told = Told(FakeClock(), [DRAINING, None, None, None, OUT], Terms(drain=2, rise=1, poll=1))
    assert wait(told) == (OUT,)


def test_each_balancer_is_asked_at_its_own_pace() -> None:
    clock = FakeClock()
    quick = Told(clock, [DRAINING] * 50 + [OUT], Terms(drain=100, rise=1, poll=0.1))
    slow = Told(clock, [DRAINING, OUT], Terms(drain=100, rise=1, poll=10))
    assert wait(quick, slow) == (OUT, OUT)
    assert (len(quick.looks), len(slow.looks)) == (51, 2)


def test_looks_are_spread_and_the_same_roll_spreads_them_the_same() -> None:
    first, second = (Told(FakeClock(), [DRAINING]) for _ in range(2))
    wait(first)
    wait(second)
    assert first.looks == second.looks
    gaps = {round(b - a, 3) for a, b in pairwise(first.looks)}
    assert len(gaps) > 3
    assert all(0.75 <= gap <= 1.25 for gap in gaps)
