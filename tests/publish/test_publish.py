"""What a publication does to a suite, on a store in memory with the real gpg."""

import hashlib
import lzma
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from debship.debian.archive import read_archive
from debship.errors import Failed, Misused, Refused
from debship.model import Secret
from debship.publish.listing import listing
from debship.publish.paths import by_hash_path
from debship.publish.recipe import publish
from debship.publish.release import Checksum, Part
from debship.publish.signing import keyring
from debship.publish.snapshot import read_indices
from debship.publish.suite import init
from debship.publish.verify import verify_suite
from debship.run import run
from fakes_store import MemoryStore
from publishing import Clock, gpg_home, make_publisher, settings

INRELEASE = "dists/production/InRelease"


def names(publisher) -> list[str]:
    release = publisher.snapshot("production").release
    return [" ".join(row[:3]) for row in listing(publisher.store, release)]


def sound(publisher) -> bool:
    snapshot = publisher.snapshot("production")
    verdict = verify_suite(publisher.store, snapshot, lambda text: None)
    assert verdict.problems == ()
    return True


def test_several_versions_stay(publisher, debs) -> None:
    publish(publisher, "production", [debs(version="1.0"), debs(version="1.1")])
    publish(publisher, "production", [debs(version="1:0.1"), debs("web", "2", "all")])
    assert names(publisher) == [
        "auth 1:0.1 amd64",
        "auth 1.1 amd64",
        "auth 1.0 amd64",
        "web 2 all",
    ]
    assert sound(publisher)


def test_a_version_is_one_in_all_components(publisher, debs) -> None:
    publish(publisher, "production", [debs(version="1.1")])
    other = debs(version="1.1", content="other bytes")
    with pytest.raises(Refused, match="is published with other bytes"):
        publish(publisher, "production", [other], component="contrib")
    with pytest.raises(Refused, match=r"auth 1\.0 .*is below 1\.1"):
        publish(publisher, "production", [debs(version="1.0")], component="contrib")
    publish(publisher, "production", [debs(version="1.1")], component="contrib")
    publish(publisher, "production", [debs(version="1.2")], component="contrib")
    with pytest.raises(Refused, match=r"auth 1\.1\.5 .*is below 1\.2"):
        publish(publisher, "production", [debs(version="1.1.5")])
    assert sound(publisher)


@pytest.mark.parametrize("name", ["by-hash"])
def test_a_name_that_apt_has_for_something_is_refused(publisher, debs, name: str) -> None:
    with pytest.raises(Misused, match=name):
        publish(publisher, "production", [debs()], component=name)
    with pytest.raises(Misused, match=name):
        settings(name)


def test_inrelease_is_written_last_of_what_counts(publisher, memory: MemoryStore, debs) -> None:
    publish(publisher, "production", [debs()])
    before = memory.writes[: memory.writes.index(INRELEASE)]
    assert "pool/main/a/auth/auth_1.0_amd64.deb" in before
    assert sum("/by-hash/" in path for path in before) == len(before) - 1 == 2
    after = memory.writes[memory.writes.index(INRELEASE) + 1 :]
    assert sorted(after) == [
        "dists/production/Release",
        "dists/production/main/binary-amd64/Packages.gz",
        "index.html",
    ]


def test_the_same_once_more_writes_nothing(publisher, memory: MemoryStore, debs) -> None:
    first = publish(publisher, "production", [debs()]).publication
    memory.writes.clear()
    again = publish(publisher, "production", [debs()]).publication
    assert (again.changed, again.id) == (False, first.id)
    assert memory.writes == []


def test_other_stanzas_keep_their_bytes(publisher, memory: MemoryStore, debs) -> None:
    odd = debs("odd", more="X-Odd:    kept \n  and: this\nEnhances: auth\n")
    publish(publisher, "production", [odd])
    publish(publisher, "production", [debs("zz"), debs("aa")])
    index = publisher.snapshot("production").release.files["main/binary-amd64/Packages.gz"]
    import gzip

    path = f"dists/production/main/binary-amd64/by-hash/SHA256/{index.sha256}"
    assert odd.control in gzip.decompress(memory.read(path).data)


