"""A package with a real service in it, made by the real dpkg-deb, for images."""

import subprocess
from pathlib import Path

CONTROL = """Package: hello
Version: 1.0-1
Architecture: all
Maintainer: Platform Team <platform@example.com>
Depends: python3.11, systemd | systemd-standalone-sysusers | systemd-sysusers
Description: a service for tests
 It says who it is.
"""
PROGRAM = """#!/usr/bin/python3.11
import getpass, http.server, json, os, pathlib, sys

class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({
            "user": getpass.getuser(),
            "uid": os.getuid(),
            "greeting": os.environ["GREETING"],
            "secret": os.environ.get("HELLO_SECRET"),
            "config": pathlib.Path("/etc/hello/hello.conf").read_text().strip(),
            "writes": os.access("/var/lib/hello", os.W_OK),
            "writes_code": os.access(__file__, os.W_OK),
        }).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Hello).serve_forever()
"""
UNIT = """[Unit]
Description=Hello
[Service]
Type=exec
User=_hello
ExecStart=/usr/lib/hello/bin/hello ${HELLO_PORT}
Environment=HELLO_PORT=8101 "GREETING=100%% \\"well\\" for 1$"
EnvironmentFile=-/etc/hello/secrets.env
StateDirectory=hello
[Install]
WantedBy=multi-user.target
"""
POSTINST = """#!/bin/sh
set -e
if [ "$1" = configure ]; then
    systemd-sysusers ${DPKG_ROOT:+--root="$DPKG_ROOT"} hello.conf
fi
"""


def make_service_deb(
    folder: Path, *, unit: str = UNIT, depends: str | None = None, socket: str | None = None
) -> Path:
    tree = folder / "tree"
    control = CONTROL if depends is None else CONTROL.replace("python3.11, ", depends)
    files = {
        "DEBIAN/control": (control, 0o644),
        "DEBIAN/conffiles": ("/etc/hello/hello.conf\n", 0o644),
        "DEBIAN/postinst": (POSTINST, 0o755),
        "etc/hello/hello.conf": ("as shipped\n", 0o644),
        "usr/lib/hello/bin/hello": (PROGRAM, 0o755),
        "usr/lib/sysusers.d/hello.conf": ("u _hello - Hello /nonexistent\n", 0o644),
        "usr/lib/systemd/system/hello.service": (unit, 0o644),
    }
    if socket is not None:
        files["usr/lib/systemd/system/hello.socket"] = (socket, 0o644)
    for name, (text, mode) in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
    path = folder / "hello_1.0-1_all.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zzstd", "-b", tree, path],
        check=True,
        capture_output=True,
        env={"SOURCE_DATE_EPOCH": "1700000000", "PATH": "/usr/bin:/bin"},
    )
    return path
