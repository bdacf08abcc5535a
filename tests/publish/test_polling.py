"""Hosts that ask all the time, while a hundred publications go by; the apt is real.

With by-hash no moment is a bad one. Without it no store of single files can promise that: a host
reads InRelease and the index in two requests, and a publication may come between them. What can be
promised, and is tried here, is that such a host is right again with its next question.
"""

import threading
import time
import uuid
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


@pytest.mark.parametrize("kind", ["directory", "s3"])
def test_a_host_never_sees_a_mismatch(kind, home, tmp_path, request) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    with served(repository) as (address, _):
        url = address
        if kind == "directory":
            store = DirectoryStore(repository)
        else:
            server, bucket = request.getfixturevalue("s3"), f"b-{uuid.uuid4().hex}"
            store = S3Store(server.bucket(bucket), bucket, "debian")
            url = f"{server.url}/{bucket}/debian"
        publisher = make_publisher(store, home.ring())
        publisher = replace(publisher, clock=Clock(lambda: datetime.now(UTC), time.sleep))
        init(publisher, settings())
        hosts = [Host(tmp_path / f"by-hash-{how}", how) for how in ("yes", "no")]
        for host in hosts:
            host.folder.mkdir()
            text = sources(publisher.snapshot("production"), publisher.ours, url)
            prepare(host.folder, text)
        stop = threading.Event()
        threads = [threading.Thread(target=host.poll, args=(stop,)) for host in hosts]
        for thread in threads:
            thread.start()
        try:
            for number in range(PUBLICATIONS):
                version = f"{number}"
                archive = read_archive(make_deb(tmp_path, "auth", version, "amd64"))
                assert publish(publisher, "production", [archive]).publication.changed
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        with_hash, without = hosts
        print(f"{kind}: by-hash {with_hash.asked} asked, {len(with_hash.failed)} failed; ", end="")
        print(f"without {without.asked} asked, {len(without.failed)} failed")
        assert with_hash.failed == []
        assert with_hash.asked > PUBLICATIONS / 2
        assert all("auth" not in wrong for wrong in without.failed)  # the index alone, no package
        assert [host.update() for host in hosts] == [None, None]
