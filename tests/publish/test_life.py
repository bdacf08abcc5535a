"""What becomes of publications: the log, going back, promotion, collection."""

from datetime import timedelta

import pytest

from debship.errors import Misused, Refused
from debship.publish.gc import Policy, collect, plan_gc
from debship.publish.history import history, log, rollback
from debship.publish.promotion import Wish, promote
from debship.publish.recipe import publish
from debship.publish.snapshot import read_indices, suites
from debship.publish.suite import init
from debship.publish.verify import verify_suite
from publishing import settings

KEEP_ALL = Policy(100, timedelta(days=1000))


def names(publisher, suite: str = "production") -> list[str]:
    from debship.publish.listing import listing

    return [
        " ".join(row[:3]) for row in listing(publisher.store, publisher.snapshot(suite).release)
    ]


def sound(publisher, suite: str = "production") -> bool:
    verdict = verify_suite(publisher.store, publisher.snapshot(suite), lambda text: None)
    assert verdict.problems == ()
    return True


class TestLog:
    def test_it_says_what_each_publication_changed(self, publisher, debs) -> None:
        publish(publisher, "production", [debs(version="1.0"), debs("doc", "1", "all")])
        publish(publisher, "production", [debs(version="1.1")])
        last, first, start = log(publisher.store, "production", 10)
        assert [key.version for key in last.added] == ["1.1"]
        assert [key.package for key in first.added] == ["auth", "doc"]
        assert (start.added, start.removed) == ((), ())
        assert last.id == publisher.snapshot("production").id
        assert len(log(publisher.store, "production", 2)) == 2

    def test_none_is_missing_though_publishers_die(self, publisher, memory, debs) -> None:
        class Dead(Exception):
            pass

        def die(path: str) -> None:
            if path.endswith("Packages.gz"):
                raise Dead

        for number in range(3):
            memory.before_write = die
            with pytest.raises(Dead):
                publish(publisher, "production", [debs(version=f"{number}")])
        memory.before_write = lambda path: None
        assert len(history(memory, "production")) == 4

    def test_of_the_oldest_that_a_collection_left_it_says_nothing(
        self, publisher, clock, debs
    ) -> None:
        publish(publisher, "production", [debs(version="1.0")])
        clock.at += timedelta(days=100)
        publish(publisher, "production", [debs(version="1.1")])
        clock.at += timedelta(days=100)
        collect(publisher, plan_gc(publisher.store, KEEP_ALL, clock.now(), ["production"]))
        (last,) = log(publisher.store, "production", 10)
        assert (last.added, last.removed) == (None, None)


class TestRollback:
    def test_it_publishes_the_old_content_anew(self, publisher, debs) -> None:
        good = publish(publisher, "production", [debs(version="1.0")]).publication
        bad = publish(publisher, "production", [debs(version="2.0")]).publication
        back = rollback(publisher, "production", good.id[:8])
        assert names(publisher) == ["auth 1.0 amd64"]
        assert back.date > bad.date
        assert back.id not in (good.id, bad.id)
        assert sound(publisher)
        rollback(publisher, "production", bad.id)
        assert names(publisher) == ["auth 2.0 amd64", "auth 1.0 amd64"]

    def test_to_what_is_there_changes_nothing(self, publisher, debs) -> None:
        now = publish(publisher, "production", [debs()]).publication
        assert not rollback(publisher, "production", now.id).changed

    def test_an_architecture_that_came_later_becomes_empty(self, publisher, debs) -> None:
        old = publish(publisher, "production", [debs()]).publication
        publish(publisher, "production", [debs("auth", "1.0", "arm64")])
        rollback(publisher, "production", old.id)
        assert names(publisher) == ["auth 1.0 amd64"]
        assert publisher.snapshot("production").release.settings.architectures == ("amd64", "arm64")
        assert sound(publisher)

    def test_an_architecture_that_came_later_keeps_what_is_for_all(self, publisher, debs) -> None:
        old = publish(publisher, "production", [debs(), debs("web", "1", "all")]).publication
        publish(publisher, "production", [debs("auth", "1.0", "arm64")])
        rollback(publisher, "production", old.id)
        release = publisher.snapshot("production").release
        indices = read_indices(publisher.store, release, release.settings.parts)
        listed = {
            part.architecture: [key.package for key, _ in index.stanzas()]
            for part, index in indices.items()
        }
        assert listed == {"amd64": ["auth", "web"], "arm64": ["web"]}

    def test_to_what_is_not_known_is_misused(self, publisher) -> None:
        for to in ("", "zzzz"):
            with pytest.raises(Misused, match="no publication"):
                rollback(publisher, "production", to)

    def test_to_what_somebody_put_there_is_refused(self, publisher, memory, debs) -> None:
        old = publisher.snapshot("production")
        publish(publisher, "production", [debs()])
        path = f"dists/production/by-hash/SHA256/{old.id}"
        memory.write(path, old.inrelease.replace(b"Label: Example", b"Label: Exemple"))
        with pytest.raises(Refused):
            rollback(publisher, "production", old.id)

    def test_to_what_is_gone_from_the_pool_is_refused(self, publisher, memory, debs) -> None:
        old = publish(publisher, "production", [debs(version="1.0")]).publication
        publish(publisher, "production", [debs(version="2.0")])
        memory.delete("pool/main/a/auth/auth_1.0_amd64.deb")
        memory.writes.clear()
        with pytest.raises(Refused, match="gone from the pool"):
            rollback(publisher, "production", old.id)
        assert memory.writes == []


