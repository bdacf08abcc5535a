"""Several publishers at once, and publishers that are killed; real processes, real stores."""

import io
import itertools
import json
import os
import signal
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from apt_hosts import Machine
from debship.publish.clock import Clock
from debship.publish.paths import key_path
from debship.publish.recipe import publish
from debship.publish.signing import certificates
from debship.publish.snapshot import read_indices, read_snapshot
from debship.publish.sources import sources as sources_in
from debship.publish.store import IfAbsent, Store
from debship.publish.store.directory import DirectoryStore
from debship.publish.store.s3 import S3Store
from debship.publish.suite import init
from debship.publish.verify import verify_suite
from debship.run import run
from publishing import Clock as Standing
from publishing import S3Server, debship, make_publisher, served, settings

pytestmark = pytest.mark.acceptance

SUITE = ("--suite", "production")
TOGETHER, TIMES = 6, 5
MOMENT = timedelta(seconds=5)
TIME = Clock(lambda: datetime.now(UTC), time.sleep)  # hosts know only what is a second newer
WRITING = os.O_CREAT | os.O_WRONLY


@dataclass(frozen=True)
class Place:
    """Where a repository lies, how hosts read it, and the environment to reach it."""

    store: str
    url: str
    env: dict[str, str]
    open: Callable[[], Store]
    beside: Callable[[str], "Place"]  # another one, under a name
    seen: Store  # the same place, for who looks at it from here

    def __call__(self, verb: str, *words, check: bool = True):
        what = verb.split()
        return debship(*what, "--store", self.store, *SUITE, *words, env=self.env, check=check)

    def problems(self) -> tuple[str, ...]:
        key = self.seen.read(key_path("production")).data.decode()
        snapshot = read_snapshot(self.seen, "production", certificates(key, run), run)
        return verify_suite(self.seen, snapshot, lambda text: None).problems

    def sources(self) -> str:
        return self("repo sources", "--url", self.url).stdout


@pytest.fixture
def places(s3: S3Server, tmp_path: Path, home) -> dict[str, Place]:
    bucket = f"b-{uuid.uuid4().hex}"
    s3.bucket(bucket)
    return {
        "directory": in_directory(tmp_path, home, "repository"),
        "s3": in_bucket(s3, bucket, home, "debian"),
    }


@pytest.fixture(params=["directory", "s3"])
def place(request: pytest.FixtureRequest, places) -> Place:
    return places[request.param]


def in_directory(folder: Path, home, name: str) -> Place:
    make = partial(DirectoryStore, folder / name)
    other = partial(in_directory, folder, home)
    return Place(str(folder / name), (folder / name).as_uri(), home.env, make, other, make())


def in_bucket(server: S3Server, bucket: str, home, name: str) -> Place:
    return Place(
        f"s3://{bucket}/{name}",
        f"{server.url}/{bucket}/{name}",
        {**home.env, **server.env},
        lambda: S3Store(server.client(), bucket, name),  # no connection is another process's too
        partial(in_bucket, server, bucket, home),
        S3Store(server.shared, bucket, name),
    )


@pytest.fixture
def hosts(tmp_path: Path, trixie: Path) -> Iterator[Callable[[str], list[Machine]]]:
    """Make hosts of Debian 12 and 13 that read a repository, of which a .sources tells."""
    number = itertools.count()
    with served(tmp_path) as (url, _):

        def make(text: str) -> list[Machine]:
            folder = tmp_path / f"hosts-{next(number)}"
            inside = text.replace(tmp_path.as_uri(), url)  # a chroot reads no folder of ours
            bookworm = Machine(folder / "bookworm", text, None)
            return [bookworm, Machine(folder / "trixie", inside, trixie)]

        yield make


@contextmanager
def reader(place: Place) -> Iterator[list[str]]:
    """Read all that an InRelease names, over and over; give what was ever not there."""
    key = place.seen.read(key_path("production")).data.decode()
    trusted, stop, wrong, states = certificates(key, run), threading.Event(), [], set()

    def look() -> None:
        snapshot = read_snapshot(place.seen, "production", trusted, run)
        states.add(snapshot.id)
        indices = read_indices(place.seen, snapshot.release, snapshot.release.settings.parts)
        names = {key.package for index in indices.values() for key, _ in index.stanzas()}
        there = {entry.path for entry in place.seen.list("pool/")}
        for name in names:
            if not any(f"/{name}_" in path for path in there):
                wrong.append(f"{snapshot.id}: {name} is not in the pool")

    def loop() -> None:
        while not stop.is_set():
            try:
                look()
            except Exception as error:  # noqa: BLE001 - whatever it is, a host would have seen it
                wrong.append(repr(error))

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield wrong
    finally:
        stop.set()
        thread.join()
    assert len(states) > TIMES, "it looked too seldom to have seen anything"


