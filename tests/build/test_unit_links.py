"""The links by which deb-systemd-helper enables a unit."""

import pytest

from debship.build.unit_links import links_of

WEB = "[Unit]\nAfter=x\n[Install]\nWantedBy=multi-user.target\nAlso=auth.socket\n"
TEXTS = {
    "auth.service": WEB,
    "auth.socket": "[Install]\nWantedBy=sockets.target\n",
    "auth-migrate.service": "[Service]\nType=oneshot\n",
}


def test_what_comes_along_is_noted_first() -> None:
    assert links_of("auth.service", TEXTS) == (
        "sockets.target.wants/auth.socket",
        "multi-user.target.wants/auth.service",
    )
    assert links_of("auth.socket", TEXTS) == ("sockets.target.wants/auth.socket",)
    assert links_of("auth-migrate.service", TEXTS) == ()


def test_two_that_name_each_other_end() -> None:
    one, two = (f"[Install]\nWantedBy=a.target\nAlso={name}.service\n" for name in ("two", "one"))
    assert links_of("one.service", {"one.service": one, "two.service": two}) == (
        "a.target.wants/two.service",
        "a.target.wants/one.service",
    )


@pytest.mark.parametrize(
    "line",
    [
        "RequiredBy=auth.target",
        "Alias=login.service",
        "DefaultInstance=1",
        "WantedBy='multi-user.target'",
        "Also=stranger.service",
        "  alias=login.service",
    ],
)
def test_of_what_is_seldom_nothing_is_said(line: str) -> None:
    assert links_of("auth.service", {**TEXTS, "auth.service": f"{WEB}{line}\n"}) is None
    assert links_of("strange.service", TEXTS) is None