def test_other_bytes_under_the_same_version_are_refused(publisher, memory, debs) -> None:
    publish(publisher, "production", [debs()])
    memory.writes.clear()
    other = debs(content="other bytes")
    with pytest.raises(Refused, match="is published with other bytes"):
        publish(publisher, "production", [debs("web"), other])
    with pytest.raises(Refused, match="with other bytes"):
        publish(publisher, "production", [debs(version="7"), debs(version="7", content="x")])
    assert memory.writes == []


def test_other_bytes_in_the_pool_are_refused_before_the_commit(publisher, memory, debs) -> None:
    init(publisher, settings("staging"))
    publish(publisher, "staging", [debs()])
    memory.writes.clear()
    with pytest.raises(Refused, match="is in the pool with other bytes"):
        publish(publisher, "production", [debs(content="other bytes")])
    assert all("/by-hash/" in path for path in memory.writes)  # which nothing names


def test_two_epochs_do_not_meet_in_the_pool(publisher, debs) -> None:
    publish(publisher, "production", [debs(version="1:2.0"), debs(version="2:2.0")])
    publish(publisher, "production", [debs(version="2.0")], allow_older=True)
    assert sound(publisher)


def test_a_lower_version_is_refused_unless_it_is_meant(publisher, memory, debs) -> None:
    publish(publisher, "production", [debs(version="2.0")])
    memory.writes.clear()
    with pytest.raises(Refused, match=r"auth 1\.9 is below 2\.0") as caught:
        publish(publisher, "production", [debs(version="1.9")])
    assert "--allow-older" in caught.value.hint
    assert memory.writes == []
    publish(publisher, "production", [debs(version="1.9")], allow_older=True)
    assert names(publisher) == ["auth 2.0 amd64", "auth 1.9 amd64"]


def test_a_new_architecture_takes_over_what_is_for_all(publisher, debs) -> None:
    publish(publisher, "production", [debs("doc", "1", "all"), debs()])
    publish(publisher, "production", [debs("auth", "1.0", "arm64")])
    release = publisher.snapshot("production").release
    assert release.settings.architectures == ("amd64", "arm64")
    assert names(publisher) == ["auth 1.0 amd64", "auth 1.0 arm64", "doc 1 all"]
    index = read_indices(publisher.store, release, [Part("main", "arm64")])
    assert [key.package for key, _ in index[Part("main", "arm64")].stanzas()] == ["auth", "doc"]
    assert sound(publisher)


def test_a_publisher_that_lost_the_race_begins_again(publisher, memory, home, debs) -> None:
    other = make_publisher(memory, home.ring())

    def interfere(path: str) -> None:
        if path == INRELEASE:
            memory.before_write = lambda path: None
            publish(other, "production", [debs("other")])

    memory.before_write = interfere
    publish(publisher, "production", [debs()])
    assert names(publisher) == ["auth 1.0 amd64", "other 1.0 amd64"]
    assert sound(publisher)


def test_a_lost_answer_to_a_commit_is_no_lost_race(publisher, memory, debs) -> None:
    from debship.publish.store import Conflict

    write = memory.write

    def deaf(path, data, *more):
        written = write(path, data, *more)
        if path == INRELEASE:
            memory.write = write
            raise Conflict(path)
        return written

    memory.write = deaf
    assert publish(publisher, "production", [debs()]).publication.changed
    assert memory.writes.count(INRELEASE) == 1


def test_who_is_late_with_the_old_names_leaves_those_of_the_newer(
    publisher, memory, home, debs
) -> None:
    other = make_publisher(memory, home.ring())

    def interfere(path: str) -> None:
        if path == "dists/production/main/binary-amd64/Packages.gz":
            memory.before_write = lambda path: None
            publish(other, "production", [debs("other")])

    memory.before_write = interfere
    publish(publisher, "production", [debs()])
    assert sound(publisher)


@pytest.mark.parametrize("kind", ["memory", "directory"])
def test_publishers_at_once_lose_nothing(kind, memory, directory, home, debs) -> None:
    store = memory if kind == "memory" else directory
    archives = [debs(f"app-{number}") for number in range(4)]
    init(make_publisher(store, home.ring()), settings())
    with ThreadPoolExecutor(4) as pool:
        done = [
            pool.submit(publish, make_publisher(store, home.ring()), "production", [archive])
            for archive in archives
        ]
    assert all(it.result().publication.changed for it in done)
    assert names(make_publisher(store, home.ring())) == [f"app-{n} 1.0 amd64" for n in range(4)]
    assert sound(make_publisher(store, home.ring()))