def race(
    place: Place,
    names: list[str],
    paths: list[Path],
    hosts: Callable[[str], list[Machine]],
) -> None:
    """Let several publishers begin at once, again and again."""
    place("repo init")
    with reader(place) as wrong, ThreadPoolExecutor(TOGETHER) as pool:
        for turn in range(TIMES):
            some = paths[turn * TOGETHER : (turn + 1) * TOGETHER]
            list(pool.map(lambda path: place("publish", path), some))
    listed = json.loads(place("repo list", "--json").stdout)["result"]["packages"]
    assert [row["package"] for row in listed] == sorted(names)
    assert wrong == []
    assert place.problems() == ()
    for host in hosts(place.sources()):
        host.install("1.0", *names)


def test_publishers_at_once_lose_nothing(places, debs, hosts) -> None:
    """Both stores at the same time: a suite bears one publication a second, so it takes as long."""
    names = [f"app-{turn}-{number}" for turn in range(TIMES) for number in range(TOGETHER)]
    paths = [debs(name).deb.path for name in names]
    with ThreadPoolExecutor(len(places)) as pool:
        for job in [pool.submit(race, place, names, paths, hosts) for place in places.values()]:
            job.result()


class Tick:
    """Kills this process at the n-th of what it counts."""

    def __init__(self, when: int) -> None:
        self._left, self._lock = when, threading.Lock()

    def __call__(self, *_, **__) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def count_requests(store: S3Store, tick: Tick) -> None:
    store._client.meta.events.register("after-call.s3", tick)


def count_changes(folder: str, tick: Tick) -> None:
    """Count all that changes a file below a folder; each write is two, of half the bytes."""

    class File(io.BufferedWriter):
        def write(self, data):
            half = len(data) // 2
            for piece in (data[:half], data[half:]):
                super().write(piece)
                self.flush()
                tick()
            return len(data)

    plain, sync = Path.open, os.fsync

    def opened(self, mode="r", *words, **named):
        if mode == "xb":
            return File(io.FileIO(self, mode))
        return plain(self, mode, *words, **named)

    def synced(handle) -> None:
        tick()
        sync(handle)

    changes = (
        "os.rename",
        "os.link",
        "os.utime",
        "os.mkdir",
        "os.remove",
        "os.rmdir",
        "os.chmod",
        "open",
    )

    def changed(event, words) -> None:
        if event not in changes or (event == "open" and not (words[2] or 0) & WRITING):
            return
        if isinstance(words[0], int) or os.fspath(words[0]).startswith(folder):
            tick()

    Path.open, os.fsync = opened, synced
    sys.addaudithook(changed)


def killed(place: Place, home, when: int, archive) -> int:
    """Publish in a process of its own that dies at a step; give how it ended.

    It is a fork of this one, so that it need not load all anew; its clock waits for no second.
    """
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        store, tick = place.open(), Tick(when)
        publisher = make_publisher(store, home.ring())
        if isinstance(store, S3Store):
            count_requests(store, tick)
        else:
            count_changes(place.store, tick)
        publish(publisher, "production", [archive])
        os._exit(0)
    except BaseException:  # noqa: BLE001 - this is not the process that pytest runs in
        traceback.print_exc()
        os._exit(1)


def held(store: Store) -> dict[str, bytes]:
    """All that a host can read."""
    return {entry.path: store.read(entry.path).data for entry in store.list()}


def test_a_publisher_killed_at_any_step_leaves_what_apt_installs(
    place: Place, home, debs, hosts
) -> None:
    """Each step begins with the same suite and the same package.

    So what hosts can read after it is one of a few states: most steps change a temporary file
    alone. Every state is installed from by apt of Debian 12 and 13, once as it is and once after
    the next publication; every step is followed by a publication without a repair, after which
    all is whole.
    """
    publisher = make_publisher(place.seen, home.ring(), Standing(at=datetime.now(UTC) - MOMENT))
    init(publisher, settings())
    publish(publisher, "production", [debs("steady")])
    before, states, archive = held(place.seen), set(), debs("auth", "2.0")
    for number in range(1, 200):
        here = place.beside(f"step-{number}")
        for path, data in before.items():
            here.seen.write(path, data, IfAbsent())
        code = killed(here, home, number, archive)
        state = frozenset((it, data == before.get(it)) for it, data in held(here.seen).items())
        publisher = make_publisher(here.open(), home.ring())
        readers = []
        if state not in states:
            now = publisher.snapshot("production")
            readers = hosts(sources_in(now, publisher.ours, here.url))
            publisher = publisher._replace(clock=TIME)
        for host in readers:
            host.install("1.0", "steady")
        if code == 0:
            break
        assert code == -signal.SIGKILL
        publish(publisher, "production", [archive])
        now = publisher.snapshot("production")
        assert verify_suite(here.seen, now, lambda text: None).problems == ()
        for host in readers:
            host.install("2.0", "auth")
        states.add(state)
        temporary = Path(here.store, ".debship.tmp")
        assert not temporary.exists() or not list(temporary.iterdir())
    print(f"killed {number - 1} times, {len(states)} states")
    assert number > 9
    assert len(states) > 3
