"""debship packages itself; what comes of it is a working debship on a host that never saw pip."""

import re
import tomllib
from pathlib import Path

import pytest
from house import House
from packaging.requirements import Requirement

from debship.config.app_file import read_app

TOP = Path(__file__).parents[2]

HELLO = {
    "pyproject.toml": """\
[build-system]
requires = ["uv_build>=0.9"]
build-backend = "uv_build"
[project]
name = "hello"
version = "1.0"
description = "Greets"
requires-python = ">=3.11"
scripts = { hello = "hello:main" }
""",
    "src/hello/__init__.py": """\
from http.server import BaseHTTPRequestHandler, HTTPServer


class Greeting(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello there")


def main():
    HTTPServer(("127.0.0.1", 8301), Greeting).serve_forever()
""",
    "requirements.txt": "",
    "debship.toml": """\
[app]
maintainer = "Platform Team <platform@example.com>"
[[service]]
exec = "hello"
port = 8301
""",
}


def test_its_description_is_read_from_pyproject() -> None:
    app = read_app(TOP)
    assert (app.name, app.services) == ("debship", ())
    assert app.run.commands == ("debship", "fab")


def test_its_lock_holds_what_it_needs() -> None:
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    lock = (TOP / ".ci" / "requirements.txt").read_text()
    for need in map(Requirement, project["dependencies"]):
        pinned = re.search(rf"(?m)^{re.escape(need.name)}==(\S+)", lock)
        assert pinned, f"make lock: {need.name} is missing"
        assert need.specifier.contains(pinned[1])


@pytest.mark.acceptance
def test_it_is_installed_and_builds_and_publishes_there(house: House) -> None:
    before = house.files()
    house.install(house.build(TOP))
    assert house.sh("debship --version").text.startswith("debship, version")
    assert "ok" in house.sh("debship doctor build publish repo").text
    house.put(b"from debship.fabfile import *\n", "/root/operations/fabfile.py")
    listed = house.sh("cd /root/operations && fab --list").text
    assert {"deploy", "rollback", "status"} <= set(listed.split())

    for name, text in HELLO.items():
        house.put(text.encode(), f"/root/hello/{name}")
    built = house.sh("cd /root && debship build hello").text
    assert built == "/root/hello/dist/hello_1.0-1_all.deb"
    store = "--store /srv/apt --suite production"
    key = re.search("[0-9A-F]{40}", house.sh(f"debship repo init --generate-key {store}").text)
    assert key
    house.sh(f"debship publish {store} --key {key[0]} {built}")
    house.sh(
        f"debship repo sources {store} --url file:///srv/apt > /etc/apt/sources.list.d/x.sources"
    )
    house.apt("update")
    house.apt("install", "hello")
    assert house.asked("http://127.0.0.1:8301/") == "hello there"

    house.apt("purge", "hello", "debship")
    house.sh("rm -rf /srv/apt /etc/apt/sources.list.d/x.sources")
    assert {path for path in house.files() - before if "/var/lib/hello" not in path} == set()
