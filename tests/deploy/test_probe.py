import json
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from debship.deploy import probe


@pytest.fixture
def service():
    """A service whose answers are a list; the last one is given for ever."""

    class Service:
        answers: list[tuple[int, bytes]] = [(200, b'{"version": "1.0"}')]  # noqa: RUF012

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answers = Service.answers
            status, body = answers.pop(0) if len(answers) > 1 else answers[0]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    Service.url = f"http://127.0.0.1:{server.server_address[1]}/healthz"
    yield Service
    server.shutdown()


def test_a_service_that_is_well_is_asked_as_often_as_stated(service) -> None:
    found = probe.probe(service.url, 5, 3, "version")
    assert (found["ok"], found["asked"], found["version"]) == (True, 3, "1.0")


def test_one_good_answer_between_bad_ones_is_not_well(service) -> None:
    service.answers = [(200, b""), (500, b"no"), (200, b""), (500, b"no")]
    found = probe.probe(service.url, 0.5, 2, "")
    assert not found["ok"]
    assert found["status"] == 500
    assert found["said"] == "no"


def test_a_slow_start_is_waited_for(service) -> None:
    service.answers = [(503, b"")] * 5 + [(200, b"")]
    assert probe.probe(service.url, 5, 2, "")["ok"]


def test_nothing_listening_ends_in_time() -> None:
    start = time.monotonic()
    found = probe.probe("http://127.0.0.1:1/", 0.4, 2, "")
    assert time.monotonic() - start < 2
    assert (found["ok"], found["status"]) == (False, 0)
    assert "refused" in found["said"]


@pytest.mark.parametrize("said", ["", "[]", "no json", '{"other": 1}', "null"])
def test_an_answer_without_the_version_has_none(said: str) -> None:
    assert probe.version(said, "version") is None


def test_it_runs_from_standard_input_as_on_a_host(service) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-", service.url, "5", "2", "version"],
        input=Path(probe.__file__).read_bytes(),
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout)["version"] == "1.0"


def test_a_service_that_crashed_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "crashed", lambda units: units == ("auth.service",))
    start = time.monotonic()
    found = probe.probe("http://127.0.0.1:1/", 30, 2, "", ("auth.service",))
    assert time.monotonic() - start < 5
    assert not found["ok"]
    assert found["said"].startswith("the service crashed")
