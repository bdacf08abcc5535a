"""Several publishers at once, and publishers that are killed; real processes, real stores."""

import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from debship.publish.check import Wanted, check
from debship.publish.paths import key_path
from debship.publish.signing import certificates
from debship.publish.snapshot import read_indices, read_snapshot
from debship.publish.store import Store
from debship.publish.store.directory import DirectoryStore
from debship.publish.store.s3 import S3Store
from debship.publish.verify import verify_suite
from debship.run import run
from publishing import debship

pytestmark = pytest.mark.acceptance

SUITE = ("--suite", "production")
TOGETHER, TIMES = 6, 5


@dataclass(frozen=True)
class Place:
    """Where a repository lies, how hosts read it, and the environment to reach it."""

    store: str
    url: str
    env: dict[str, str]
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


@pytest.fixture(params=["directory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, home) -> Place:
    if request.param == "directory":
        folder = tmp_path / "repository"
        return Place(str(folder), folder.as_uri(), home.env, DirectoryStore(folder))
    server = request.getfixturevalue("s3")
    bucket = f"b-{uuid.uuid4().hex}"
    store = S3Store(server.bucket(bucket), bucket, "debian")
    url = f"{server.url}/{bucket}/debian"
    return Place(f"s3://{bucket}/debian", url, {**home.env, **server.env}, store)


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


def test_publishers_at_once_lose_nothing(place: Place, debs) -> None:
    place("repo init")
    names = [f"app-{turn}-{number}" for turn in range(TIMES) for number in range(TOGETHER)]
    paths = [debs(name).deb.path for name in names]
    with reader(place) as wrong, ThreadPoolExecutor(TOGETHER) as pool:
        for turn in range(TIMES):
            some = paths[turn * TOGETHER : (turn + 1) * TOGETHER]
            list(pool.map(lambda path: place("publish", path), some))
    listed = json.loads(place("repo list", "--json").stdout)["result"]["packages"]
    assert [row["package"] for row in listed] == sorted(names)
    assert wrong == []
    assert place.problems() == ()
    check(place.sources(), [Wanted(name, "1.0", "amd64") for name in names], run)


# Kills its own process at its n-th request, or before its n-th change to a file of the store.
KILLED = """
import io, os, pathlib, signal, sys, threading
when, folder, count, lock = int(sys.argv.pop(1)), sys.argv.pop(1), 0, threading.Lock()

def tick(*_, **__):
    global count
    with lock:
        count += 1
        if count == when:
            os.kill(os.getpid(), signal.SIGKILL)

if folder.startswith("s3:"):
    from debship.publish.store.s3 import S3Store
    begin = S3Store.__init__
    def watched(self, client, *words, **more):
        begin(self, client, *words, **more)
        client.meta.events.register("after-call.s3", tick)
    S3Store.__init__ = watched
else:
    class File(io.BufferedWriter):
        def write(self, data):
            half = len(data) // 2
            for piece in (data[:half], data[half:]):
                super().write(piece)
                self.flush()
                tick()
    plain = pathlib.Path.open
    def opened(self, mode="r", *words):
        return File(io.FileIO(self, mode)) if mode == "xb" else plain(self, mode, *words)
    pathlib.Path.open = opened
    sync = os.fsync
    os.fsync = lambda handle: (tick(), sync(handle))
    changes = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "open")
    def changed(event, words):
        if event in changes and (event != "open" or (words[2] or 0) & (os.O_CREAT | os.O_WRONLY)):
            if isinstance(words[0], int) or os.fspath(words[0]).startswith(folder):
                tick()
    sys.addaudithook(changed)
from debship.cli.main import program
program()
"""


def killed(place: Place, when: int, *words) -> int:
    argv = [sys.executable, "-c", KILLED, str(when), place.store]
    argv += ["publish", "--store", place.store, *SUITE, *map(str, words)]
    env = {**os.environ, **place.env}
    return subprocess.run(argv, env=env, check=False, capture_output=True).returncode


def test_a_publisher_killed_at_any_step_leaves_what_apt_reads(place: Place, debs) -> None:
    place("repo init")
    place("publish", debs("steady").deb.path)
    sources = place.sources()
    for number in range(1, 200):
        path = debs("auth", f"{number}").deb.path
        code = killed(place, number, path)
        check(sources, [Wanted("steady", "1.0", "amd64")], run)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        place("publish", path)
        assert place.problems() == ()
        check(sources, [Wanted("auth", str(number), "amd64")], run)
    assert number > 9
    temporary = Path(place.store, ".debship.tmp")
    assert not temporary.exists() or not list(temporary.iterdir())