_DIGESTS = ("0a1b2c3d", "ffffffff")


class TestPromotion:
    @pytest.fixture
    def staging(self, publisher, debs):
        init(publisher, settings("staging", not_automatic=True))
        some = [debs(version="1.0"), debs(version="1.1"), debs("doc", "1", "all"), debs("other")]
        publish(publisher, "staging", some)
        return publisher

    def test_the_same_bytes_are_listed_and_nothing_is_moved(self, staging, memory) -> None:
        memory.writes.clear()
        wishes = [Wish("auth", "1.0"), Wish("doc", None)]
        done = promote(staging, wishes, source="staging", target="production")
        assert [key.package for key in done.new] == ["auth", "doc"]
        assert names(staging) == ["auth 1.0 amd64", "doc 1 all"]
        assert not any(path.startswith("pool/") for path in memory.writes)
        assert sound(staging)
        again = promote(staging, wishes, source="staging", target="production")
        assert (again.new, again.publication.changed) == ((), False)

    def test_without_a_version_the_highest_goes(self, staging) -> None:
        promote(staging, [Wish("auth", None)], source="staging", target="production")
        assert names(staging) == ["auth 1.1 amd64"]

    def test_a_version_may_be_named_without_its_revision(self, staging, debs) -> None:
        publish(staging, "staging", [debs(version="1.4.0-1"), debs(version="1.4.0-2")])
        promote(staging, [Wish("auth", "1.4.0-1")], source="staging", target="production")
        assert names(staging) == ["auth 1.4.0-1 amd64"]
        promote(staging, [Wish("auth", "1.4.0")], source="staging", target="production")
        assert names(staging) == ["auth 1.4.0-2 amd64", "auth 1.4.0-1 amd64"]
        with pytest.raises(Misused, match=r"staging has no auth 1\.4$"):
            promote(staging, [Wish("auth", "1.4")], source="staging", target="production")

    def test_a_split_application_takes_its_dependencies_along(self, staging, debs) -> None:
        needs = "Depends: python3.11, auth-deps-0a1b2c3d, other-deps-0a1b2c3d\n"
        beside = [
            debs(f"{name}-deps-{digest}") for name in ("auth", "other") for digest in _DIGESTS
        ]
        publish(staging, "staging", [debs(version="2.0", more=needs), *beside])
        promote(staging, [Wish("auth", None)], source="staging", target="production")
        assert names(staging) == ["auth 2.0 amd64", "auth-deps-0a1b2c3d 1.0 amd64"]
        wishes = [Wish("auth", "2.0"), Wish("auth-deps-0a1b2c3d", None)]
        again = promote(staging, wishes, source="staging", target="production")
        assert again.new == ()

    def test_a_lower_version_is_refused_unless_it_is_meant(self, staging) -> None:
        promote(staging, [Wish("auth", "1.1")], source="staging", target="production")
        with pytest.raises(Refused, match=r"staging: auth 1\.0 is below 1\.1"):
            promote(staging, [Wish("auth", "1.0")], source="staging", target="production")

    def test_what_the_source_does_not_have_is_misused(self, staging) -> None:
        with pytest.raises(Misused, match=r"staging has no auth 9"):
            promote(staging, [Wish("auth", "9")], source="staging", target="production")

    def test_what_is_gone_from_the_pool_is_refused(self, staging, memory) -> None:
        memory.delete("pool/main/a/auth/auth_1.0_amd64.deb")
        with pytest.raises(Refused, match="gone from the pool"):
            promote(staging, [Wish("auth", "1.0")], source="staging", target="production")


