"""A cloud on loopback for the tests of a module, empty at the start of each test."""

import random
from collections.abc import Iterator

import pytest

from cloudshim.estate import Estate
from cloudshim.server import REGION, serving
from debship.deploy.aws import Aws
from debship.deploy.machines import Machines

from fakes_fleet import FakeClock

SERVICES = ("elbv2", "elb", "ec2", "autoscaling", "ssm", "secretsmanager")


class Sky:
    """One AWS whose time passes only when somebody sleeps, and how debship sees it."""

    def __init__(self, estate: Estate, clock: FakeClock, sick: set[str], aws: Aws) -> None:
        self.estate, self.clock, self.sick, self.aws = estate, clock, sick, aws
        self.cloud = estate.cloud
        self.machines = Machines(lambda: aws.api("ec2"))

    @property
    def faults(self):
        return self.cloud.app.faults


@pytest.fixture(scope="session")
def _sky() -> Iterator[tuple[Estate, FakeClock, set[str], Aws]]:
    clock, sick = FakeClock(), set()
    # One attempt of botocore's own: its pauses are real ones, and ours are the clock's.
    aws = Aws(clock, random.Random(1), REGION, attempts=1)
    with (
        serving(lambda: clock.at, lambda id_, port: id_ not in sick) as cloud,
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
    return Sky(estate, clock, sick, aws)