def test_a_no_op_puts_right_what_a_dead_publisher_left(publisher, memory, debs) -> None:
    publish(publisher, "production", [debs()])
    del memory.objects["dists/production/Release"]
    memory.write("dists/production/main/binary-amd64/Packages.gz", b"old")
    memory.writes.clear()
    assert not publish(publisher, "production", [debs()]).publication.changed
    assert INRELEASE not in memory.writes
    assert sound(publisher)


class TestDates:
    def dates(self, publisher) -> str:
        return publisher.snapshot("production").release.date

    def test_two_in_one_second_bear_two_dates(self, publisher, debs) -> None:
        first = self.dates(publisher)
        publish(publisher, "production", [debs()])
        assert self.dates(publisher) == first + timedelta(seconds=1)

    def test_a_clock_far_behind_is_refused(self, publisher, memory, clock: Clock, debs) -> None:
        clock.at -= timedelta(minutes=5)
        with pytest.raises(Refused, match="ahead of this machine's clock"):
            publish(publisher, "production", [debs()])
        assert INRELEASE not in memory.writes

    def test_a_little_ahead_is_waited_for(self, publisher, clock: Clock, debs) -> None:
        clock.at -= timedelta(seconds=20)
        publish(publisher, "production", [debs()])
        assert clock.paused == 21
        assert self.dates(publisher) == clock.at

    def test_no_two_are_written_in_one_second(self, publisher, memory, clock: Clock, debs) -> None:
        first = memory.read(INRELEASE).modified
        clock.at += timedelta(seconds=0.4)
        publish(publisher, "production", [debs()])
        assert memory.read(INRELEASE).modified == first + timedelta(seconds=1)

    def test_a_clock_that_the_store_contradicts_is_refused(self, publisher, memory, clock, debs):
        memory.clock = clock.at - timedelta(minutes=3)
        with pytest.raises(Refused, match=r"clock is \+180 s off the store's"):
            publish(publisher, "production", [debs()])


class TestSignatures:
    def test_a_suite_that_is_not_there_is_refused(self, publisher, debs) -> None:
        with pytest.raises(Refused, match="an unsigned store") as caught:
            publish(publisher, "nowhere", [debs()])
        assert "debship repo init --suite nowhere" in caught.value.hint

    def test_a_signature_that_is_not_ours_is_refused(self, memory, publisher, debs) -> None:
        with gpg_home(1) as strange:
            stranger = make_publisher(MemoryStore(), strange.ring())
            init(stranger, settings())
            memory.objects[INRELEASE] = stranger.store.objects[INRELEASE]
            memory.objects["dists/production/key.asc"] = stranger.store.objects[
                "dists/production/key.asc"
            ]
        with pytest.raises(Refused, match="not by a key of ours"):
            publish(publisher, "production", [debs()])
        assert memory.writes == []

    @pytest.mark.parametrize(
        "tamper",
        [
            lambda data: data.replace(b"Origin: Example", b"Origin: Exemple"),
            lambda data: b"Origin: before\n" + data,
            lambda data: data + b"Origin: after\n",
            lambda data: data + data,
            lambda data: data.split(b"-----BEGIN PGP SIGNATURE")[0],
            lambda data: b"",
        ],
    )
    def test_a_text_that_was_tampered_with_is_refused(self, memory, publisher, debs, tamper):
        data, modified = memory.objects[INRELEASE]
        memory.objects[INRELEASE] = (tamper(data), modified)
        with pytest.raises(Refused, match=r"signed|signature"):
            publish(publisher, "production", [debs()])
        assert memory.writes == []

    def test_an_index_that_was_tampered_with_is_not_extended(self, memory, publisher, debs):
        publish(publisher, "production", [debs()])
        memory.writes.clear()
        for path, (data, modified) in list(memory.objects.items()):
            if "binary-amd64/" in path:
                memory.objects[path] = (data + b"x", modified)
        with pytest.raises(Failed, match="it is damaged"):
            publish(publisher, "production", [debs("web")])
        assert memory.writes == []

    def test_armored_text_signs_and_leaves_nothing(self, memory, publisher, home, debs) -> None:
        text = home.ring().gpg("--armor", "--export-secret-keys", home.fingerprints[0]).text
        with keyring((), Secret(text), None, run) as ring:
            folder = ring.home
            assert folder.stat().st_mode & 0o777 == 0o700
            publish(make_publisher(memory, ring), "production", [debs()])
        assert not folder.exists()
        assert names(publisher) == ["auth 1.0 amd64"]

    def test_a_text_that_is_no_key_is_not_shown(self) -> None:
        bad = Secret("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nhunter2\n-----END")
        with pytest.raises(Misused) as caught, keyring((), bad, None, run):
            pass
        assert "hunter2" not in str(caught.value)

    @pytest.mark.acceptance  # gpg-agent takes seconds to measure how slow opening a key shall be
    def test_a_key_with_a_passphrase(self, memory, debs) -> None:
        with gpg_home(0) as home:
            (home.path / "gpg-agent.conf").write_text("s2k-count 65536\n")  # or it takes seconds
            quick = ("--quick-generate-key", "locked", "ed25519", "sign", "never")
            words = ("--batch", "--pinentry-mode", "loopback", "--passphrase", "sesame", *quick)
            run(["gpg", "--homedir", home.path, *words])
            run(["gpgconf", "--homedir", home.path, "--kill", "all"])
            text = run(
                [
                    "gpg",
                    "--homedir",
                    home.path,
                    "--batch",
                    "--pinentry-mode",
                    "loopback",
                    "--passphrase",
                    "sesame",
                    "--armor",
                    "--export-secret-keys",
                ]
            ).text
        with keyring((), Secret(text), Secret("sesame"), run) as ring:
            init(make_publisher(memory, ring), settings())
        assert INRELEASE in memory.objects
        with (
            keyring((), Secret(text), None, run) as ring,
            pytest.raises(Failed) as caught,
        ):
            init(make_publisher(memory, ring), settings("other"))
        assert "DEBSHIP_SIGNING_PASSPHRASE" in caught.value.hint


