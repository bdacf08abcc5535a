import pytest
from hypothesis import given
from hypothesis import strategies as st

from debship.config.fleet import FleetApp, Share
from debship.deploy import apt
from debship.deploy.balancer.door import Standing
from debship.deploy.plan import costless_first, plan_roll
from debship.errors import Misused, Refused
from debship.model import DebVersion, PackageName

AUTH = PackageName("auth")
V = DebVersion("1.1-1")


def app(hosts: tuple[str, ...], **changes) -> FleetApp:
    return FleetApp(name="auth", package=AUTH, hosts=hosts, **changes)


@given(
    count=st.integers(1, 200),
    batch=st.one_of(
        st.integers(1, 50).map(lambda n: Share(count=n)),
        st.integers(1, 100).map(lambda n: Share(percent=n)),
    ),
    canary=st.integers(0, 10),
)
def test_every_host_is_in_one_batch_and_no_batch_is_too_large(count, batch, canary) -> None:
    hosts = tuple(f"h{n}" for n in range(count))
    plan = plan_roll(app(hosts, batch=batch, canary=canary), V, hosts, roll="r", by="me")
    assert plan.hosts == hosts
    assert all(1 <= len(part) <= max(1, batch.of(count)) for part in plan.batches)
    assert plan.minimum + max(map(len, plan.batches)) <= count


def test_the_canary_goes_before_the_batches() -> None:
    hosts = tuple("abcdefgh")
    plan = plan_roll(app(hosts, batch=Share(percent=50)), V, hosts, roll="r", by="me")
    assert plan.batches == (("a",), ("b", "c", "d", "e"), ("f", "g", "h"))
    assert plan.minimum == 4


def test_hosts_that_serve_nobody_go_first_and_else_the_order_stays() -> None:
    standings = {"a": Standing.IN, "b": Standing.DOWN, "c": Standing.IN, "d": Standing.OUT}
    assert costless_first(tuple("abcd"), standings) == ("b", "d", "a", "c")


OFFERED = tuple(map(DebVersion, ("2.0~rc1-1", "1.1-2", "1.1-1", "1.0-1")))


@pytest.mark.parametrize(
    ("wanted", "found"),
    [(None, "2.0~rc1-1"), ("1.1", "1.1-2"), ("1.1-1", "1.1-1"), ("1.0-1", "1.0-1")],
)
def test_the_version_that_is_meant(wanted: str | None, found: str) -> None:
    assert str(apt.choose(wanted, OFFERED, AUTH)) == found


def test_a_version_that_is_not_offered_shows_what_is() -> None:
    with pytest.raises(Misused) as caught:
        apt.choose("3.0", OFFERED, AUTH)
    assert caught.value.message == "auth 3.0 is not in the repository"
    assert caught.value.hint == "it has 2.0~rc1-1, 1.1-2, 1.1-1, 1.0-1"


def test_versions_are_those_of_the_repository_alone() -> None:
    words = apt.available(AUTH)
    assert f"Dir::Etc::sourcelist={apt.SOURCE}" in words
    assert "Dir::Etc::sourceparts=-" in words
    assert "Dir::Cache::pkgcache=" in words  # else apt's own would be one of this source alone


def test_versions_that_apt_cache_lists() -> None:
    text = " auth | 1.0-1 | http://x/ s/main amd64 Packages\n auth |  1.1-1 | http://x/ s/main\n"
    assert apt.parse_available(text) == (DebVersion("1.1-1"), DebVersion("1.0-1"))
    assert apt.parse_available("N: Unable to locate package auth\n") == ()


def test_what_else_an_installation_changes_is_told() -> None:
    text = (
        "Inst libpq5 (15.6 Debian:12 [amd64])\n"
        "Inst zlib1g [1:1.2.12] (1:1.2.13 Debian:12 [amd64])\n"
        "Inst auth [1.0-1] (1.1-1 repo [amd64])\nConf auth (1.1-1 repo [amd64])\n"
    )
    also = ("libpq5 (new)", "zlib1g (1:1.2.12 to 1:1.2.13)")
    assert tuple(map(str, apt.parse_simulation(text, AUTH, "h"))) == also


def test_what_is_touched_of_others_that_are_there_is_told() -> None:
    text = (
        "Inst libpq5 (15.6 Debian:12 [amd64])\n"
        "Inst zlib1g [1:1.2.12] (1:1.2.13 Debian:12 [amd64])\n"
        "Inst auth [1.0-1] (1.1-1 repo [amd64])\nConf libpq5 (15.6 Debian:12 [amd64])\n"
        "Conf zlib1g (1:1.2.13 Debian:12 [amd64])\nConf auth (1.1-1 repo [amd64])\n"
    )
    also = apt.parse_simulation(text, AUTH, "h")
    told = "apt also changes zlib1g (1:1.2.12 to 1:1.2.13); what runs of it goes on as it is"
    assert apt.touched(also, apt.half_done(text, AUTH)) == told
    left = apt.half_done(text + "Conf billing (3.0-1 repo [all])\n", AUTH)
    finished = "finishes billing, which a dpkg that was cut off left; what runs of it"
    assert finished in apt.touched(also, left)
    assert apt.touched(also[:1], ()) == ""


def test_only_dependencies_named_by_their_content_are_installed_ahead() -> None:
    text = (
        "Inst libpq5 (15.6 Debian:12 [amd64])\n"
        "Inst auth-deps-0123abcd (1.0-1 repo [amd64])\n"
        "Inst other-deps-0123abcd (1.0-1 repo [amd64])\n"
        "Inst auth [1.0-1] (1.1-1 repo [amd64])\n"
    )
    also = apt.parse_simulation(text, AUTH, "h")
    assert apt.ahead(also, AUTH) == ("auth-deps-0123abcd=1.0-1",)
    assert apt.parse_installed("ii |a=1\niF |b=1\nun |c=\n") == {"a=1"}


@pytest.mark.parametrize(
    ("line", "what"),
    [("Remv nginx [1.0]", "remove nginx"), ("Inst libc6 [2.0] (1.0 x [amd64])", "back to 1.0")],
)
def test_an_installation_that_harms_others_is_refused(line: str, what: str) -> None:
    with pytest.raises(Refused, match=what):
        apt.parse_simulation(line, AUTH, "h")
