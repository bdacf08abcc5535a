"""A service so small that a version of it is made in no time, well or wrong in any way.

It is a package as a roll needs one: a unit that names its version, an interpreter of its own,
maintainer scripts that leave the service alone in a roll. It runs on every release.
"""

import os
import subprocess
from pathlib import Path

SERVICE = """\
import json, os, signal, socket, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

time.sleep({start})
if {crash}:
    threading.Timer({crash}, lambda: os._exit(3)).start()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/wait"):
            time.sleep(float(self.path.rpartition("=")[2]))
        body = json.dumps(dict(version="{version}", host=socket.gethostname())).encode()
        self.send_response({status} if self.path == "/healthz" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer.daemon_threads = False
ThreadingHTTPServer.request_queue_size = 128
server = ThreadingHTTPServer(("", {port}), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
server.server_close()
"""
UNIT = """\
[Service]
ExecStart=/usr/lib/tiny/bin/python /usr/lib/tiny/service.py
Environment=DEBSHIP_VERSION={version}-1
Restart=on-failure
RestartSec=1
[Install]
WantedBy=multi-user.target
"""
POSTINST = """\
#!/bin/sh
set -e
{extra}
systemctl daemon-reload
systemctl enable -q tiny
if [ -z "$DEBSHIP_ROLL" ]; then systemctl restart tiny; fi
"""
CONTROL = """\
Package: tiny
Version: {version}-1
Architecture: all
Maintainer: Tests <tests@example.com>
Depends: python3{depends}
Description: a service for tests
"""


def make_tiny(
    folder: Path,
    version: str,
    *,
    postinst: str = "",
    depends: str = "",
    conffile: str = "",
    start: float = 0.0,
    crash: float = 0.0,
    status: int = 200,
    port: int = 8101,
    size: int = 0,
) -> Path:
    """Make a version.

    Args:
        postinst: lines that its postinst begins with.
        start: seconds until it listens.
        crash: seconds after which it ends by itself.
        status: what /healthz answers.
        port: where it listens.
        size: bytes of a file that takes dpkg its time.
    """
    root = folder / f"tiny-{version}"
    files = {
        "DEBIAN/control": CONTROL.format(version=version, depends=depends),
        "DEBIAN/postinst": POSTINST.format(extra=postinst),
        "usr/lib/tiny/service.py": SERVICE.format(
            version=version, start=start, crash=crash, status=status, port=port
        ),
        "usr/lib/systemd/system/tiny.service": UNIT.format(version=version),
    }
    if conffile:
        files |= {"DEBIAN/conffiles": "/etc/tiny.conf\n", "etc/tiny.conf": f"{conffile}\n"}
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "DEBIAN/postinst").chmod(0o755)
    (root / "usr/lib/tiny/bin").mkdir()
    (root / "usr/lib/tiny/bin/python").symlink_to("/usr/bin/python3")
    if size:
        (root / "usr/lib/tiny/large").write_bytes(os.urandom(size))
    deb = folder / f"tiny_{version}-1_all.deb"
    words = ["dpkg-deb", "--root-owner-group", "-Znone", "-b", str(root), str(deb)]
    subprocess.run(words, check=True, capture_output=True)
    return deb
