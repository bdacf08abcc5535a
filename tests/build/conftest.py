from collections.abc import Callable
from pathlib import Path

import pytest
from sample import Sample, make_sample

from debship.debian.releases import Release, this_machine
from debship.model import Architecture
from debship.run import run


@pytest.fixture
def release() -> Release:
    return this_machine(Path("/etc/os-release").read_text())


@pytest.fixture
def machine() -> Architecture:
    return Architecture(run(["dpkg", "--print-architecture"]).text)


@pytest.fixture
def sample_in(release: Release, machine: Architecture) -> Callable[..., Sample]:
    return lambda folder, version="1.0": make_sample(folder, release, machine, version)


@pytest.fixture
def sample(sample_in: Callable[..., Sample], tmp_path: Path) -> Sample:
    return sample_in(tmp_path / "app")
