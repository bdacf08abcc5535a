"""Hosts that ask all the time, while a hundred publications go by; the apt is real.

With by-hash no moment is a bad one. Without it no store of single files can promise that: a host
reads InRelease and the index in two requests, and a publication may come between them. What can be
promised, and is tried here, is that such a host is right again with its next question.
"""

import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from apt_hosts import Host
from debs import make_deb
from debship.debian.archive import read_archive
from debship.errors import Failed
from debship.publish.clock import Clock
from debship.publish.recipe import publish
from debship.publish.sources import sources
from debship.publish.store import Store
from debship.publish.store.directory import DirectoryStore
from debship.publish.store.s3 import S3Store
from debship.publish.suite import init
from publishing import make_publisher, served, settings

pytestmark = pytest.mark.acceptance

PUBLICATIONS = 100


@dataclass
class Poller:
    """A host that asks all the time, by-hash or not."""

    host: Host
    by_hash: str
    asked: int = 0
    failed: list[str] = field(default_factory=list)

    def update(self) -> str | None:
        try:
            self.host("-o", f"Acquire::By-Hash={self.by_hash}", "update")
        except Failed as error:
            return error.message
        return None

    def poll(self, stop: threading.Event) -> None:
        while not stop.wait(0.7):  # in no step with publications
            self.asked += 1
            wrong = self.update()
            if wrong:
                self.failed.append(wrong)


def published_while_polled(
    store: Store, url: str, home, folder: Path, roots: list[Path | None]
) -> list[Poller]:
    """Publish again and again, one publication a second, while hosts poll; give them.

    Of each root there is one that asks by-hash, and one that does not.
    """
    publisher = make_publisher(store, home.ring())
    publisher = publisher._replace(clock=Clock(lambda: datetime.now(UTC), time.sleep))
    init(publisher, settings())
    text = sources(publisher.snapshot("production"), publisher.ours, url)
    hosts = [
        Poller(Host(folder / f"{number}-by-hash-{how}", text, root), how)
        for number, root in enumerate(roots)
        for how in ("yes", "no")
    ]
    stop = threading.Event()
    threads = [threading.Thread(target=host.poll, args=(stop,)) for host in hosts]
    for thread in threads:
        thread.start()
    try:
        for number in range(PUBLICATIONS):
            archive = read_archive(make_deb(folder, "auth", f"{number}", "amd64"))
            assert publish(publisher, "production", [archive]).publication.changed
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    return hosts


def test_no_host_ever_sees_a_mismatch(home, tmp_path: Path, s3, trixie: Path) -> None:
    """Both stores at the same time: a suite bears one publication a second, so it takes as long."""
    repository, bucket = tmp_path / "repository", f"b-{uuid.uuid4().hex}"
    repository.mkdir()
    with served(repository) as (url, _), ThreadPoolExecutor(2) as pool:
        places = {
            "directory": (DirectoryStore(repository), url),
            "bucket": (
                S3Store(s3.bucket(bucket), bucket, "debian"),
                f"{s3.url}/{bucket}/debian",
            ),
        }
        jobs = []
        for name, where in places.items():
            folder = tmp_path / name
            folder.mkdir()
            words = (*where, home, folder, [None, trixie])
            jobs.append(pool.submit(published_while_polled, *words))
        for name, job in zip(places, jobs, strict=True):
            for poller in job.result():
                said = f"{poller.asked} asked, {len(poller.failed)} failed"
                print(f"{name}: {poller.host.folder.name} {said}")
                assert poller.asked > PUBLICATIONS / 4
                if poller.by_hash == "yes":
                    assert poller.failed == []
                assert all("/pool/" not in wrong for wrong in poller.failed)
                assert poller.update() is None
