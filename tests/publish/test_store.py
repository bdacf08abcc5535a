"""One contract for every store."""

import errno
import os
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from debship.errors import Failed, Misused, Refused
from debship.publish.store import Conflict, IfAbsent, IfMatch, open_store
from debship.publish.store.directory import DirectoryStore
from debship.publish.store.s3 import S3Store
from fakes_store import MemoryStore
from publishing import S3Server


@pytest.fixture(params=["memory", "directory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path):
    if request.param == "memory":
        return MemoryStore()
    if request.param == "directory":
        return DirectoryStore(tmp_path / "store")
    bucket = f"b-{uuid.uuid4().hex}"
    client = request.getfixturevalue("s3").bucket(bucket)
    return S3Store(client, bucket, "some/prefix")


class TestContract:
    def test_what_was_written_is_read(self, store, tmp_path: Path) -> None:
        assert store.read("dists/a/InRelease") is None
        written = store.write("dists/a/InRelease", b"1")
        found = store.read("dists/a/InRelease")
        assert found[:2] == (b"1", written.etag)
        assert abs(datetime.now(UTC) - found.modified) < timedelta(minutes=1)
        file = tmp_path / "file"
        file.write_bytes(b"x" * 100_000)
        assert store.write("pool/f.deb", file).sha256 == store.sha256("pool/f.deb")
        assert store.read("pool/f.deb").data == file.read_bytes()

    def test_a_condition_is_kept(self, store) -> None:
        first = store.write("a", b"1", IfAbsent())
        with pytest.raises(Conflict):
            store.write("a", b"2", IfAbsent())
        second = store.write("a", b"2", IfMatch(first.etag))
        assert second.etag != first.etag
        with pytest.raises(Conflict):
            store.write("a", b"3", IfMatch(first.etag))
        with pytest.raises(Conflict):
            store.write("missing", b"3", IfMatch(first.etag))
        assert store.read("a").data == b"2"
        assert store.read("missing") is None

    def test_of_many_at_once_one_wins(self, store) -> None:
        start = store.write("a", b"0")
        barrier = threading.Barrier(8)

        def one(number: int) -> bool:
            barrier.wait()
            try:
                store.write("a", str(number).encode(), IfMatch(start.etag))
            except Conflict:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(one, range(1, 9)))
        assert won.count(True) == 1
        assert store.read("a").data == str(won.index(True) + 1).encode()

    def test_what_lies_there_already_may_get_another_name(self, store) -> None:
        store.write("by-hash/1", b"1")
        written = store.write("index", b"1", IfAbsent(), same_as="by-hash/1")
        assert written.sha256 == store.sha256("index") == store.read("index").sha256
        assert store.read("index").etag == written.etag
        with pytest.raises(Conflict):
            store.write("index", b"1", IfAbsent(), same_as="by-hash/1")
        store.write("index", b"1", IfMatch(written.etag), same_as="by-hash/1")  # as it is already
        store.write("index", b"2")
        assert store.read("by-hash/1").data == b"1"
        store.write("index", b"1", same_as="by-hash/1")
        store.delete("by-hash/1")
        assert store.read("index").data == b"1"

    def test_a_listing_is_by_prefix_and_in_order(self, store) -> None:
        for path in ("pool/b/2", "pool/a/1", "pool/ab", "dists/x"):
            store.write(path, path.encode())
        assert [entry.path for entry in store.list("pool/")] == ["pool/a/1", "pool/ab", "pool/b/2"]
        assert [entry.path for entry in store.list("pool/a")] == ["pool/a/1", "pool/ab"]
        assert next(entry.path for entry in store.list()) == "dists/x"
        assert list(store.list("nothing/")) == []
        entry = next(iter(store.list("dists/")))
        assert entry.size == 7
        assert abs(datetime.now(UTC) - entry.modified) < timedelta(minutes=1)

    def test_what_was_deleted_is_gone(self, store) -> None:
        store.write("pool/a/1", b"1")
        store.delete("pool/a/1")
        store.delete("pool/a/1")
        assert store.read("pool/a/1") is None
        assert store.sha256("pool/a/1") is None
        assert list(store.list()) == []

    @pytest.mark.parametrize(
        "path", ["../x", "/etc/passwd", "a/../../x", "a//b", "", "a/.", "a\nb"]
    )
    def test_no_path_climbs_out(self, store, path: str) -> None:
        for act in (store.read, store.delete, store.sha256, lambda it: store.write(it, b"x")):
            with pytest.raises(Misused, match="is not a path"):
                act(path)


def test_a_directory_lists_nothing_above_it(tmp_path: Path) -> None:
    (tmp_path / "above").write_text("x")
    with pytest.raises(Misused):
        list(DirectoryStore(tmp_path / "store").list("../"))


def test_a_directory_lists_what_hosts_reach_through_links(tmp_path: Path) -> None:
    root, large = tmp_path / "store", tmp_path / "large"
    store = DirectoryStore(root)
    store.write("dists/a/InRelease", b"1")
    (large / "b").mkdir(parents=True)
    (large / "b/InRelease").write_bytes(b"2")
    (root / "dists/b").symlink_to(large / "b")
    (root / "dists/a/back").symlink_to("..")  # leads round and round
    (root / "dists/stable").symlink_to("a")
    listed = ["dists/a/InRelease", "dists/b/InRelease", "dists/stable/InRelease"]
    assert [entry.path for entry in store.list("dists/")] == listed
    with pytest.raises(Failed, match="dists/b/InRelease: a link leads out of the store"):
        store.delete("dists/b/InRelease")
    store.delete("dists/stable/InRelease")
    assert [entry.path for entry in store.list("dists/")] == ["dists/b/InRelease"]


def test_a_directory_does_not_pass_over_what_it_may_not_read(tmp_path: Path, monkeypatch) -> None:
    store = DirectoryStore(tmp_path)
    store.write("dists/a/InRelease", b"1")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("dists/a"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # root may read everything
    with pytest.raises(Failed, match="dists/a: Permission denied"):
        list(store.list("dists/"))


def test_a_directory_keeps_no_half_file(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.write("a/b", b"1")
    with pytest.raises(Failed):
        store.write("a/c", tmp_path / "missing")
    with pytest.raises(Conflict):
        store.write("a/b", b"2", IfAbsent())
    assert {p.name for p in tmp_path.rglob("*") if p.is_file()} == {"b", ".debship.lock"}


def test_a_directory_looks_and_writes_in_one_step(tmp_path: Path) -> None:
    class Slow(DirectoryStore):
        def _meet(self, *words) -> None:
            super()._meet(*words)
            time.sleep(0.1)

    def one(number: int) -> bool:
        try:
            Slow(tmp_path).write("a", str(number).encode(), IfAbsent())
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(one, range(3))).count(True) == 1


def test_two_names_in_a_directory_share_their_bytes(tmp_path: Path) -> None:
    store, (one, other) = DirectoryStore(tmp_path), (tmp_path / "by-hash/1", tmp_path / "index")
    store.write("by-hash/1", b"1")
    os.utime(one, (1, 1))
    for _ in range(2):  # the second time both are one file already
        store.write("index", b"1", same_as="by-hash/1")
        assert one.samefile(other)
        assert time.time() - other.stat().st_mtime < 60  # hosts ask what changed since
        assert list((tmp_path / ".debship.tmp").iterdir()) == []


def test_a_directory_whose_disk_has_no_links_keeps_both(tmp_path: Path, monkeypatch) -> None:
    def refuse(*_) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    store = DirectoryStore(tmp_path)
    store.write("by-hash/1", b"1")
    store.write("index", b"1", same_as="by-hash/1")
    assert (tmp_path / "index").read_bytes() == b"1"
    assert not (tmp_path / "index").samefile(tmp_path / "by-hash/1")


def test_a_directory_takes_away_what_the_dead_left(tmp_path: Path) -> None:
    DirectoryStore(tmp_path).write("a", b"1")
    (tmp_path / ".debship.tmp" / "of-a-dead-publisher").write_bytes(b"half")
    DirectoryStore(tmp_path).write("a", b"2")
    assert list((tmp_path / ".debship.tmp").iterdir()) == []


def test_a_directory_lets_the_living_be(tmp_path: Path) -> None:
    one, other = DirectoryStore(tmp_path), DirectoryStore(tmp_path)
    with one._temporary() as (_, path):
        other.write("a", b"1")
        assert path.exists()


def test_files_are_for_a_web_server_to_read(tmp_path: Path) -> None:
    DirectoryStore(tmp_path / "s").write("a/b", b"1")
    assert (tmp_path / "s/a/b").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "s/a").stat().st_mode & 0o777 == 0o755


class TestS3:
    @pytest.fixture
    def bucket(self) -> str:
        return f"b-{uuid.uuid4().hex}"

    def test_caches_keep_what_never_changes(self, s3, bucket: str) -> None:
        client = s3.bucket(bucket)
        store = S3Store(client, bucket, "")
        for path in (
            "pool/a.deb",
            "dists/s/main/binary-amd64/by-hash/SHA256/0",
            "dists/s/InRelease",
        ):
            store.write(path, b"1")
        kept = {
            found["Key"]: client.head_object(Bucket=bucket, Key=found["Key"])["CacheControl"]
            for found in client.list_objects_v2(Bucket=bucket)["Contents"]
        }
        assert "immutable" in kept["pool/a.deb"]
        assert "immutable" in kept["dists/s/main/binary-amd64/by-hash/SHA256/0"]
        assert kept["dists/s/InRelease"] == "no-cache"

    def test_a_store_that_ignores_conditions_is_refused(self, s3, bucket: str) -> None:
        client = s3.bucket(bucket, own=True)

        def forget(params, **_) -> None:
            params["headers"].pop("If-Match", None)
            params["headers"].pop("If-None-Match", None)

        client.meta.events.register("before-call.s3.PutObject", forget)
        store = S3Store(client, bucket, "")
        with pytest.raises(Refused, match="ignores conditional writes") as caught:
            store.write("a", b"1", IfAbsent())
        assert "--single-publisher" in caught.value.hint
        assert list(store.list()) == []

    def test_a_store_is_tried_once(self, s3, bucket: str) -> None:
        client = s3.bucket(bucket, own=True)
        puts: list[str] = []
        client.meta.events.register(
            "before-call.s3.PutObject", lambda params, **_: puts.append(params["url_path"])
        )
        S3Store(client, bucket, "").write("a", b"1", IfAbsent())
        assert len(puts) > 3
        puts.clear()
        store = S3Store(client, bucket, "")
        store.read("a")  # it says that whoever wrote it had tried
        store.write("b", b"1", IfAbsent())
        assert len(puts) == 1
        assert [entry.path for entry in store.list()] == ["a", "b"]

    def test_a_write_at_the_same_moment_is_a_conflict(self, s3, bucket: str) -> None:
        from botocore.exceptions import ClientError

        client = s3.bucket(bucket, own=True)
        store = S3Store(client, bucket, "")
        etag = store.write("a", b"1", IfAbsent()).etag

        def busy(**_) -> None:
            answer = {"Error": {"Code": "ConditionalRequestConflict", "Message": "busy"}}
            raise ClientError(answer, "PutObject")

        client.put_object = busy
        with pytest.raises(Conflict):
            store.write("a", b"2", IfMatch(etag))

    def test_a_missing_bucket_says_so(self, s3, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in s3.env.items():
            monkeypatch.setenv(name, value)
        store = open_store("s3://no-such-bucket-anywhere/x")
        with pytest.raises(Failed, match="NoSuchBucket"):
            store.read("a")

    def test_the_clock_of_the_store_is_seen(self, s3, bucket: str) -> None:
        client = s3.bucket(bucket)
        store = S3Store(client, bucket, "")
        assert store.now() is None
        store.read("a")
        assert abs(store.now() - datetime.now(UTC)) < timedelta(seconds=5)


class TestLarge:
    """Files that go to S3 in parts."""

    @pytest.fixture
    def large(self, monkeypatch, tmp_path: Path) -> Path:
        monkeypatch.setattr("debship.publish.store.s3._LARGE", 1 << 20)
        monkeypatch.setattr("debship.publish.store.parts._PART", 5 << 20)  # S3 takes none below
        path = tmp_path / "large"
        path.write_bytes(bytes(range(256)) * (6 << 12))
        return path

    @pytest.fixture
    def parts(self, s3):
        bucket = f"b-{uuid.uuid4().hex}"
        client = s3.bucket(bucket, own=True)
        store = S3Store(client, bucket, "debian")
        return store, lambda: client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])

    def test_they_are_there_as_they_were(self, parts, large: Path) -> None:
        store, left = parts
        sent: list[int] = []
        written = store.write("pool/large.deb", large, IfAbsent(), sent.append)
        assert store.read("pool/large.deb").data == large.read_bytes()
        assert store.sha256("pool/large.deb") == written.sha256
        assert (len(sent), sum(sent)) == (2, large.stat().st_size)
        with pytest.raises(Conflict):
            store.write("pool/large.deb", large, IfAbsent())
        assert left() == []

    def test_of_one_that_fails_nothing_stays(self, parts, large: Path) -> None:
        store, left = parts

        def full(count: int) -> None:
            raise Failed("stop")

        with pytest.raises(Failed, match="stop"):
            store.write("pool/large.deb", large, IfAbsent(), full)
        with pytest.raises(Failed, match="it changed while it was sent"):
            store.write(
                "pool/large.deb", large, None, lambda count: large.write_bytes(b"x" * count)
            )
        assert left() == []
        assert store.read("pool/large.deb") is None

    def test_what_the_dead_left_is_swept(self, parts, large: Path, monkeypatch) -> None:
        store, left = parts
        monkeypatch.setattr(store._client, "abort_multipart_upload", lambda **words: None)
        with pytest.raises(Failed):
            store.write("pool/large.deb", large, None, lambda count: large.unlink(missing_ok=True))
        monkeypatch.undo()
        store.sweep(datetime(2000, 1, 1, tzinfo=UTC))  # moto has all of them begin in 2010
        assert len(left()) == 1
        store.sweep(datetime.now(UTC))
        assert left() == []