class TestInit:
    def test_the_same_once_more_changes_nothing(self, publisher, memory) -> None:
        assert not init(publisher, settings()).changed
        assert memory.writes == []

    @pytest.mark.parametrize(
        "change",
        [{"origin": "Other"}, {"label": "Other"}, {"codename": "other"}, {"not_automatic": True}],
    )
    def test_what_apt_holds_fast_does_not_change(self, publisher, memory, change) -> None:
        with pytest.raises(Refused, match="would become"):
            init(publisher, settings(**change))
        assert memory.writes == []

    def test_components_and_architectures_can_be_added(self, publisher, debs) -> None:
        publish(publisher, "production", [debs("doc", "1", "all")])
        init(publisher, settings(architectures=("arm64",), components=("main", "extra")))
        release = publisher.snapshot("production").release
        assert release.settings.architectures == ("amd64", "arm64")
        part = Part("main", "arm64")
        assert list(read_indices(publisher.store, release, [part])[part].of("doc"))
        assert names(publisher) == ["doc 1 all"]
        assert sound(publisher)

    def test_xz_can_be_asked_for_and_stays(self, publisher, memory, debs) -> None:
        publish(publisher, "production", [debs()])
        assert not any(path.endswith(".xz") for path in memory.objects)
        init(publisher, settings(xz=True))
        publish(publisher, "production", [debs("web")])
        assert names(publisher) == ["auth 1.0 amd64", "web 1.0 amd64"]
        packed = memory.read("dists/production/main/binary-amd64/Packages.xz").data
        assert lzma.decompress(packed).count(b"Package: ") == 2
        assert sound(publisher)

    @pytest.mark.parametrize(
        "wrong",
        [{"suite": "../x"}, {"codename": "a b"}, {"origin": "a\nb"}, {"architectures": ("all",)}],
    )
    def test_names_that_cannot_be_are_misused(self, wrong) -> None:
        with pytest.raises(Misused):
            settings(**wrong)


def test_a_file_that_changes_meanwhile_is_not_published(publisher, memory, debs, tmp_path) -> None:
    path = tmp_path / "x.deb"
    shutil.copy(debs().deb.path, path)
    archive = read_archive(path)
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(Failed, match="changed while it was published"):
        publish(publisher, "production", [archive])
    assert not any(name.startswith("pool/") for name in memory.objects)


