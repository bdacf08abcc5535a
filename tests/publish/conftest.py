"""Keys, stores and publishers."""

import contextlib
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from debs import make_deb
from debship.debian.archive import Archive, read_archive
from debship.debian.releases import release
from debship.publish.publisher import Publisher
from debship.publish.store.directory import DirectoryStore
from debship.publish.suite import init
from debship.roots import clean_root
from debship.run import run
from fakes_store import MemoryStore
from publishing import Clock, Home, S3Server, gpg_home, make_publisher, settings


@pytest.fixture(scope="session")
def home() -> Iterator[Home]:
    with gpg_home(2) as made:
        yield made


@pytest.fixture(scope="session")
def begun(home: Home) -> tuple[datetime, dict[str, tuple[bytes, datetime]]]:
    """A suite that was just made: when, and what lies in its store."""
    clock, memory = Clock(), MemoryStore()
    memory.time = clock.now
    init(make_publisher(memory, home.ring(), clock), settings())
    return clock.at, memory.objects


@pytest.fixture
def clock(begun) -> Clock:
    return Clock(begun[0])


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def publisher(memory: MemoryStore, home: Home, clock: Clock, begun) -> Publisher:
    """One who works on a suite in memory, made already."""
    memory.time = clock.now
    memory.objects.update(begun[1])
    return make_publisher(memory, home.ring(), clock)


@pytest.fixture(scope="session")
def debs(tmp_path_factory: pytest.TempPathFactory):
    """Packages by name, version and architecture; each is built once."""
    folder = tmp_path_factory.mktemp("debs")
    made: dict[tuple[str, ...], Archive] = {}

    def get(package: str = "auth", version: str = "1.0", architecture: str = "amd64", **more):
        key = (package, version, architecture, *map(str, more.items()))
        if key not in made:
            place = folder / str(len(made))
            place.mkdir()
            made[key] = read_archive(make_deb(place, package, version, architecture, **more))
        return made[key]

    return get


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    argv, top = [sys.executable, "-m", "tests.threaded_s3", str(port)], Path(__file__).parents[2]
    process = subprocess.Popen(argv, cwd=top, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(200):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/moto-api/"):
                break
            time.sleep(0.05)
        yield S3Server(url)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def trixie() -> Path:
    cache = Path("/var/cache/debship/roots")
    return clean_root(release("trixie"), (), run=run, cache=cache, say=print)


@pytest.fixture
def directory(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "repository")
