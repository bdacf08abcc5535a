import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debship.errors import Misused
from debship.model import DebVersion, PackageName, Secret


@pytest.mark.parametrize("name", ["a", "Auth", "-auth", "au th", "auth_x", "", "auth/../x", "a\n"])
def test_a_name_that_policy_forbids_is_refused(name: str) -> None:
    with pytest.raises(Misused, match="cannot be the name"):
        PackageName(name)


@pytest.mark.parametrize(
    "text", ["", "v1", "1 0", "1:2:3", "1_0", "~1", "1.0\n", "1.0-", "1.0-1-", "2147483648:1"]
)
def test_what_is_not_a_version_is_refused(text: str) -> None:
    with pytest.raises(Misused):
        DebVersion(text)


def test_the_parts_of_a_version() -> None:
    version = DebVersion("2:1.0~rc1-3~deb12u1")
    assert (version.epoch, version.upstream, version.revision) == (2, "1.0~rc1", "3~deb12u1")
    assert version.without_epoch == "1.0~rc1-3~deb12u1"
    assert DebVersion("1.0").revision == ""


def test_versions_sort_as_dpkg_sorts() -> None:
    texts = ["1.0~~dev1", "1.0~rc1", "1.0", "1.0-1~deb12u1", "1.0-1~deb13u1", "1.0-1", "1:0.1"]
    assert [v.text for v in sorted(map(DebVersion, reversed(texts)))] == texts


@given(st.text(min_size=1))
def test_a_secret_never_prints(value: str) -> None:
    secret = Secret(value)
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret!r:>3}", repr([secret])):
        assert "[hidden]" in shown
        assert shown.replace("[hidden]", "").strip("[]") == ""
    assert secret.reveal() == value


def test_a_secret_is_not_serialised() -> None:
    for serialise in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="not serialised"):
            serialise(Secret("x"))
