"""How often a publication asks its store, and how often one after another."""

import contextvars
import itertools
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from debship.publish.promotion import Wish, promote
from debship.publish.recipe import publish
from debship.publish.store.s3 import S3Store
from debship.publish.suite import init
from publishing import make_publisher, settings

JOB = contextvars.ContextVar("JOB", default=None)


class Rounds(ThreadPoolExecutor):
    """Names each job, so that one sees which requests did not wait for one another."""

    count = itertools.count()

    def __init__(self, *words) -> None:
        super().__init__(*words)
        self.name = next(self.count)

    def submit(self, job, *words):
        def named():
            JOB.set((self.name, next(self.count)))
            return job(*words)

        return super().submit(contextvars.copy_context().run, named)


class Wire:
    """Notes each request of a client."""

    def __init__(self, client) -> None:
        self.requests: list[str] = []
        self.jobs: list[tuple[int, int] | None] = []
        client.meta.events.register("before-call.s3", self._note)

    def _note(self, model, params, **_) -> None:
        self.requests.append(f"{model.name} {params['url_path'].split('?')[0]}")
        self.jobs.append(JOB.get())

    @property
    def depth(self) -> int:
        """How many wait for one another: those outside of a round, and of each its longest job."""
        of_job = Counter(job for job in self.jobs if job)
        longest: Counter[int] = Counter()
        for (round_, _), count in of_job.items():
            longest[round_] = max(longest[round_], count)
        return self.jobs.count(None) + sum(longest.values())

    def clear(self) -> None:
        self.requests.clear()
        self.jobs.clear()


@pytest.fixture
def wired(s3, home, monkeypatch):
    monkeypatch.setattr("debship.publish.together.ThreadPoolExecutor", Rounds)
    bucket = f"b-{uuid.uuid4().hex}"
    client = s3.bucket(bucket, own=True)
    init(make_publisher(S3Store(client, bucket, "debian"), home.ring()), settings())
    wire = Wire(client)
    return lambda: make_publisher(S3Store(client, bucket, "debian"), home.ring()), wire


def test_one_package_is_ten_requests_in_four_rounds(wired, debs) -> None:
    make, wire = wired
    for archive in (debs(version="1.0"), debs(version="1.1"), debs("doc", "1", "all")):
        wire.clear()
        publish(make(), "production", [archive])
        assert len(wire.requests) <= 10, wire.requests
        assert wire.depth == 4, wire.requests


def test_a_promotion_moves_no_package(wired, debs) -> None:
    make, wire = wired
    init(make(), settings("staging"))
    publish(make(), "staging", [debs(f"app-{number}") for number in range(8)])
    wire.clear()
    wishes = [Wish(f"app-{number}", None) for number in range(8)]
    done = promote(make(), wishes, source="staging", target="production")
    assert len(done.new) == 8
    assert not any("/pool/" in it for it in wire.requests if not it.startswith("List"))
    assert wire.depth <= 7, wire.requests