def test_verify_finds_what_is_wrong(publisher, memory, debs) -> None:
    publish(publisher, "production", [debs(), debs("web"), debs("worker")])
    pool = sorted(path for path in memory.objects if path.startswith("pool/"))
    memory.delete(pool[0])
    memory.write(pool[1], b"other")
    memory.write("dists/production/main/binary-amd64/Packages.gz", b"old")
    verdict = verify_suite(memory, publisher.snapshot("production"), lambda text: None)
    assert len(verdict.problems) == 3
    assert re.search(r"Packages.gz: it is not the published index", verdict.problems[0])
    assert verdict.problems[1] == f"{pool[0]}: it is missing"
    assert "other bytes" in verdict.problems[2]


def test_a_package_that_a_gc_took_meanwhile_is_put_back(publisher, memory, debs) -> None:
    archive, pool = debs(), "pool/main/a/auth/auth_1.0_amd64.deb"
    memory.write(pool, archive.deb.path)
    memory.before_write = lambda path: memory.delete(pool) if path == INRELEASE else None
    publish(publisher, "production", [archive])
    assert sound(publisher)


def test_what_lay_there_is_asked_for_and_not_sent_again(publisher, memory, debs) -> None:
    archive, pool = debs(), "pool/main/a/auth/auth_1.0_amd64.deb"
    memory.write(pool, archive.deb.path)
    tried: list[str] = []
    memory.before_write = tried.append
    publish(publisher, "production", [archive])
    assert tried.count(pool) == 1
    assert sound(publisher)


def test_verify_reads_what_the_xz_holds(publisher, memory, debs) -> None:
    init(publisher, settings(xz=True))
    publish(publisher, "production", [debs()])
    snapshot = publisher.snapshot("production")
    other = lzma.compress(b"Package: other\n\n")
    sums = Checksum(hashlib.sha256(other).hexdigest(), len(other))
    path = "main/binary-amd64/Packages.xz"
    memory.write(f"dists/production/{path}", other)
    memory.write(by_hash_path("production", path, sums.sha256), other)
    lying = snapshot.release._replace(files={**snapshot.release.files, path: sums})
    verdict = verify_suite(memory, snapshot._replace(release=lying), lambda text: None)
    assert verdict.problems == (f"dists/production/{path}: it does not hold what Packages.gz does",)


def test_verify_can_read_all_again(publisher, memory, debs, monkeypatch) -> None:
    publish(publisher, "production", [debs()])
    pool = "pool/main/a/auth/auth_1.0_amd64.deb"
    kept = memory.sha256(pool)
    data, modified = memory.objects[pool]
    memory.objects[pool] = (bytes(len(data)), modified)
    monkeypatch.setattr(memory, "sha256", lambda path: kept)
    snapshot = publisher.snapshot("production")
    assert verify_suite(memory, snapshot, lambda text: None).problems == ()
    assert len(verify_suite(memory, snapshot, lambda text: None, deep=True).problems) == 1


def test_verify_looks_past_what_cannot_be_read(publisher, memory, debs, monkeypatch) -> None:
    publish(publisher, "production", [debs(), debs("web"), debs("worker")])
    pool = sorted(path for path in memory.objects if path.startswith("pool/"))
    memory.write(pool[2], b"other")
    index = "dists/production/main/binary-amd64/Packages.gz"
    for name in ("sha256", "read"):
        whole = getattr(memory, name)
        monkeypatch.setattr(memory, name, partial(_broken, whole, {pool[0], index}))
    verdict = verify_suite(memory, publisher.snapshot("production"), lambda text: None)
    assert verdict.problems[:2] == tuple(f"{path}: Input/output error" for path in (index, pool[0]))
    assert "other bytes" in verdict.problems[2]


def _broken(whole, unreadable: set[str], path: str):
    if path in unreadable:
        raise Failed(f"{path}: Input/output error")
    return whole(path)


def test_the_pool_path_of_a_library(debs) -> None:
    from debship.publish.plan import pool_path

    assert pool_path(debs("libfoo").deb, "main") == "pool/main/libf/libfoo/libfoo_1.0_amd64.deb"
    assert Path(pool_path(debs("lib").deb, "x")).parent == Path("pool/x/lib/lib")
