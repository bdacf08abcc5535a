import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debship.config.fleet import (
    AsgHosts,
    ClassicElbSettings,
    Ec2Hosts,
    Fleet,
    HaproxySettings,
    HealthSettings,
    SecretSource,
    Share,
    TargetGroupSettings,
)
from debship.config.fleet_file import find_fleet, read_fleet
from debship.errors import Misused

REPOSITORY = '[repository]\nstore = "apt"\nurl = "http://x/debian/"\nsuite = "production"\n'
ARN = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/auth/0123456789abcdef"


@pytest.fixture
def read(tmp_path: Path):
    def read(text: str) -> Fleet:
        path = tmp_path / "fleet.toml"
        path.write_text(REPOSITORY + text)
        return read_fleet(path)

    return read


def _app(read, text: str):
    hosts = "" if "hosts" in text else 'hosts = ["a"]\n'
    return read(f"[apps.auth]\n{hosts}{text}").apps["auth"]


def test_paths_are_beside_the_file(read, tmp_path: Path) -> None:
    (tmp_path / "t.j2").touch()
    fleet = read(
        '[ssh]\nidentity = "key"\n[apps.auth]\nhosts = ["a"]\n'
        'files = [{ path = "/etc/x", template = "t.j2", mode = "640" }]\n'
        'secrets = { a = { file = "secret" } }\n'
    )
    assert fleet.repository.store == str(tmp_path / "apt")
    assert fleet.repository.url == "http://x/debian"
    assert fleet.ssh.identity == tmp_path / "key"
    file = fleet.apps["auth"].files[0]
    assert (file.template, file.mode) == (tmp_path / "t.j2", 0o640)
    assert fleet.apps["auth"].secrets["a"] == SecretSource("file", str(tmp_path / "secret"))


def test_defaults_are_the_values_own(read) -> None:
    app = _app(read, "")
    assert (app.package, app.batch, app.canary, app.budget) == ("auth", Share(count=1), 1, 0)
    assert app.health is None
    assert app.min_healthy is None


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("5", 5.0), ("0.5", 0.5), ('"30s"', 30.0), ('"5m"', 300.0), ('"1.5 h"', 5400.0), ("0", 0.0)],
)
def test_durations(read, written: str, seconds: float) -> None:
    assert _app(read, f"soak = {written}").soak == seconds


@pytest.mark.parametrize("written", ['"5"', '"m"', "-1", "nan", "inf", "true", '"1d"', "[]"])
def test_no_durations(read, written: str) -> None:
    with pytest.raises(Misused, match=r"apps\.auth\.soak: expected a"):
        _app(read, f"soak = {written}")


@given(st.integers(1, 10_000))
def test_shares_are_read_as_they_are_written(number: int) -> None:
    from debship.config.kinds import _share

    assert str(_share(number)) == str(number)
    if number <= 100:
        assert str(_share(f"{number}%")) == f"{number}%"


def test_a_fleet_may_keep_no_host_healthy_but_not_go_by_none(read) -> None:
    assert _app(read, "min_healthy = 0").min_healthy == Share(count=0)
    with pytest.raises(Misused, match=r"apps\.auth\.batch: expected a number of at least 1"):
        _app(read, "batch = 0")


@pytest.mark.parametrize(
    ("written", "inventory"),
    [
        (
            '["10.0.0.1", "db-1.example.com", "2001:db8::1"]',
            ("10.0.0.1", "db-1.example.com", "2001:db8::1"),
        ),
        (
            '{ ec2 = { "tag:app" = "auth", "tag:a" = "b" } }',
            Ec2Hosts((("tag:a", "b"), ("tag:app", "auth"))),
        ),
        ('{ asg = "auth" }', AsgHosts("auth")),
    ],
)
def test_hosts(read, written: str, inventory) -> None:
    assert _app(read, f"hosts = {written}").hosts == inventory


@pytest.mark.parametrize(
    "host",
    [
        "-oProxyCommand=id",
        "a b",
        "a;id",
        "$(id)",
        "root@a",
        "a:22",
        "",
        "a..b",
        "1.2.3",
        "a\n",
        "ü",
    ],
)
def test_no_host(read, host: str) -> None:
    with pytest.raises(Misused, match=r"apps\.auth\.hosts\[0\]: expected a host name"):
        _app(read, f"hosts = [{json.dumps(host)}]")


@pytest.mark.parametrize(
    "written", ["[]", "{}", '{ asg = "a", ec2 = { a = "b" } }', "{ ec2 = {} }"]
)
def test_hosts_are_somewhere(read, written: str) -> None:
    with pytest.raises(Misused, match=r"apps\.auth\.hosts: expected (at least one|either)"):
        _app(read, f"hosts = {written}")


def test_balancers(read) -> None:
    app = _app(
        read,
        f"""balancers = [
    {{ kind = "haproxy", socket = "/run/haproxy.sock", backend = "auth", drain = "5s" }},
    {{ kind = "haproxy", sockets = ["tcp://10.0.0.1:9999", "/run/b"], backend = "b" }},
    {{ kind = "target-group", arn = "{ARN}", port = 8101 }},
    {{ kind = "classic-elb", name = "auth" }},
]""",
    )
    assert app.balancers == (
        HaproxySettings(("/run/haproxy.sock",), "auth", drain=5.0),
        HaproxySettings(("tcp://10.0.0.1:9999", "/run/b"), "b"),
        TargetGroupSettings(ARN, 8101),
        ClassicElbSettings("auth"),
    )
    assert _app(read, 'balancers = [{ kind = "none" }]').balancers == ()


def test_health(read) -> None:
    app = _app(read, 'health = { path = "/h", port = 1, version = "v", timeout = "1m", times = 3 }')
    assert app.health == HealthSettings("/h", 1, "v", 60.0, 3)


def test_secrets_say_where_they_are_and_nothing_else(read) -> None:
    app = _app(
        read, 'secrets = { a = { env = "A" }, b = { command = ["pass", "b"] }, c = { ssm = "/c" } }'
    )
    assert dict(app.secrets) == {
        "a": SecretSource("env", "A"),
        "b": SecretSource("command", ("pass", "b")),
        "c": SecretSource("ssm", "/c"),
    }


@pytest.mark.parametrize(
    "written",
    [
        '"hunter2"',
        '{ value = "hunter2" }',
        '{ command = "hunter2" }',
        '{ env = "hunter2!" }',
        '["hunter2"]',
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_shown(read, written: str) -> None:
    with pytest.raises(Misused, match=r"apps\.auth\.secrets\.a") as raised:
        _app(read, f"secrets = {{ a = {written} }}")
    assert "hunter2" not in f"{raised.value.message}{raised.value.hint}"


def test_a_password_in_a_url_is_not_shown(read, tmp_path: Path) -> None:
    for scheme in ("https", "ftp"):
        path = tmp_path / "fleet.toml"
        path.write_text(REPOSITORY.replace("http://x", f"{scheme}://ann:hunter2@x"))
        with pytest.raises(Misused, match=r"repository\.url") as raised:
            read_fleet(path)
        assert "hunter2" not in str(raised.value)


def test_the_nearest_file_is_found(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert find_fleet(inner) is None
    (tmp_path / "fleet.toml").touch()
    assert find_fleet(inner) == tmp_path / "fleet.toml"
    (inner / "fleet.toml").touch()
    assert find_fleet(inner) == inner / "fleet.toml"


def test_no_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(Misused, match="there is no such file"):
        read_fleet(tmp_path / "fleet.toml")
