import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debship.errors import Misused
from debship.lab.group import Process
from debship.lab.haproxy import haproxy_config
from debship.lab.host import boot_command
from debship.lab.network import bridge_commands, inner_commands, outer_commands
from debship.lab.plan import Backend, LabPlan, parse_backend, plan_lab
from debship.lab.record import Record, parse_record, read_record, render_record, write_record

STATE = Path("/var/lib/debship/lab/rehearsal")
AUTH = Backend("auth", 8101, "/healthz")
WORKERS = Backend("queue", 8102, None)


def planned(number: int = 7, **how) -> LabPlan:
    return plan_lab("rehearsal", number=number, state=STATE, **how)


def test_all_follows_from_the_number() -> None:
    plan = planned(hosts=2, releases=("bookworm", "trixie"))
    assert [(h.name, h.address, h.release) for h in plan.hosts] == [
        ("h1", "10.77.7.11", "bookworm"),
        ("h2", "10.77.7.12", "trixie"),
    ]
    assert [h.mac for h in plan.hosts] == ["02:00:0a:4d:07:0b", "02:00:0a:4d:07:0c"]
    assert plan.repository_url == "http://10.77.7.1:8080"
    assert plan.sockets == ("/run/debship/lab/7/haproxy.sock", "tcp://127.77.7.1:9999")


def test_releases_go_round() -> None:
    plan = planned(hosts=3, releases=("bookworm", "trixie"))
    assert [host.release for host in plan.hosts] == ["bookworm", "trixie", "bookworm"]


@given(st.integers(1, 254), st.integers(1, 200))
def test_names_fit_the_kernel_and_labs_share_none(number: int, hosts: int) -> None:
    plan, other = planned(number, hosts=hosts), planned(number % 254 + 1, hosts=hosts)
    names = {plan.bridge, *(name for h in plan.hosts for name in (h.veth, h.namespace, h.address))}
    assert len(names) == 1 + 3 * hosts
    assert all(len(host.veth) <= 15 for host in plan.hosts)  # IFNAMSIZ less the NUL
    assert len(str(plan.socket)) <= 107  # sun_path less the NUL
    assert not names & {name for h in other.hosts for name in (h.veth, h.namespace, h.address)}


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"hosts": 0}, "1 to 200 hosts, not 0"),
        ({"hosts": 201}, "1 to 200 hosts, not 201"),
        ({"releases": ("woody",)}, '"woody" is not a release'),
        ({"backends": (AUTH, Backend("web", 8101, None))}, "web and auth both want port 8101"),
        ({"backends": (Backend("web", 9999, None),)}, "HAProxy's runtime socket both want"),
        ({"backends": (AUTH, Backend("auth", 1, None))}, "bear the same name"),
        ({"cache": Path("/a:b")}, "no colon"),
    ],
)
def test_what_cannot_be_is_refused(how, says: str) -> None:
    with pytest.raises(Misused, match=says):
        planned(**how)


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "a/b", "..", "a" * 33])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(Misused, match="cannot name a lab"):
        plan_lab(name, number=1, state=STATE)


def test_a_backend_is_a_name_a_port_and_a_path() -> None:
    assert parse_backend("auth=8101/healthz") == AUTH
    assert parse_backend("queue=8102") == WORKERS


@pytest.mark.parametrize("text", ["auth", "auth=", "auth=x", "auth=99999", "auth=1\n", "a b=1"])
def test_what_is_no_backend_is_refused(text: str) -> None:
    with pytest.raises(Misused, match="is not a backend"):
        parse_backend(text)


def test_the_balancers_configuration(golden) -> None:
    golden("lab/haproxy.cfg", haproxy_config(planned(hosts=2, backends=(AUTH, WORKERS))))


def test_the_network(golden) -> None:
    plan = planned(hosts=1)
    [host] = plan.hosts
    steps = (*bridge_commands(plan), *outer_commands(plan, host), *inner_commands(plan, host))
    golden("lab/network", "".join(f"{step}\n" for step in steps))


def test_a_host_boots_in_its_own_network_and_needs_no_systemd_outside(golden) -> None:
    plan = planned(hosts=1)
    golden("lab/boot", "".join(f"{word}\n" for word in boot_command(plan, plan.hosts[0])))


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    plan = plan_lab("x", number=3, state=tmp_path, packages=("less",), backends=(AUTH, WORKERS))
    record = Record(plan).running("h1", Process(77, 123456))
    write_record(record)
    assert read_record(tmp_path) == record
    assert parse_record(json.loads(json.dumps(render_record(record)))) == record


def test_no_record_is_no_lab(tmp_path: Path) -> None:
    assert read_record(tmp_path) is None
