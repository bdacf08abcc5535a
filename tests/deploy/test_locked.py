"""Another apt has a lock on a host: that is waited for, and nothing else is."""

from pathlib import Path

import pytest
from test_roll import DEPENDENCIES, Rig, outcomes

from debship.deploy.host import Answer
from debship.errors import Failed

from fakes_fleet import FakeHost

# As apt 2.6.2 says it where another one fetches, which the roll of another application does.
ARCHIVES_LOCKED = (
    "E: Could not get lock /var/cache/apt/archives/lock. It is held by process 859 (apt-get)\n"
    "E: Unable to lock directory /var/cache/apt/archives/"
)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_another_apt_that_reads_its_lists_is_waited_for(rig: Rig) -> None:
    rig.hosts[1].lists_locked_until = rig.clock.at + 40
    assert outcomes(rig.deploy()) == ["changed"] * 3
    waiting = "b: another apt is at work there; waiting for it, at most 120 s"
    assert rig.steps.count(waiting) == 1


def test_one_that_does_not_end_is_named_while_every_host_serves(rig: Rig) -> None:
    rig.hosts[1].lists_locked_until = rig.clock.at + 10**6
    began = rig.clock.at
    with pytest.raises(Failed, match="b: the repository could not be read\nE: Could not get lock"):
        rig.deploy()
    assert 120 <= rig.clock.at - began < 130
    assert rig.balancer.log == []


def test_an_index_that_cannot_be_read_is_said_at_once(rig: Rig) -> None:
    asked = []

    def missing(argv: tuple[str, ...]) -> Answer:
        asked.append(argv)
        return Answer(100, b"", b"E: http://blocks/locked: 404")

    rig.hosts[1]._update = missing
    with pytest.raises(Failed, match="blocks/locked: 404") as caught:
        rig.deploy()
    assert (caught.value.hint or "").startswith("compare repository.url in fleet.toml")
    assert len(asked) == 1


def lock_archives(rig: Rig, host: FakeHost, seconds: float) -> None:
    """Have another apt fetch on a host from now on: apt that is carried fails at once."""
    until, install, said = rig.clock.at + seconds, host._install, host._journalctl

    def locked(argv: tuple[str, ...]) -> Answer:
        if rig.clock.at >= until or "--configure" in argv:
            return install(argv)
        host.unit = "failed"
        return Answer(100, b"", b"")

    host._install = locked
    host._journalctl = lambda argv: ARCHIVES_LOCKED if rig.clock.at < until else said(argv)


WAITING = "a: another apt is at work there; waiting for it, at most 120 s"


def test_dependencies_wait_for_another_application_that_is_fetched(rig: Rig) -> None:
    host = rig.hosts[0]
    host.also = DEPENDENCIES
    lock_archives(rig, host, 40)
    assert outcomes(rig.deploy()) == ["changed"] * 3
    assert rig.steps.count(WAITING) == 1
    assert host.beside == {"auth-deps-0123abcd=1.0-1"}


def test_one_that_fetches_without_end_is_named_while_every_host_serves(rig: Rig) -> None:
    rig.hosts[0].also = DEPENDENCIES
    lock_archives(rig, rig.hosts[0], 10**6)
    began = rig.clock.at
    with pytest.raises(Failed, match="could not be installed\nE: Could not get lock"):
        rig.deploy()
    assert 120 <= rig.clock.at - began < 130
    assert rig.balancer.log == []


def test_a_package_that_is_mended_waits_too(rig: Rig) -> None:
    host = rig.hosts[0]
    host.abbrev = "iHR"
    lock_archives(rig, host, 40)
    report = rig.deploy()
    assert outcomes(report) == ["changed"] * 3
    assert report.hosts[0].before == "1.0-1"
    assert rig.steps.count(WAITING) == 1
