"""Hosts that ask all the time, while a hundred publications go by; the apt is real.

With by-hash no moment is a bad one. Without it no store of single files can promise that: a host
reads InRelease and the index in two requests, and a publication may come between them. What can be
promised, and is tried here, is that such a host is right again with its next question.
"""

import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from debs import make_deb
from debship.debian.archive import read_archive
from debship.errors import Failed
from debship.publish.check import apt_words, prepare
from debship.publish.clock import Clock
from debship.publish.recipe import publish
from debship.publish.store import Store
from debship.publish.store.directory import DirectoryStore
from debship.publish.store.s3 import S3Store
from debship.publish.suite import init, sources
from debship.run import run
from publishing import make_publisher, served, settings

pytestmark = pytest.mark.acceptance

PUBLICATIONS = 100


@dataclass
class Host:
    """An apt that polls, by-hash or not."""

    folder: Path
    by_hash: str
    asked: int = 0
    failed: list[str] = field(default_factory=list)

    def update(self) -> str | None:
        words = (*apt_words(self.folder, ["amd64"]), "-o", f"Acquire::By-Hash={self.by_hash}")
        try:
            run((*words, "update"), timeout=60)
        except Failed as error:
            return error.message
        return None

    def poll(self, stop: threading.Event) -> None:
        while not stop.wait(0.02):
            self.asked += 1
            wrong = self.update()
            if wrong:
                self.failed.append(wrong)


def published_while_polled(name: str, store: Store, url: str, home, folder: Path) -> list[Host]:
    """Publish again and again, one publication a second, while two hosts poll; give the hosts."""
    publisher = make_publisher(store, home.ring())
    publisher = replace(publisher, clock=Clock(lambda: datetime.now(UTC), time.sleep))
    init(publisher, settings())
    hosts = [Host(folder / f"{name}-by-hash-{how}", how) for how in ("yes", "no")]
    for host in hosts:
        host.folder.mkdir()
        prepare(host.folder, sources(publisher.snapshot("production"), publisher.ours, url))
    stop = threading.Event()
    threads = [threading.Thread(target=host.poll, args=(stop,)) for host in hosts]
    for thread in threads:
        thread.start()
    try:
        for number in range(PUBLICATIONS):
            archive = read_archive(make_deb(folder, f"{name}-app", f"{number}", "amd64"))
            assert publish(publisher, "production", [archive]).publication.changed
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    return hosts


def test_no_host_ever_sees_a_mismatch(home, tmp_path: Path, s3) -> None:
    """Both stores at the same time: a suite bears one publication a second, so it takes as long."""
    repository, bucket = tmp_path / "repository", f"b-{uuid.uuid4().hex}"
    repository.mkdir()
    with served(repository) as (url, _), ThreadPoolExecutor(2) as pool:
        stores = {
            "directory": (DirectoryStore(repository), url),
            "bucket": (
                S3Store(s3.bucket(bucket), bucket, "debian"),
                f"{s3.url}/{bucket}/debian",
            ),
        }
        jobs = {
            name: pool.submit(published_while_polled, name, *where, home, tmp_path)
            for name, where in stores.items()
        }
        for name, job in jobs.items():
            with_hash, without = job.result()
            print(
                f"{name}: by-hash {with_hash.asked} asked, {len(with_hash.failed)} failed;", end=""
            )
            print(f" without {without.asked} asked, {len(without.failed)} failed")
            assert with_hash.failed == []
            assert with_hash.asked > PUBLICATIONS / 2
            assert all("-app" not in wrong for wrong in without.failed)  # the index, no package
            assert [host.update() for host in (with_hash, without)] == [None, None]