class TestCollection:
    def plan(self, publisher, clock, policy=KEEP_ALL, suite="production"):
        return plan_gc(publisher.store, policy, clock.now(), [suite])

    def test_of_many_versions_the_newest_and_the_young_stay(self, publisher, clock, debs) -> None:
        for version in ("1.0", "1.1", "1.2", "1.3"):
            publish(publisher, "production", [debs(version=version)])
            clock.at += timedelta(days=10)
        planned = self.plan(publisher, clock, Policy(1, timedelta(days=25)))
        assert [key.version for key in planned.unlisted["production"]] == ["1.0", "1.1"]
        collect(publisher, planned)
        assert names(publisher) == ["auth 1.3 amd64", "auth 1.2 amd64"]
        assert sound(publisher)

    def test_what_a_late_host_may_ask_for_stays_two_weeks(self, publisher, memory, clock, debs):
        publish(publisher, "production", [debs(version="1.0")])
        clock.at += timedelta(days=100)
        publish(publisher, "production", [debs(version="1.1")])
        old_index = publisher.snapshot("production").release.files["main/binary-amd64/Packages.gz"]
        collect(publisher, self.plan(publisher, clock, Policy(1, timedelta(0))))
        pool = "pool/main/a/auth/auth_1.0_amd64.deb"
        place = f"dists/production/main/binary-amd64/by-hash/SHA256/{old_index.sha256}"
        clock.at += timedelta(days=13)
        collect(publisher, self.plan(publisher, clock))
        assert memory.read(pool)
        assert memory.read(place)
        clock.at += timedelta(days=2)
        planned = self.plan(publisher, clock)
        assert {pool, place} < {entry.path for entry in planned.deleted}
        assert planned.size == sum(len(memory.objects[it.path][0]) for it in planned.deleted)
        collect(publisher, planned)
        assert memory.read(pool) is None
        assert memory.read(place) is None
        assert sound(publisher)
        assert len(history(memory, "production")) == 1
        assert self.plan(publisher, clock).deleted == ()

    def test_what_another_suite_names_stays(self, publisher, memory, clock, debs) -> None:
        init(publisher, settings("staging"))
        publish(publisher, "staging", [debs()])
        clock.at += timedelta(days=100)
        assert suites(memory) == ("production", "staging")
        collect(publisher, self.plan(publisher, clock))
        assert memory.read("pool/main/a/auth/auth_1.0_amd64.deb")
        assert sound(publisher, "staging")

    def test_a_clock_that_is_wrong_takes_nothing_away(self, publisher, memory, clock) -> None:
        memory.now = lambda: clock.at - timedelta(days=40)
        with pytest.raises(Refused, match=r"clock is .3456000 s off the store's"):
            self.plan(publisher, clock)

    def test_what_a_publisher_uploads_just_now_stays(self, publisher, memory, clock) -> None:
        memory.write("pool/main/n/new/new_1_amd64.deb", b"x")
        clock.at += timedelta(hours=20)
        assert self.plan(publisher, clock).deleted == ()
        clock.at += timedelta(hours=20)
        assert len(self.plan(publisher, clock).deleted) == 1

    def test_what_was_reached_meanwhile_stays(self, publisher, memory, clock, debs) -> None:
        archive = debs()
        path = "pool/main/a/auth/auth_1.0_amd64.deb"
        memory.write(path, archive.deb.path.read_bytes())
        clock.at += timedelta(days=3)
        planned = self.plan(publisher, clock)
        assert [entry.path for entry in planned.deleted] == [path]
        publish(publisher, "production", [archive])
        collect(publisher, planned)
        assert sound(publisher)

    def test_a_collection_that_dies_leaves_nothing_dangling(self, publisher, memory, clock, debs):
        for version in ("1.0", "1.1"):
            publish(publisher, "production", [debs(version=version)])
        clock.at += timedelta(days=30)
        collect(publisher, self.plan(publisher, clock, Policy(1, timedelta(0))))
        clock.at += timedelta(days=30)
        planned = self.plan(publisher, clock)
        order = [entry.path for entry in planned.deleted]
        for stop in range(len(order)):
            memory.delete(order[stop])
            for past in history(memory, "production"):
                log(memory, "production", 10)
                rest = set(order[stop + 1 :])
                assert not rest or past.id
        assert order[-1].startswith("pool/")
        assert order[0].startswith("dists/production/by-hash/")
