"""A package index of one's own behind a password, on this machine, for as long as a test lasts."""

import base64
import hashlib
import html
import threading
import zipfile
from email.parser import Parser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from packaging.utils import canonicalize_name

USER, PASSWORD = "reader", "s3cret-Passw0rd"


class PrivateIndex:
    """Serves the files of a folder as an index does (PEP 503), to those who know the password.

    Attributes:
        seen: command lines of this machine that held the password while a request was answered.
        refused: how many requests came without it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen: set[str] = set()
        self.answered: list[str] = []
        self.refused = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}/simple"

    @property
    def url_with_password(self) -> str:
        return f"http://{USER}:{PASSWORD}@{self.address}/simple"

    def __enter__(self) -> "PrivateIndex":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def page(self, path: str) -> bytes | None:
        kind, _, name = path.strip("/").partition("/")
        if kind == "files":
            file = self.folder / name
            return file.read_bytes() if file.is_file() else None
        links = [
            f'<a href="/files/{html.escape(file.name)}#sha256={_digest(file)}" '
            f'data-requires-python="{html.escape(_python(file))}">{file.name}</a><br>'
            for file in sorted(self.folder.iterdir())
            if canonicalize_name(file.name.rpartition("-")[0].partition("-")[0]) == name
        ]
        return "\n".join(["<!DOCTYPE html>", *links]).encode() if links else None

    def _look_at_command_lines(self) -> None:
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = file.read_bytes()
            except OSError:
                continue
            if PASSWORD.encode() in line:
                self.seen.add(line.replace(b"\0", b" ").decode(errors="replace"))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        index = self
        wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index._look_at_command_lines()
                if self.headers.get("Authorization") != wanted:
                    index.refused += 1
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="index"')
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                content = index.page(self.path)
                index.answered.append(self.path)
                kind = "text/html" if self.path.startswith("/simple") else "binary/octet-stream"
                self.send_response(404 if content is None else 200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write(content or b"")

            do_HEAD = do_GET  # noqa: N815 - http.server's name

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def _python(file: Path) -> str:
    """Which Pythons a wheel is for (PEP 503, data-requires-python)."""
    with zipfile.ZipFile(file) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        return str(Parser().parsestr(wheel.read(name).decode())["Requires-Python"])


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
