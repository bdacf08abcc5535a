"""A cloud on loopback for the tests of a module, empty at the start of each test."""

import random
from collections.abc import Callable, Iterator

import pytest

from cloudshim.estate import Estate
from cloudshim.server import REGION, serving
from debship.deploy.aws import Aws
from debship.deploy.machines import Machines

from fakes_fleet import FakeClock

SERVICES = ("elbv2", "elb", "ec2", "autoscaling", "ssm", "secretsmanager")


class Sick(set[str]):
    """Instances whose service does not answer well; or whoever judges that of them."""

    judge: Callable[[str], bool] | None = None

    def well(self, id_: str) -> bool:
        return id_ not in self and (self.judge is None or self.judge(id_))


class Sky:
    """One AWS whose time passes only when somebody sleeps, and how debship sees it."""

    def __init__(self, estate: Estate, clock: FakeClock, sick: Sick, aws: Aws) -> None:
        self.estate, self.clock, self.sick, self.aws = estate, clock, sick, aws
        self.cloud = estate.cloud
        self.machines = Machines(lambda: aws.api("ec2"))

    @property
    def faults(self):
        return self.cloud.app.faults


@pytest.fixture(scope="session")
def _sky() -> Iterator[tuple[Estate, FakeClock, Sick, Aws]]:
    clock, sick = FakeClock(), Sick()
    # One attempt of botocore's own: its pauses are real ones, and ours are the clock's.
    aws = Aws(clock, random.Random(1), REGION, attempts=1)
    with (
        serving(lambda: clock.at, lambda id_, port: sick.well(id_)) as cloud,
        pytest.MonkeyPatch.context() as patch,
    ):
        for key, value in cloud.environment.items():
            patch.setenv(key, value)
        for service in SERVICES:
            aws.api(service)
            if service == "elbv2":
                aws.api(service, REGION)
        patch.undo()
        yield Estate(cloud), clock, sick, aws


@pytest.fixture
def sky(_sky) -> Sky:
    estate, clock, sick, aws = _sky
    estate.cloud.reset()
    sick.clear()
    sick.judge = None
    return Sky(estate, clock, sick, aws)
