"""HAProxy on loopback: two real nodes before two small servers."""

import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from until import until


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


class HaproxyRig:
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
