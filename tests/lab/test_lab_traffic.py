import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from debship.errors import Failed, Misused
from debship.lab.observer import Sample, Timeline, parse_stat
from debship.lab.recorder import Recorder
from debship.lab.traffic import Answer, Traffic, TrafficReport, check_target


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    status = 200

    def do_GET(self) -> None:
        body = json.dumps({"host": "h1", "version": "1.0"}).encode()
        self.send_response(type(self).status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def url():
    class Mine(Service):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Mine)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def refused_url() -> str:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}/"


def test_steady_load_is_counted_by_host_and_version(url: str, tmp_path: Path) -> None:
    traffic = Traffic(url, log=tmp_path / "log", rate=100, workers=4, keep_alive=True)
    traffic.start()
    time.sleep(0.6)
    report = traffic.stop()
    assert report.failed == 0
    assert 10 <= report.total <= 80
    assert report.served == {("h1", "1.0"): report.total}
    assert 0 < report.slowest < 1


def test_a_refused_connection_is_a_failure(tmp_path: Path) -> None:
    with Traffic(refused_url(), log=tmp_path / "log", rate=50, workers=2) as traffic:
        while not traffic.so_far().total:
            time.sleep(0.02)
    report = traffic.so_far()
    assert report.failed == report.total > 0
    assert {answer.error for answer in report.failures} == {"refused"}


def test_a_service_that_hangs_is_a_timeout(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        traffic = Traffic(url, log=tmp_path / "log", rate=10, workers=1, timeout=0.2)
        traffic.start()
        time.sleep(0.1)
        report = traffic.stop()
    assert [answer.error for answer in report.answers] == ["timeout"]


def test_it_ends_by_itself(url: str, tmp_path: Path) -> None:
    traffic = Traffic(url, log=tmp_path / "log", rate=20, workers=1, limit=0.2)
    traffic.start()
    deadline = time.monotonic() + 5
    while traffic._recorder._spawned.process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert traffic.stop().total == 5


@pytest.mark.parametrize(
    "url",
    ["http://example.com/", "http://10.78.0.1/", "http://8.8.8.8/", "https://127.0.0.1/", "x", ""],
)
def test_nobody_else_gets_load(url: str) -> None:
    with pytest.raises(Misused, match="load may go to this machine and its labs alone"):
        check_target(url)


@pytest.mark.parametrize("url", ["http://localhost:1/", "http://127.77.3.1/", "http://10.77.9.11/"])
def test_this_machine_and_its_labs_do(url: str) -> None:
    check_target(url)


def test_anything_but_a_2xx_is_a_failure() -> None:
    def answer(status: int | None, error: str | None = None) -> Answer:
        return Answer(0.0, 0.1, status, error, "h1", "1")

    report = TrafficReport((answer(200), answer(204), answer(302), answer(503), answer(None, "x")))
    assert [a.status for a in report.failures] == [302, 503, None]
    assert report.served == {("h1", "1"): 2}


def test_a_recorder_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="No module named"):
        Recorder("debship.lab.nowhere", (), tmp_path / "log").start()


STAT = """\
# pxname,svname,qcur,scur,status,
auth,FRONTEND,,3,OPEN,
auth,h1,0,2,UP,
auth,h2,0,,DRAIN,
auth,BACKEND,0,2,UP,

"""


def test_servers_are_read_from_show_stat() -> None:
    assert parse_stat(STAT, 1.5) == (
        Sample(1.5, "auth", "h1", "UP", 2),
        Sample(1.5, "auth", "h2", "DRAIN", 0),
    )


def timeline(**servers: list[str]) -> Timeline:
    return Timeline(
        tuple(
            Sample(float(at), "auth", server, statuses[at], 0)
            for at in range(len(next(iter(servers.values()))))
            for server, statuses in servers.items()
        )
    )


def test_the_time_out_of_the_balancer() -> None:
    seen = timeline(
        h1=["UP", "DRAIN", "DRAIN", "DOWN", "UP 1/3", "UP"],
        h2=["UP", "UP", "no check", "UP", "MAINT", "MAINT"],
    )
    assert seen.seconds_out() == {("auth", "h1"): 3.0, ("auth", "h2"): 1.0}
    assert seen.fewest("auth") == 1
    assert seen.statuses("auth", "h1") == ("UP", "DRAIN", "DOWN", "UP 1/3", "UP")
