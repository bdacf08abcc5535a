"""Configuration alone, rolled as a version is; and what is said of files that people edited."""

from dataclasses import replace
from pathlib import Path

import pytest
from test_roll import SECRETS, Rig, outcomes

from debship.deploy.host import Answer
from debship.errors import Failed, Refused

NEW = {"PASSWORD": "correct horse"}


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def checked(rig: Rig) -> Rig:
    """Its file has a check."""
    file = replace(rig.app.files[0], check=("auth-check", "{path}"))
    rig.app = replace(rig.app, files=(file,))
    return rig


def test_a_host_is_restarted_only_where_a_file_changed(rig: Rig) -> None:
    rig.hosts[1].files[SECRETS].content = b"PASSWORD=correct horse\n"
    report = rig.deploy(None, config=True, env=NEW)
    assert outcomes(report) == ["changed", "unchanged", "changed"]
    assert str(report.version) == "1.0-1"
    assert [host.log.count("restart") for host in rig.hosts] == [1, 0, 1]
    assert all(host.version == "1.0-1" for host in rig.hosts)
    assert rig.balancer.log == ["out a", "back a", "out c", "back c"]


def test_the_repository_is_not_asked(rig: Rig) -> None:
    for host in rig.hosts:
        host.offered = ()
    assert outcomes(rig.deploy(None, config=True, env=NEW)) == ["changed"] * 3


@pytest.mark.parametrize("has", [("1.1-1", "ii "), (None, "un ")])
def test_hosts_of_several_versions_are_refused(rig: Rig, has) -> None:
    rig.hosts[1].version, rig.hosts[1].abbrev = has
    with pytest.raises(Refused, match=r"hosts of one version, and these are not: a 1\.0-1, b "):
        rig.deploy(None, config=True, env=NEW)
    assert rig.balancer.log == []


def test_a_file_that_the_application_refuses_leaves_every_host_serving(rig: Rig) -> None:
    checked(rig).hosts[2].check = lambda content: Answer(1, b"", b"bad: " + content)
    with pytest.raises(Failed, match=r"c: auth-check refuses the new /etc/") as caught:
        rig.deploy(None, config=True, env=NEW)
    assert "correct horse" not in caught.value.message
    assert "bad: PASSWORD=[hidden]" in caught.value.message
    assert rig.balancer.log == []
    assert rig.hosts[0].files[SECRETS].content == b"PASSWORD=hunter2\n"


def test_the_new_version_judges_its_own_files(rig: Rig) -> None:
    checked(rig).hosts[0].check = lambda content: Answer(1, b"", b"no")
    report = rig.deploy(env=NEW)
    assert outcomes(report) == ["returned", "untouched", "untouched"]
    assert rig.hosts[0].files[SECRETS].content == b"PASSWORD=hunter2\n"
    assert "auth-check refuses" in report.hosts[0].reason


def test_a_file_that_stays_is_not_judged(rig: Rig) -> None:
    checked(rig)
    for host in rig.hosts:
        host.check = lambda _: Answer(1, b"", b"no")
    assert outcomes(rig.deploy()) == ["changed"] * 3


def test_a_conffile_that_somebody_edited_is_told_with_the_difference(rig: Rig) -> None:
    rig.hosts[0].conffile = "/etc/auth.conf"
    report = rig.deploy()
    assert report.hosts[0].edited == ("/etc/auth.conf",)
    assert "+listen = [hidden]" in report.hosts[0].edits
    assert "    | +listen = [hidden]" in report.lines()
    assert report.hosts[1].edits == ""
