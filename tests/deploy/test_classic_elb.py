"""Classic load balancers, where a state alone says little."""

import pytest

from debship.config.fleet import ClassicElbSettings
from debship.deploy.balancer.classic_elb import ClassicElb, open_classic_elb, read_terms, standing
from debship.deploy.balancer.door import Standing
from debship.errors import Failed

A, B = "10.0.0.11", "10.0.0.12"
IN, OUT, DRAINING, DOWN = Standing.IN, Standing.OUT, Standing.DRAINING, Standing.DOWN


def opened(sky, name: str = "auth") -> ClassicElb:
    api = sky.aws.api("elb")
    return open_classic_elb(ClassicElbSettings(name), api, sky.machines, sky.clock)


@pytest.mark.parametrize(
    ("state", "description", "means"),
    [
        ("InService", "N/A", IN),
        ("InService", "Instance deregistration currently in progress.", DRAINING),
        ("OutOfService", "Instance is not currently registered with the LoadBalancer.", OUT),
        ("OutOfService", "Instance registration is still in progress.", Standing.WAVERING),
        ("OutOfService", "Instance has failed at least the UnhealthyThreshold number ...", DOWN),
        ("OutOfService", "Instance is in stopped state.", DOWN),
        ("Unknown", "A transient error occurred. Please try again later.", Standing.WAVERING),
    ],
)
def test_the_description_tells_what_the_state_does_not(state, description, means) -> None:
    assert standing({"State": state, "Description": description}) is means


def test_one_that_drains_is_seen_though_the_list_leaves_it_out(sky) -> None:
    sky.estate.build((A, B)).classic(*sky.estate.ids(A, B))
    sky.clock.sleep(10)
    elb = opened(sky)
    one = next(member for member in elb.members() if member.address == A)
    elb.take_out(one)
    sky.clock.sleep(5)
    assert elb.health(one).standing is DRAINING
    assert opened(sky).health(one).standing is DRAINING, "also for a roll that came after"
    sky.clock.sleep(20)
    assert elb.health(one).standing is OUT
    assert (one.port, one.zone) == (8101, "eu-west-1a")


def test_whom_it_forgot_is_known_by_its_names(sky) -> None:
    sky.estate.build((A, B)).classic(*sky.estate.ids(A))
    guess = opened(sky).absent(frozenset({B}))
    assert (guess.id, guess.standing) == (*sky.estate.ids(B), OUT)
    assert opened(sky).absent(frozenset({"10.0.0.99"})) is None


def test_one_that_is_not_there_is_an_error(sky) -> None:
    with pytest.raises(Failed, match="nope"):
        opened(sky, "nope")


CHECK = {"Interval": 10, "Timeout": 5, "HealthyThreshold": 4}


def terms(*, drains: bool = True, timeout: int = 300, crosses: bool = True):
    return read_terms(
        CHECK,
        {
            "ConnectionDraining": {"Enabled": drains, "Timeout": timeout},
            "CrossZoneLoadBalancing": {"Enabled": crosses},
        },
    )


def test_deadlines_are_computed_from_its_own_settings() -> None:
    assert terms().drain == 360
    assert terms().rise == 10 * 4 + 5 + 60
    assert terms().floor.by_zone is False
    assert terms(crosses=False).floor.by_zone is True


def test_what_a_person_should_know_is_told() -> None:
    assert "draining is off" in terms(drains=False).warnings[0]
    assert "may drain for 5 min" in terms().warnings[0]
    assert terms(timeout=30).warnings == ()
