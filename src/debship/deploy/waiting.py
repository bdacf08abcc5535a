"""Waiting for balancers: each at its own pace, every wait bounded, a lost answer not the end."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from debship.deploy.balancer.door import Declined, Member, Terms
from debship.deploy.clock import Clock
from debship.deploy.places import Place
from debship.errors import Failed, Refused

SILENCE = 60.0  # seconds that a balancer may err before it is believed to be out of order
NAP = 1.0  # seconds at most, until a person who wants out is noticed

LASTING = (Refused, Declined)  # what asking again does not mend

Good = Callable[[Member], bool]


@dataclass
class _Look:
    """What is known of one place while it is waited for."""

    place: Place
    due: float
    deadline: float
    seen: Member
    row: int = 0  # good looks in a row
    lost: int = 0  # answers in a row that were lost
    silent: float = 0.0  # since when
    done: bool = False


def wait_for(
    places: Sequence[Place],
    good: Good,
    *,
    limit: Callable[[Terms], float],
    looks: Callable[[Terms], int],
    clock: Clock,
    seed: str,
    safe_point: Callable[[], None] = lambda: None,
) -> tuple[Member, ...]:
    """Look at places until every one was good often enough in a row, or its time was over.

    Args:
        limit: seconds that a place may take, by its balancer's terms.
        looks: how many looks in a row must be good.
        seed: spreads the looks of several hosts and rolls, so that they do not come at once.
        safe_point: called again and again; raises where a person wants out.

    Returns:
        How each stands, as last seen; the caller judges those that are not good.

    Raises:
        Failed: a balancer erred for ``SILENCE`` seconds on end, or says no.
    """
    now = clock.monotonic()
    watched = [_Look(p, now, now + limit(p.balancer.terms), p.member) for p in places]
    spread = random.Random(seed)  # noqa: S311 - spreads looks in time, keeps nothing secret
    while waiting := [look for look in watched if not look.done]:
        now = clock.monotonic()
        for look in waiting:
            if look.due > now:
                continue
            terms = look.place.balancer.terms
            _look(look, good, looks(terms), clock)
            late = clock.monotonic() > look.deadline
            look.done = look.done or (late and look.lost == 0)
            # After lost answers it is asked less and less often: a throttled caller must not push.
            pause = min(terms.poll * 2**look.lost, 10.0) * spread.uniform(0.75, 1.25)
            look.due = clock.monotonic() + pause
        ahead = [look.due for look in watched if not look.done]
        if ahead:
            safe_point()
            clock.sleep(min(NAP, max(0.0, min(ahead) - clock.monotonic())))
    return tuple(look.seen for look in watched)


def _look(look: _Look, good: Good, wanted: int, clock: Clock) -> None:
    asked = clock.monotonic()
    try:
        look.seen = look.place.now()
    except LASTING:
        raise
    except Failed:
        look.silent = look.silent if look.lost else asked
        look.lost += 1
        if clock.monotonic() - look.silent > SILENCE:
            raise
        return
    look.lost = 0
    look.row = look.row + 1 if good(look.seen) else 0
    look.done = look.row >= wanted
