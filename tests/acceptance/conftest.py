"""Real hosts, shared by the tests of a session: a lab is booted once and taken away at the end."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from examples.rehearsal import Rehearsal
from house import House
from witness import Witness

from debship.debian.releases import release, this_machine


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory):
    """Three hosts, and auth in the repository: two versions well, two not, three of them split."""
    folder = tmp_path_factory.mktemp("stage")
    stage = Rehearsal(folder, name=f"t{os.getpid()}")
    try:
        stage.up("--hosts", "3", "--fleet", str(stage.app / "fleet.toml"))
        stage.publish(
            stage.build("1.0.0"),
            stage.build("1.1.0"),
            stage.build("1.2.0", broken=True),
            stage.build("1.3.0", sick=True),
        )
        split = (*stage.build_split("2.0.0"), *stage.build_split("2.0.1"))
        stage.publish(*dict.fromkeys((*split, *stage.build_split("2.1.0", level="3"))))
        stage.fab("bootstrap", "--app", "auth")
        yield stage
    finally:
        stage.down()


@pytest.fixture(scope="session")
def houses(tmp_path_factory: pytest.TempPathFactory):
    """Give the one host of a release, booted when asked for; this machine's could build, too."""
    there: dict[str, House] = {}
    builds = ("dpkg-dev", "git", "gpg", "gpg-agent")

    def house(codename: str) -> House:
        if codename not in there:
            folder = tmp_path_factory.mktemp(f"house-{codename}")
            stage = Rehearsal(folder, name=f"{codename}{os.getpid()}")
            there[codename] = House(stage, release(codename))
            # What nobody asks of another release would be one more root to make.
            has = builds if codename == _here() else ()
            packages = (word for name in has for word in ("--package", name))
            stage.up("--hosts", "1", "--release", codename, *packages)
        return there[codename]

    try:
        yield house
    finally:
        for one in there.values():
            one.stage.down()


@pytest.fixture(scope="session")
def house(houses: Callable[[str], House]) -> House:
    """A host of this machine's release."""
    return houses(_here())


def _here() -> str:
    return this_machine(Path("/etc/os-release").read_text()).codename


@pytest.fixture
def at_one(stage: Rehearsal) -> Rehearsal:
    """The stage, every host well at 1.0.0 and in the balancer."""
    stage.report("deploy", "--app", "auth", "--version", "1.0.0")
    return stage


@pytest.fixture
def witness(stage: Rehearsal, tmp_path: Path) -> Witness:
    return Witness(stage, tmp_path)
