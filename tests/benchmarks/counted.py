"""A folder over HTTP that counts what each client fetched, file by file."""

import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Counts:
    """Bytes by client and path."""

    def __init__(self) -> None:
        self.bytes: Counter[tuple[str, str]] = Counter()

    def take(self) -> dict[str, tuple[int, int]]:
        """What came since: for each client, the bytes of files and those of the index."""
        counted, self.bytes = self.bytes, Counter()
        found: dict[str, tuple[int, int]] = {}
        for (client, path), size in counted.items():
            files, index = found.get(client, (0, 0))
            is_index = "/dists/" in path
            found[client] = (files + size * (not is_index), index + size * is_index)
        return found


@contextmanager
def counted(folder: Path, address: str, port: int) -> Iterator[Counts]:
    """Serve a folder while the block runs."""
    counts = Counts()

    class Handler(SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(folder))

        def copyfile(self, source: Any, outputfile: Any) -> None:
            size = os.fstat(source.fileno()).st_size
            counts.bytes[self.client_address[0], self.path] += size
            super().copyfile(source, outputfile)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer((address, port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield counts
        finally:
            server.shutdown()
