"""The repository of a lab over HTTP: ``python -m debship.lab.serve FOLDER ADDRESS PORT``.

Static files, as any web server gives them: keep-alive, conditional requests, 404 for the rest.
"""

import email.utils
import io
import os
import stat
import sys
import time
import urllib.parse
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_FRESH = 2.0  # seconds


def last_modified(mtime: float, now: float) -> int:
    """The second that Last-Modified names.

    HTTP counts whole seconds, and a repository may be published twice in one. A file that young
    is dated a second back, so that who has it asks again and gets the later one (RFC 9110 8.8.2.2).
    """
    return int(mtime) - 1 if now - mtime < _FRESH else int(mtime)


def locate(folder: Path, target: str) -> Path | None:
    """Find the file that a request means; None where it names nothing below the folder."""
    path = urllib.parse.unquote(target.partition("?")[0])
    if "\0" in path or ".." in path.split("/"):
        return None
    found = (folder / path.lstrip("/")).resolve()
    return found if found.is_relative_to(folder) else None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "debship-lab"
    sys_version = ""
    timeout = 60
    folder: Path

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        path = locate(self.folder, self.path)
        try:
            file = path.open("rb") if path else None
        except OSError:
            file = None
        if file is None:
            return self._head(HTTPStatus.NOT_FOUND, 0)
        with file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return self._head(HTTPStatus.NOT_FOUND, 0)
            since = _seconds(self.headers.get("If-Modified-Since"))
            date = last_modified(status.st_mtime, time.time())
            if since is not None and since >= int(status.st_mtime):
                return self._head(HTTPStatus.NOT_MODIFIED, None, date)
            self._head(HTTPStatus.OK, status.st_size, date)
            if body:
                self._send(file, status.st_size)
        return None

    def _send(self, file: io.BufferedReader, size: int) -> None:
        self.wfile.flush()
        try:
            self.connection.sendfile(file, 0, size) if size else None
        except OSError:
            self.close_connection = True

    def _head(self, code: HTTPStatus, length: int | None, date: int | None = None) -> None:
        self.send_response(code)
        if length is not None:
            self.send_header("Content-Length", str(length))
        if date is not None:
            self.send_header("Last-Modified", email.utils.formatdate(date, usegmt=True))
        self.end_headers()


def _seconds(date: str | None) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


def server(folder: Path, address: str, port: int) -> ThreadingHTTPServer:
    """Make a server of a folder; ``serve_forever`` starts it."""
    handler = type("_Folder", (_Handler,), {"folder": folder.resolve()})
    return _Server((address, port), handler)


if __name__ == "__main__":
    server(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])).serve_forever()
