"""The door to HAProxy: two real nodes on loopback."""

import threading

import pytest

from debship.config.fleet import HaproxySettings
from debship.deploy.balancer.door import Balancer, Member, Standing
from debship.deploy.balancer.haproxy import Haproxy, parse_servers
from debship.errors import Failed
from haproxy_rig import HaproxyRig
from until import until


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory):
    rig = HaproxyRig(tmp_path_factory.mktemp("haproxy"))
    yield rig
    rig.stop()


def named(balancer: Balancer, name: str) -> Member:
    return next(member for member in balancer.members() if member.id == name)


@pytest.fixture
def haproxy(rig: HaproxyRig):
    real = Haproxy(HaproxySettings(tuple(rig.sockets), "auth"))
    until(lambda: all(m.standing is Standing.IN for m in real.members()))
    yield real
    for member in real.members():
        real.put_back(member)


def test_a_member_that_is_sick_is_down(rig: HaproxyRig, haproxy: Haproxy) -> None:
    rig.backends["one"].well = False
    until(lambda: named(haproxy, "one").standing is Standing.DOWN)
    rig.backends["one"].well = True
    until(lambda: named(haproxy, "one").standing is Standing.IN)


def test_one_that_is_out_and_sick_is_out_and_not_merely_down(
    rig: HaproxyRig, haproxy: Haproxy
) -> None:
    one = named(haproxy, "one")
    haproxy.take_out(one)
    rig.backends["one"].well = False
    until(lambda: "L7OK" not in named(haproxy, "one").note)
    assert haproxy.health(one).standing is Standing.OUT
    haproxy.put_back(one)
    assert haproxy.health(one).standing in {Standing.DOWN, Standing.WAVERING}
    rig.backends["one"].well = True


def test_requests_in_flight_keep_it_draining(rig: HaproxyRig, haproxy: Haproxy) -> None:
    import http.client
    import socket

    class Unix(http.client.HTTPConnection):
        def connect(self) -> None:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.connect(str(rig.folder / "n1.http"))

    answers = []

    def ask() -> None:
        connection = Unix("auth")
        connection.request("GET", "/slow")
        answers.append(connection.getresponse().status)

    for backend in rig.backends.values():
        backend.slow.clear()
    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    until(lambda: sum(m.connections for m in haproxy.members()) == 2)
    one = named(haproxy, "one")
    haproxy.take_out(one)
    assert haproxy.health(one).standing is Standing.DRAINING
    for backend in rig.backends.values():
        backend.slow.set()
    for thread in threads:
        thread.join()
    until(lambda: haproxy.health(one).standing is Standing.OUT)
    assert answers == [200, 200]


def test_out_of_one_node_and_in_at_another_is_not_out(rig: HaproxyRig, haproxy: Haproxy) -> None:
    single = Haproxy(HaproxySettings((rig.sockets[0],), "auth"))
    single.take_out(named(single, "one"))
    assert named(haproxy, "one").standing is Standing.WAVERING


def test_a_node_that_does_not_answer_is_an_error_with_its_name(rig: HaproxyRig) -> None:
    sockets = (rig.sockets[0], str(rig.folder / "nobody.sock"))
    with pytest.raises(Failed, match=r"nobody\.sock"):
        Haproxy(HaproxySettings(sockets, "auth")).members()


def test_a_node_that_does_not_answer_keeps_no_other_from_hearing(rig: HaproxyRig) -> None:
    alive = Haproxy(HaproxySettings((rig.sockets[0],), "auth"))
    one = named(alive, "one")
    both = Haproxy(HaproxySettings((str(rig.folder / "nobody.sock"), rig.sockets[0]), "auth"))
    for move, wanted in ((both.take_out, Standing.OUT), (both.put_back, Standing.IN)):
        with pytest.raises(Failed, match=r"nobody\.sock"):
            move(one)
        until(lambda wanted=wanted: alive.health(one).standing is wanted)


def test_a_backend_that_is_not_there_is_an_error(rig: HaproxyRig) -> None:
    with pytest.raises(Failed, match='no backend "nope"'):
        Haproxy(HaproxySettings((rig.sockets[0],), "nope")).members()


def test_what_haproxy_says_is_shown(rig: HaproxyRig, haproxy: Haproxy) -> None:
    from dataclasses import replace

    stranger = replace(named(haproxy, "one"), id="stranger")
    with pytest.raises(Failed, match="No such server"):
        haproxy.take_out(stranger)


def test_a_name_with_a_command_in_it_is_not_sent(haproxy: Haproxy) -> None:
    from dataclasses import replace

    evil = replace(named(haproxy, "one"), id="one state maint; disable frontend web")
    with pytest.raises(Failed, match="is not a server's name"):
        haproxy.take_out(evil)


@pytest.mark.parametrize("text", ["", "1\n", "# pxname,svname\n", "garbage"])
def test_a_truncated_answer_has_no_members(text: str) -> None:
    assert parse_servers(text, "auth", "x") == {}
