from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sample import Sample, make_sample

from debship.debian.releases import Release, this_machine
from debship.model import Architecture, Deb
from debship.run import run


@pytest.fixture(autouse=True, scope="session")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What the command keeps, it keeps for this session: never among the developer's own."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("DEBSHIP_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def release() -> Release:
    return this_machine(Path("/etc/os-release").read_text())


@pytest.fixture(scope="session")
def machine() -> Architecture:
    return Architecture(run(["dpkg", "--print-architecture"]).text)


@pytest.fixture
def sample_in(release: Release, machine: Architecture) -> Callable[..., Sample]:
    return lambda folder, version="1.0": make_sample(folder, release, machine, version)


@pytest.fixture(scope="session")
def kept_layers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache for all tests whose subject is no cache: what the sample needs is packed once."""
    return tmp_path_factory.mktemp("layers")


@pytest.fixture
def sample(sample_in: Callable[..., Sample], tmp_path: Path, kept_layers: Path) -> Sample:
    """The sample; with ``cache = None`` it keeps what it packs to itself."""
    sample = sample_in(tmp_path / "app")
    sample.cache = kept_layers
    return sample


@pytest.fixture(scope="session")
def deb(tmp_path_factory: pytest.TempPathFactory, release: Release, machine: Architecture) -> Deb:
    """The sample, built once for all tests that only look at it."""
    return make_sample(tmp_path_factory.mktemp("built"), release, machine).build()


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory, deb: Deb) -> Path:
    """What is in it, unpacked; not to be changed."""
    folder = tmp_path_factory.mktemp("unpacked") / "root"
    run(["dpkg-deb", "-R", deb.path, folder])
    return folder
