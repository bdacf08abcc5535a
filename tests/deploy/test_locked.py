"""Another apt has a lock on a host: that is waited for, and nothing else is."""

from pathlib import Path

import pytest
from test_roll import Rig, outcomes

from debship.deploy.host import Answer
from debship.errors import Failed


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
