"""How often a publication asks its store, and how often one after another."""

import contextvars
import itertools
import uuid
from functools import partial
from typing import NamedTuple

import pytest

from debship.publish import together
from debship.publish.paths import PAGE, inrelease_path, likely_indices
from debship.publish.promotion import Wish, promote
from debship.publish.recipe import publish
from debship.publish.store.s3 import S3Store
from debship.publish.suite import init
from publishing import make_publisher, settings

pytestmark = pytest.mark.slow

JOBS = contextvars.ContextVar("JOBS", default=())  # of a thread: in which job of which round


def named(jobs, limit, rounds=itertools.count(), plain=together._at_once):  # noqa: B008
    """Name each job, so that one sees which requests did not wait for one another."""
    round_ = next(rounds)

    def one(number, job):
        JOBS.set((*JOBS.get(), (round_, number)))
        return job()

    copies = [contextvars.copy_context() for _ in jobs]
    them = zip(copies, enumerate(jobs), strict=True)
    return plain([partial(it.run, one, *numbered) for it, numbered in them], limit)


class Request(NamedTuple):
    """What was asked, by whom, and how many bytes went with it."""

    text: str
    jobs: tuple[tuple[int, int], ...]
    size: int


class Wire:
    """Notes each request of a client."""

    def __init__(self, client) -> None:
        self.requests: list[Request] = []
        client.meta.events.register("before-call.s3", self._note)

    def _note(self, model, params, **_) -> None:
        text = f"{model.name} {params['url_path'].split('?')[0]}"
        body = params.get("body") or b""
        size = len(body) if isinstance(body, bytes) else len(body.getvalue())
        self.requests.append(Request(text, JOBS.get(), size))

    @property
    def depth(self) -> int:
        return depth([request.jobs for request in self.requests])


def depth(all_jobs: list[tuple[tuple[int, int], ...]]) -> int:
    """How many wait for one another: of each round that is its longest job."""
    rounds: dict[int, dict[int, list[tuple[tuple[int, int], ...]]]] = {}
    for jobs in filter(None, all_jobs):
        (round_, job), *inner = jobs
        rounds.setdefault(round_, {}).setdefault(job, []).append(tuple(inner))
    return all_jobs.count(()) + sum(max(map(depth, jobs.values())) for jobs in rounds.values())


@pytest.fixture
def wired(s3, home, monkeypatch):
    monkeypatch.setattr("debship.publish.together._at_once", named)
    bucket = f"b-{uuid.uuid4().hex}"
    client = s3.bucket(bucket, own=True)
    init(make_publisher(S3Store(client, bucket, "debian"), home.ring()), settings())
    wire = Wire(client)
    return lambda: make_publisher(S3Store(client, bucket, "debian"), home.ring()), wire


@pytest.mark.parametrize("expected", [False, True])
def test_one_package_is_ten_requests_in_four_rounds(wired, debs, expected) -> None:
    make, wire = wired
    for archive in (debs(version="1.0"), debs(version="1.1"), debs("doc", "1", "all")):
        wire.requests.clear()
        publisher = make()
        if expected:  # the command asks as early as it can
            index = likely_indices("production", "main", [archive.deb.architecture])
            publisher.store.expect([inrelease_path("production"), PAGE, *index])
        publish(publisher, "production", [archive])
        assert len(wire.requests) <= 10, wire.requests
        asked = [it for it in wire.requests if not (expected and it.text.startswith("Get"))]
        assert depth([it.jobs for it in asked]) == 4 - expected, wire.requests


BOTH = ("amd64", "arm64")


@pytest.mark.parametrize(
    ("more", "indices"),
    [
        ({"architectures": BOTH}, 2),
        ({"xz": True}, 2),
        ({"contents": True}, 2),
        ({"architectures": BOTH, "xz": True, "contents": True}, 6),
    ],
)
def test_each_further_index_is_three_requests_and_all_are_one_round(
    wired, debs, more, indices
) -> None:
    make, wire = wired
    init(make(), settings("large", **more))
    publish(make(), "large", [debs("steady")])
    wire.requests.clear()
    publish(make(), "large", [debs("doc", "1", "all")])
    assert len(wire.requests) == 10 + 3 * (indices - 1), wire.requests
    assert wire.depth == 5, wire.requests


def test_what_is_expected_is_asked_once(wired, debs) -> None:
    make, wire = wired
    store = make().store
    wire.requests.clear()
    path = inrelease_path("production")
    store.expect([path])
    first, second = store.read(path), store.read(path)
    assert first.data == second.data
    assert len(wire.requests) == 2  # who asks again wants to know anew


def test_a_promotion_moves_no_package(wired, debs) -> None:
    make, wire = wired
    names = [f"app-{number:02}" for number in range(50)]
    init(make(), settings("staging"))
    publish(make(), "staging", [debs(name) for name in names])
    wire.requests.clear()
    done = promote(make(), [Wish(it, None) for it in names], source="staging", target="production")
    assert sorted(key.package for key in done.new) == names
    in_pool = [it for it in wire.requests if "/pool/" in it.text]
    assert in_pool == []  # none is read, written or copied; they are looked for by listing
    sent = [it for it in wire.requests if it.size]
    assert all("/dists/production/" in it.text or "index.html" in it.text for it in sent)
    assert {it.text.split()[0] for it in wire.requests} == {
        *("GetObject", "PutObject", "ListObjectsV2")
    }
    assert wire.depth <= 7, wire.requests
