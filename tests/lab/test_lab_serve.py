import http.client
import os
import threading
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from debship.lab.serve import last_modified, server

OLD = 1_700_000_000


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    (folder / "dists").mkdir(parents=True)
    (folder / "dists/InRelease").write_text("signed")
    (folder / "empty").touch()
    (tmp_path / "secret").write_text("x")
    (folder / "link").symlink_to(tmp_path / "secret")
    os.utime(folder / "dists/InRelease", (OLD, OLD))
    return folder


@pytest.fixture
def connection(repository: Path):
    serving = server(repository, "127.0.0.1", 0)
    thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    connection = http.client.HTTPConnection("127.0.0.1", serving.server_port, timeout=5)
    yield connection
    connection.close()
    serving.shutdown()
    thread.join()
    serving.server_close()


def get(connection, path: str, method: str = "GET", **headers: str):
    connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    response = connection.getresponse()
    return response.status, response.read(), response


def test_a_connection_serves_many_requests(connection) -> None:
    assert get(connection, "/dists/InRelease")[:2] == (200, b"signed")
    kept = connection.sock
    assert get(connection, "/empty")[:2] == (200, b"")
    assert get(connection, "/none")[:2] == (404, b"")
    assert get(connection, "/dists/InRelease", "HEAD")[:2] == (200, b"")
    assert get(connection, "/dists/%49nRelease?x=1")[:2] == (200, b"signed")
    assert kept is not None
    assert connection.sock is kept


@pytest.mark.parametrize(
    "path", ["/", "/dists", "/dists/", "/../secret", "/%2e%2e/secret", "/link", "/dists/%00"]
)
def test_nothing_but_files_below_the_folder(connection, path: str) -> None:
    assert get(connection, path)[:2] == (404, b"")


def test_what_has_not_changed_is_not_sent(connection) -> None:
    date = get(connection, "/dists/InRelease")[2].headers["Last-Modified"]
    assert date == formatdate(OLD, usegmt=True)
    assert get(connection, "/dists/InRelease", If_Modified_Since=date)[:2] == (304, b"")
    earlier = formatdate(OLD - 1, usegmt=True)
    assert get(connection, "/dists/InRelease", If_Modified_Since=earlier)[0] == 200
    assert get(connection, "/dists/InRelease", If_Modified_Since="nonsense")[0] == 200


def test_two_publications_in_one_second_are_two(connection, repository: Path) -> None:
    file = repository / "dists/InRelease"
    now = time.time()
    os.utime(file, (now, now))
    date = get(connection, "/dists/InRelease")[2].headers["Last-Modified"]
    file.write_text("later")
    os.utime(file, (now, now))
    assert get(connection, "/dists/InRelease", If_Modified_Since=date)[:2] == (200, b"later")


def test_an_old_file_bears_its_own_date() -> None:
    assert last_modified(100.9, 103.0) == 100
    assert last_modified(100.9, 101.0) == 99
