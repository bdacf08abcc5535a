"""The door to a balancer: real HAProxy on loopback, and the fake, held to one contract."""

import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from debship.config.fleet import HaproxySettings
from debship.deploy.balancer.door import Balancer, Member, Standing
from debship.deploy.balancer.haproxy import Haproxy, parse_servers
from debship.errors import Failed

from fakes_fleet import FakeBalancer, FakeClock, FakeHost


class Backend:
    """A small HTTP server whose health can be changed."""

    def __init__(self) -> None:
        outer = self
        self.well = True
        self.slow = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/slow":
                    outer.slow.wait(10)
                self.send_response(200 if outer.well else 500)
                self.end_headers()

            def log_message(self, *args) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Rig:
    """HAProxy with two nodes' worth of sockets before two backends."""

    def __init__(self, folder: Path) -> None:
        self.backends = {"one": Backend(), "two": Backend()}
        servers = "\n".join(
            f"  server {name} 127.0.0.1:{backend.port} check inter 100ms fall 2 rise 2"
            for name, backend in self.backends.items()
        )
        self.processes = []
        self.sockets = []
        for node in ("n1", "n2"):
            socket = folder / f"{node}.sock"
            config = folder / f"{node}.cfg"
            config.write_text(
                f"global\n  stats socket {socket} level admin\n"
                "defaults\n  mode http\n  timeout connect 1s\n  timeout client 15s\n"
                "  timeout server 15s\n"
                f"frontend web\n  bind {folder}/{node}.http\n  default_backend auth\n"
                f"backend auth\n  option httpchk GET /healthz\n{servers}\n"
            )
            self.sockets.append(str(socket))
            self.processes.append(subprocess.Popen(["/usr/sbin/haproxy", "-db", "-f", config]))
        for socket in self.sockets:
            until(lambda socket=socket: Path(socket).exists())
        self.folder = folder

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


def until(condition, seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory):
    rig = Rig(tmp_path_factory.mktemp("haproxy"))
    yield rig
    rig.stop()


@pytest.fixture(params=["haproxy", "fake"])
def balancer(request: pytest.FixtureRequest):
    if request.param == "fake":
        clock = FakeClock()
        yield FakeBalancer((FakeHost("one", clock), FakeHost("two", clock)), clock)
        return
    rig = request.getfixturevalue("rig")
    real = Haproxy(HaproxySettings(tuple(rig.sockets), "auth"))
    until(lambda: all(m.standing is Standing.IN for m in real.members()))
    yield real
    for member in real.members():
        real.put_back(member)


def named(balancer: Balancer, name: str) -> Member:
    return next(member for member in balancer.members() if member.id == name)


class TestContract:
    def test_members_that_are_well_are_in(self, balancer: Balancer) -> None:
        assert {(m.id, m.standing) for m in balancer.members()} == {
            ("one", Standing.IN),
            ("two", Standing.IN),
        }

    def test_one_that_was_taken_out_is_out_and_the_other_is_not(self, balancer: Balancer) -> None:
        one = named(balancer, "one")
        balancer.take_out(one)
        assert balancer.health(one).standing is Standing.OUT
        assert named(balancer, "two").standing is Standing.IN

    def test_taking_out_twice_is_no_error(self, balancer: Balancer) -> None:
        one = named(balancer, "one")
        balancer.take_out(one)
        balancer.take_out(one)
        assert balancer.health(one).standing is Standing.OUT

    def test_one_that_was_put_back_is_in_again(self, balancer: Balancer) -> None:
        one = named(balancer, "one")
        balancer.take_out(one)
        balancer.put_back(one)
        until(lambda: balancer.health(one).standing is Standing.IN)


@pytest.fixture
def haproxy(rig: Rig):
    real = Haproxy(HaproxySettings(tuple(rig.sockets), "auth"))
    until(lambda: all(m.standing is Standing.IN for m in real.members()))
    yield real
    for member in real.members():
        real.put_back(member)


def test_a_member_that_is_sick_is_down(rig: Rig, haproxy: Haproxy) -> None:
    rig.backends["one"].well = False
    until(lambda: named(haproxy, "one").standing is Standing.DOWN)
    rig.backends["one"].well = True
    until(lambda: named(haproxy, "one").standing is Standing.IN)


def test_one_that_is_out_and_sick_is_out_and_not_merely_down(rig: Rig, haproxy: Haproxy) -> None:
    one = named(haproxy, "one")
    haproxy.take_out(one)
    rig.backends["one"].well = False
    time.sleep(0.5)
    assert haproxy.health(one).standing is Standing.OUT
    haproxy.put_back(one)
    assert haproxy.health(one).standing in {Standing.DOWN, Standing.WAVERING}
    rig.backends["one"].well = True


def test_requests_in_flight_keep_it_draining(rig: Rig, haproxy: Haproxy) -> None:
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


def test_out_of_one_node_and_in_at_another_is_not_out(rig: Rig, haproxy: Haproxy) -> None:
    single = Haproxy(HaproxySettings((rig.sockets[0],), "auth"))
    single.take_out(named(single, "one"))
    assert named(haproxy, "one").standing is Standing.WAVERING


def test_a_node_that_does_not_answer_is_an_error_with_its_name(rig: Rig) -> None:
    sockets = (rig.sockets[0], str(rig.folder / "nobody.sock"))
    with pytest.raises(Failed, match=r"nobody\.sock"):
        Haproxy(HaproxySettings(sockets, "auth")).members()


def test_a_backend_that_is_not_there_is_an_error(rig: Rig) -> None:
    with pytest.raises(Failed, match='no backend "nope"'):
        Haproxy(HaproxySettings((rig.sockets[0],), "nope")).members()


def test_what_haproxy_says_is_shown(rig: Rig, haproxy: Haproxy) -> None:
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