ROLE = "arn:aws:iam::123456789012:role/publisher"
PROFILE = f"""\
[profile base]
aws_access_key_id = test
aws_secret_access_key = test
[profile publisher]
role_arn = {ROLE}
source_profile = base
"""


@pytest.mark.parametrize("way", ["web identity", "profile"])
def test_a_role_is_assumed_as_boto3_does_it(
    way: str, s3: S3Server, tmp_path: Path, monkeypatch
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    (tmp_path / "token").write_text("a.b.c")
    (tmp_path / "config").write_text(PROFILE)
    ways = {
        "web identity": {
            "AWS_ROLE_ARN": ROLE,
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
        },
        "profile": {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_PROFILE": "publisher"},
    }
    given = {"AWS_ENDPOINT_URL": s3.url, "AWS_DEFAULT_REGION": "us-east-1", **ways[way]}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    bucket = f"b-{uuid.uuid4().hex}"
    s3.bucket(bucket)
    store = S3Store.open(f"s3://{bucket}/debian")
    store.write("a", b"1")
    assert store.read("a").data == b"1"


def test_progress_is_said_each_tenth() -> None:
    from debship.publish.pool import Meter

    said: list[str] = []
    meter = Meter(1_000_000_000, said.append)
    for _ in range(1000):
        meter.more(1_000_000)
    assert said == [f"uploaded {n}00.0 MB of 1.0 GB" for n in range(1, 10)]
    Meter(1000, said.append).more(500)
    assert len(said) == 9  # what is small is soon there


@pytest.mark.parametrize("address", ["s3://", "s3:///prefix", "gs://bucket/x", "http://x/y"])
def test_an_address_of_no_store_is_misused(address: str) -> None:
    with pytest.raises(Misused):
        open_store(address)
