"""moto's threaded S3, which notes every request and can make each of them take longer.

`python -m tests.benchmarks.wire PORT`; `POST /_wire?delay=SECONDS` begins anew, `GET /_wire` gives
what came since. moto ignores `x-amz-copy-source-if-match`, on which deb-s3's lock rests: it is
honoured here, so that the comparison is fair.
"""

import json
import sys
import threading
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs

from tests.threaded_s3 import Environ, Start, application, serve
from werkzeug.test import Client


class Wire:
    """A WSGI application around moto's."""

    def __init__(self, inner: Any) -> None:
        self._inner, self._client = inner, Client(inner)
        self._delay = 0.0
        self._noted: list[tuple[str, float, float]] = []
        self._lock, self._copying = threading.Lock(), threading.Lock()

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Answer one request."""
        if environ["PATH_INFO"] == "/_wire":
            return self._own(environ, start)
        begun = time.monotonic()
        time.sleep(self._delay)
        if "HTTP_X_AMZ_COPY_SOURCE_IF_MATCH" in environ:
            with self._copying:
                answer = self._copy(environ, start)
        else:
            answer = list(self._inner(environ, start))
        with self._lock:
            self._noted.append((environ["REQUEST_METHOD"], begun, time.monotonic()))
        return answer

    def _copy(self, environ: Environ, start: Start) -> list[bytes]:
        source = "/" + environ["HTTP_X_AMZ_COPY_SOURCE"].lstrip("/")
        head = self._client.head(source, headers={"Authorization": environ["HTTP_AUTHORIZATION"]})
        wanted = environ["HTTP_X_AMZ_COPY_SOURCE_IF_MATCH"].strip('"')
        if head.headers.get("ETag", "").strip('"') == wanted:
            return list(self._inner(environ, start))
        start("412 Precondition Failed", [("Content-Type", "application/xml")])
        return [b"<Error><Code>PreconditionFailed</Code><Message>changed</Message></Error>"]

    def _own(self, environ: Environ, start: Start) -> list[bytes]:
        with self._lock:
            noted, self._noted = self._noted, []
        words = parse_qs(environ["QUERY_STRING"])
        if "delay" in words:
            self._delay = float(words["delay"][0])
        start("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(noted).encode()]


def sequence(noted: list[list[Any]]) -> int:
    """Say how many requests came one after another: the most that do not overlap in time."""
    count, free = 0, 0.0
    for _, begun, ended in sorted(noted, key=lambda it: it[2]):
        if begun >= free:
            count, free = count + 1, ended
    return count


if __name__ == "__main__":
    serve(Wire(application()), int(sys.argv[1]))
