"""Which package installs what."""

import gzip
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from debship.publish.contents import Contents
from debship.publish.gc import Policy, collect, plan_gc
from debship.publish.history import rollback
from debship.publish.promotion import Wish, promote
from debship.publish.recipe import publish
from debship.publish.suite import init
from debship.publish.verify import verify_suite
from debship.run import run
from publishing import settings

PATH = "dists/{}/main/Contents-{}.gz"


def contents(
    publisher, suite: str = "production", architecture: str = "amd64"
) -> dict[str, set[str]]:
    release = publisher.snapshot(suite).release
    assert f"main/Contents-{architecture}" in release.files  # or apt-file ignores it
    text = gzip.decompress(publisher.store.read(PATH.format(suite, architecture)).data)
    assert (
        verify_suite(publisher.store, publisher.snapshot(suite), lambda text: None).problems == ()
    )
    return {path: set(names) for path, names in Contents.parse(text).owners.items()}


@pytest.fixture
def listed(publisher):
    init(publisher, settings(contents=True))
    return publisher


letters = st.characters(min_codepoint=33, exclude_categories=("Cs",)) | st.just("\udcff")
names = st.dictionaries(
    st.builds("{0}/{1} {2}".format, *(st.text(letters, min_size=1) for _ in range(3))),
    st.frozensets(st.sampled_from(["net/auth", "web", "doc/auth-doc"]), min_size=1),
)


@examples(max_examples=25, deadline=None)
@given(names)
def test_what_is_written_is_read(owners) -> None:
    assert Contents.parse(Contents(owners).render()) == Contents(owners)


def test_none_where_nobody_asked(publisher, memory, debs) -> None:
    publish(publisher, "production", [debs()])
    assert not any("Contents" in path for path in memory.objects)


def test_the_newest_version_counts(listed, debs) -> None:
    publish(listed, "production", [debs(version="1.0"), debs("web", more="Section: net\n")])
    publish(listed, "production", [debs("doc", "1", "all")])
    assert contents(listed) == {
        "usr/share/doc/auth/README": {"auth"},
        "usr/share/doc/doc/README": {"doc"},
        "usr/share/doc/web/README": {"net/web"},
    }
    publish(listed, "production", [debs("auth", "1.0", "arm64")])
    assert set(contents(listed, architecture="arm64")) == {
        "usr/share/doc/auth/README",
        "usr/share/doc/doc/README",
    }


def test_they_follow_all_that_changes_a_suite(listed, clock, debs) -> None:
    init(listed, settings("staging", contents=True))
    first = publish(listed, "staging", [debs(version="1.0")]).publication
    publish(listed, "staging", [debs("web"), debs(version="1.1")])
    promote(listed, [Wish("web", None)], source="staging", target="production")
    assert contents(listed) == {"usr/share/doc/web/README": {"web"}}
    clock.at += timedelta(days=3)
    collect(listed, plan_gc(listed.store, Policy(1, timedelta(0)), clock.now(), ["staging"]))
    assert set(contents(listed, "staging")) == {
        f"usr/share/doc/{it}/README" for it in ("auth", "web")
    }
    rollback(listed, "staging", first.id)
    assert contents(listed, "staging") == {"usr/share/doc/auth/README": {"auth"}}


def test_a_suite_that_has_packages_gets_them_too(publisher, debs) -> None:
    publish(publisher, "production", [debs(version="1.0"), debs("web")])
    init(publisher, settings(contents=True))
    assert len(contents(publisher)) == 2


def reads(memory) -> list[str]:
    """Note what is read of the pool from now on."""
    noted: list[str] = []
    read = memory.read
    memory.read = lambda path: noted.append(path) or read(path)
    return noted


def in_pool(paths: list[str]) -> list[str]:
    return sorted(path.rpartition("/")[2] for path in paths if path.startswith("pool/"))


def test_each_package_is_read_once(publisher, memory, debs) -> None:
    init(publisher, settings(architectures=("amd64", "arm64"), components=("main", "extra")))
    publish(publisher, "production", [debs("doc", "1", "all"), debs(version="1.0")])
    noted = reads(memory)
    init(publisher, settings(contents=True))
    assert in_pool(noted) == ["auth_1.0_amd64.deb", "doc_1_all.deb"]


def test_going_back_takes_up_what_was_listed_then(listed, memory, debs) -> None:
    old = publish(listed, "production", [debs(version="1.0"), debs("web")]).publication
    was = contents(listed)
    publish(listed, "production", [debs(version="1.1", more="Section: net\n"), debs("new")])
    noted = reads(memory)
    rollback(listed, "production", old.id)
    assert in_pool(noted) == []
    assert contents(listed) == was


def test_many_at_once_are_one_walk() -> None:
    before = Contents({f"p{n}": frozenset({f"net/app-{n % 50}"}) for n in range(100)})
    after = before.replaced({"app-1": ("", ["new", "p2"]), "app-2": ("web", []), "app-9": ("", [])})
    assert after.owners["new"] == {"app-1"}
    assert after.owners["p2"] == {"app-1"}
    assert "p52" not in after.owners
    assert after.owners["p3"] == {"net/app-3"}
    assert len(after.owners) == 100 - 6 + 2


@pytest.mark.acceptance
def test_apt_ftparchive_says_the_same(listed, debs, tmp_path) -> None:
    some = [debs("web", more="Section: net\n"), debs("auth"), debs("doc", "1", "all")]
    publish(listed, "production", some)
    for path, (data, _) in listed.store.objects.items():
        if path.startswith("pool/"):
            file = tmp_path / path
            file.parent.mkdir(parents=True)
            file.write_bytes(data)
    theirs = run(["apt-ftparchive", "contents", "pool"], cwd=tmp_path).stdout
    ours = gzip.decompress(listed.store.read(PATH.format("production", "amd64")).data)
    assert bare(ours) == bare(theirs)


def bare(text: bytes) -> dict[str, set[str]]:
    """Paths and packages; apt-ftparchive knows no section without an override file."""
    owners = Contents.parse(text).owners
    return {path: {name.rpartition("/")[2] for name in names} for path, names in owners.items()}
