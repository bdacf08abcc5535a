"""moto's threaded S3, with one winner of a conditional write, as S3 has it.

`python -m tests.threaded_s3 PORT`. moto compares the ETag first and writes afterwards: where its
thread is interrupted between the two, another write comes in, and both are told that they won. S3
evaluates a condition and writes in one step (AWS, "How to prevent object overwrites with
conditional writes"), so what writes to a key here waits for the write before it.
"""

import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

Environ = dict[str, Any]
Start = Callable[..., Any]
App = Callable[[Environ, Start], Iterable[bytes]]


class OneWriter:
    """A WSGI application in which each path is written to by one request at a time."""

    def __init__(self, inner: App) -> None:
        self._inner = inner
        self._locks: dict[str, threading.Lock] = {}

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Answer one request."""
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return self._inner(environ, start)
        with self._locks.setdefault(environ["PATH_INFO"], threading.Lock()):
            return list(self._inner(environ, start))


def application() -> OneWriter:
    """Make an S3 with nothing in it."""
    return OneWriter(DomainDispatcherApplication(create_backend_app))


def serve(app: App, port: int) -> None:
    """Answer on loopback, each connection in a thread of its own, for ever."""
    run_simple("127.0.0.1", port, app, threaded=True)


if __name__ == "__main__":
    serve(application(), int(sys.argv[1]))
