import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version

from debship.debian.versions import from_git_describe, from_pep440
from debship.errors import Misused
from debship.model import DebVersion
from debship.run import run

TABLE = {
    "1.0.dev1": "1.0~~dev1",
    "1.0a1": "1.0~a1",
    "1.0b2": "1.0~b2",
    "1.0rc1": "1.0~rc1",
    "1.0a1.dev2": "1.0~a1~dev2",
    "1.0rc1.dev1": "1.0~rc1~dev1",
    "1.0a1.post1": "1.0~a1.post1",
    "1.0": "1.0",
    "1.0+abc.5": "1.0+abc.5",
    "1.0.post1.dev1": "1.0.post1~dev1",
    "1.0.post1": "1.0.post1",
    "1!1.0": "1:1.0",
    "v1.0-ALPHA.1": "1.0~a1",
}

numbers = st.integers(0, 12)


@st.composite
def pep440(draw: st.DrawFn) -> str:
    text = (
        f"{draw(numbers)}.{draw(numbers)}.{draw(numbers)}"  # as many numbers in each: 1.0 == 1.0.0
    )
    if draw(st.booleans()):
        text += draw(st.sampled_from(("a", "b", "rc"))) + str(draw(numbers))
    if draw(st.booleans()):
        text += f".post{draw(numbers)}"
    if draw(st.booleans()):
        text += f".dev{draw(numbers)}"
    if draw(st.booleans()):
        text += f"+{draw(numbers)}"
    return f"{draw(st.integers(0, 2))}!{text}"


@pytest.mark.parametrize(("python", "debian"), TABLE.items())
def test_the_table(python: str, debian: str) -> None:
    assert from_pep440(python) == debian


@given(pep440(), pep440())
@settings(max_examples=50, deadline=None)
def test_dpkg_orders_as_python_does(one: str, two: str) -> None:
    mine, theirs = f"{from_pep440(one)}-1", f"{from_pep440(two)}-1"
    for operator, holds in (
        ("lt", Version(one) < Version(two)),
        ("eq", Version(one) == Version(two)),
    ):
        compared = run(["dpkg", "--compare-versions", mine, operator, theirs], check=False)
        assert (compared.returncode == 0) is holds, (one, two)


@given(pep440())
def test_what_comes_out_is_a_debian_version(text: str) -> None:
    assert DebVersion(f"{from_pep440(text)}-1").revision == "1"


def test_what_is_no_version_is_refused() -> None:
    with pytest.raises(Misused, match='"one" is not a version'):
        from_pep440("one")


@pytest.mark.parametrize(
    ("described", "upstream"),
    [
        ("v1.2-0-gab12cd3", "1.2"),
        ("v1.2-5-gab12cd3", "1.2+5.gab12cd3"),
        ("1.2rc1-5-gab12cd3-dirty", "1.2~rc1+5.gab12cd3.dirty"),
        ("v1.2-0-gab12cd3-dirty", "1.2+dirty"),
        ("auth/v2.0-1-gab12cd3", "2.0+1.gab12cd3"),
        ("services/auth/v2.0-1-gab12cd3", "2.0+1.gab12cd3"),
        ("release/v2.0-0-gab12cd3", "2.0"),
        ("auth-2.0-0-gab12cd3", "2.0"),
        ("big.auth-2-v2.0-0-gab12cd3", "2.0"),
        ("1.2-3-0-gab12cd3", "1.2.post3"),
    ],
)
def test_git_describe(described: str, upstream: str) -> None:
    assert from_git_describe(described, ["auth", "Big_Auth-2"]) == upstream


def test_commits_sort_between_their_tags() -> None:
    described = ("v1.2rc1-3-gaa", "v1.2-0-gaa", "v1.2-9-gff", "v1.2-10-g00", "v1.2.1-0-gaa")
    versions = [DebVersion(from_git_describe(text) + "-1") for text in described]
    assert versions == sorted(versions)


def test_a_tag_that_is_no_version_is_refused() -> None:
    with pytest.raises(Misused, match='the git tag "latest"'):
        from_git_describe("latest-3-gab12cd3")


@pytest.mark.parametrize("tag", ["deploy-20241130", "rélease-1", "other-1.2", "auth1.2", "x/auth"])
def test_a_number_in_a_tag_is_not_yet_a_version(tag: str) -> None:
    with pytest.raises(Misused, match=f'the git tag "{tag}"') as misused:
        from_git_describe(f"{tag}-0-gab12cd3", ["auth"])
    assert "v1.2.3, auth-1.2.3" in (misused.value.hint or "")
