"""The S3 that tests and benchmarks publish to, in the one thing where it is not moto's."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from tests.threaded_s3 import OneWriter


class Slow:
    """Answers in two steps, as moto does; notes how many of one path were between them."""

    def __init__(self) -> None:
        self.inside, self.most = [], {}

    def __call__(self, environ, start):
        path = environ["PATH_INFO"]
        self.inside.append(path)
        time.sleep(0.01)
        self.most[path] = max(self.most.get(path, 0), self.inside.count(path))
        self.most["all"] = max(self.most.get("all", 0), len(self.inside))
        self.inside.remove(path)
        return [path.encode()]


def ask(method: str, *paths: str) -> Slow:
    """Send a request for each path at once."""
    inner = Slow()
    app, barrier = OneWriter(inner), threading.Barrier(len(paths))

    def one(path: str) -> bytes:
        barrier.wait()
        return b"".join(app({"REQUEST_METHOD": method, "PATH_INFO": path}, lambda *_: None))

    with ThreadPoolExecutor(len(paths)) as pool:
        assert list(pool.map(one, paths)) == [path.encode() for path in paths]
    return inner


def test_a_key_has_one_writer_at_a_time() -> None:
    for method in ("PUT", "POST", "DELETE"):
        assert ask(method, "/b/k", "/b/k", "/b/k", "/b/k").most["/b/k"] == 1


def test_other_keys_and_readers_do_not_wait() -> None:
    assert ask("PUT", "/b/1", "/b/2", "/b/3", "/b/4").most["all"] > 1
    assert ask("GET", "/b/k", "/b/k", "/b/k", "/b/k").most["/b/k"] > 1
