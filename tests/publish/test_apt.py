"""Real apt reads what was published: that of this machine, and that of Debian 13."""

import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from zlib import crc32

import pytest

from apt_hosts import Host
from debship.errors import Failed
from debship.publish.check import Wanted, check
from debship.publish.clock import Clock
from debship.publish.history import rollback
from debship.publish.key_file import public_keys
from debship.publish.recipe import publish
from debship.publish.rotation import add_key, retire_key
from debship.publish.sources import sources, sources_text
from debship.publish.store.directory import DirectoryStore
from debship.publish.suite import init
from debship.run import run
from publishing import make_publisher, served, settings

pytestmark = pytest.mark.acceptance


@pytest.fixture(params=["this machine", "trixie"])
def host(request: pytest.FixtureRequest, tmp_path: Path):
    root = request.getfixturevalue("trixie") if request.param == "trixie" else None
    count = iter(range(10))
    return lambda text: Host(tmp_path / f"host-{next(count)}", text, root)


class Repository:
    def __init__(self, folder: Path, ring, url: str, **more) -> None:
        self.url, self.store = url, DirectoryStore(folder)
        made = make_publisher(self.store, ring)
        self.publisher = made._replace(clock=Clock(lambda: datetime.now(UTC), time.sleep))
        init(self.publisher, settings(**more))

    def publish(self, *archives, **more) -> None:
        publish(self.publisher, "production", archives, **more)

    def sources(self) -> str:
        return sources(self.publisher.snapshot("production"), self.publisher.ours, self.url)


@pytest.fixture
def repository(tmp_path: Path, home):
    folder = tmp_path / "repository"
    folder.mkdir()
    with served(folder) as (url, asked):
        made = Repository(folder, home.ring(), url)
        made.asked = asked
        made.folder = folder
        yield made


def test_several_versions_are_read_and_fetched(repository, host, debs) -> None:
    repository.publish(debs(version="1.0"), debs(version="1.1+b1~rc1"), debs("doc", "1", "all"))
    here = host(repository.sources())
    here("update")
    here("download", "auth=1.0", "auth=1.1+b1~rc1", "doc")
    assert here.fetched() == [
        "auth_1.0_amd64.deb",
        "auth_1.1+b1~rc1_amd64.deb",
        "doc_1_all.deb",
    ]
    assert [path for path in repository.asked if path.startswith("/dists")] == [
        "/dists/production/InRelease",
        repository.asked[1],
    ]
    assert "/by-hash/SHA256/" in repository.asked[1]


def test_epochs_and_an_empty_suite(repository, host, debs) -> None:
    here = host(repository.sources())
    here("update")
    repository.publish(debs(version="2:1.0"), debs(version="1:1.0"))
    here("update")
    here("download", "auth=1:1.0")
    assert here.fetched() == ["auth_1%3a1.0_amd64.deb"]


def test_each_publication_is_seen_though_the_names_for_old_clients_are_gone(
    repository, host, debs
) -> None:
    repository.publish(debs())
    here = host(repository.sources())
    here("update")
    for number in range(2, 5):
        repository.publish(debs(version=f"{number}"))
        for name in ("Release", "main/binary-amd64/Packages.gz"):
            (repository.folder / "dists/production" / name).unlink()
        here("update")
        here("download", f"auth={number}")
    assert len(here.fetched()) == 3


def test_an_index_of_many_gzip_members(repository, host, debs) -> None:
    named = (f"app-{number}" for number in range(5000))
    first, second = [name for name in named if crc32(name.encode()) % 256 == 0][:2]
    repository.publish(debs(first), debs(second))
    packed = repository.store.read("dists/production/main/binary-amd64/Packages.gz").data
    assert packed.count(b"\x1f\x8b\x08\0\0\0\0\0") > 1
    here = host(repository.sources())
    here("update")
    here("download", first, second)
    assert len(here.fetched()) == 2


def test_an_index_of_many_xz_blocks(repository, host, debs) -> None:
    named = (f"app-{number}" for number in range(5000))
    first, second = [name for name in named if crc32(name.encode()) % 256 == 0][:2]
    init(repository.publisher, settings(xz=True))
    repository.publish(debs(first))
    repository.publish(debs(second))
    here = host(repository.sources())
    here("update")
    here("download", first, second)
    assert len(here.fetched()) == 2
    wanted = repository.publisher.snapshot("production").release.files
    sha256 = wanted["main/binary-amd64/Packages.xz"].sha256
    assert any(path.endswith(sha256) for path in repository.asked)


def test_a_stranger_s_key_is_not_trusted(repository, host, home, debs) -> None:
    other = home.ring(1).certificates(home.fingerprints[1:])
    text = sources_text(repository.url, "production", ["main"], other.armored)
    with pytest.raises(Failed):
        host(text)("update")


def test_a_key_follows_another_and_no_host_fails(repository, host, home, debs) -> None:
    old, new = home.fingerprints
    both = repository.publisher._replace(keys=home.ring(0, 1))
    both = both._replace(ours=both.keys.certificates((old, new)))
    early = host(repository.sources())
    early("update")
    add_key(both, "production", new)
    early("update")
    given = public_keys(repository.store, "production", run)
    late = host(sources(both.snapshot("production"), given, repository.url))
    late("update")
    retire_key(both, "production", old)
    late("update")
    publish(both, "production", [debs()])
    late("update")
    late("download", "auth")
    assert late.fetched() == ["auth_1.0_amd64.deb"]
    with pytest.raises(Failed):
        early("update")


def test_a_rollback_is_seen(repository, host, debs) -> None:
    repository.publish(debs(version="1.0"))
    good = repository.publisher.snapshot("production").id
    repository.publish(debs(version="2.0"))
    here = host(repository.sources())
    here("update")
    rollback(repository.publisher, "production", good)
    here("update")
    here("download", "auth")
    assert here.fetched() == ["auth_1.0_amd64.deb"]


def test_a_host_that_sleeps_keeps_an_index_that_is_served(repository, debs) -> None:
    repository.publish(debs(version="1.0"))
    old = repository.publisher.snapshot("production").release
    sha256 = old.files["main/binary-amd64/Packages.gz"].sha256
    for number in range(2, 4):
        repository.publish(debs(version=f"{number}"))
    folder = repository.folder / "dists/production/main/binary-amd64/by-hash/SHA256"
    assert (folder / sha256).exists()


class TestCheck:
    def test_what_is_there_is_taken(self, repository, debs) -> None:
        repository.publish(debs(), debs("doc", "1", "all"))
        wanted = [Wanted("auth", "1.0", "amd64"), Wanted("doc", "1", "all")]
        check(repository.sources(), wanted, run)

    def test_what_is_not_there_is_said(self, repository, debs) -> None:
        repository.publish(debs())
        with pytest.raises(Failed, match="apt cannot use it"):
            check(repository.sources(), [Wanted("auth", "2.0", "amd64")], run)
        shutil.rmtree(repository.folder / "pool")
        with pytest.raises(Failed, match="apt cannot use it"):
            check(repository.sources(), [Wanted("auth", "1.0", "amd64")], run)

    def test_another_architecture_is_fetched_too(self, repository, debs) -> None:
        repository.publish(debs("auth", "1.0", "arm64"))
        check(repository.sources(), [Wanted("auth", "1.0", "arm64")], run)
