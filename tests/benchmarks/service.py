"""The service that everybody deploys in `make bench-deploy`, in versions: only its code differs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

PYTHON = "/usr/bin/python3"
NEEDS = ("flask", "gunicorn", "boto3", "sqlalchemy", "cryptography", "numpy")
COMMAND = "gunicorn --bind 0.0.0.0:8101 --workers 2 --graceful-timeout 30 --no-control-socket"

CODE = """\
import socket

import boto3, cryptography, numpy, sqlalchemy  # what a service has, it imports
from flask import Flask, jsonify

app = Flask(__name__)


@app.get("/healthz")
def healthz():
    return jsonify(version="{version}", host=socket.gethostname())
"""
BROKEN = 'raise RuntimeError("broken on purpose")\n'
PYPROJECT = """\
[build-system]
requires = ["setuptools>=61"]
build-backend = "setuptools.build_meta"
[project]
name = "auth"
version = "{version}"
dependencies = {needs}
[tool.setuptools]
package-dir = {{ "" = "src" }}
"""
DEBSHIP = """\
[app]
name = "auth"
summary = "Authentication service"
maintainer = "Platform Team <platform@example.com>"
layout = "{layout}"
[build]
wheel = "dist/*.whl"
[[service]]
exec = "{command} auth:app"
port = 8101
health = "/healthz"
"""
FLEET = """\
[repository]
store = "/srv/apt"
url = "http://apt.example.com"
suite = "production"
[apps.auth]
hosts = ["h"]
batch = 1
[[apps.auth.balancers]]
kind = "haproxy"
socket = "/run/haproxy.sock"
backend = "auth"
[apps.auth.health]
path = "/healthz"
port = 8101
version = "version"
"""


class Service:
    """Its sources, its lock, and what is made of them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bin = folder, Path(sys.executable).parent
        folder.mkdir(parents=True, exist_ok=True)
        self.lock, self.wheels = folder / "requirements.txt", folder / "wheels"
        self.fleet = folder / "fleet.toml"
        self.fleet.write_text(FLEET)
        if not self.lock.exists():
            (folder / "in.txt").write_text("\n".join(NEEDS))
            words = ("pip", "compile", "--quiet", "--generate-hashes", "--python", PYTHON)
            run(self.bin / "uv", *words, folder / "in.txt", "-o", self.lock)

    def source(self, version: str, *, layout: str = "whole", broken: bool = False) -> Path:
        """Its folder in one version, with its wheel made."""
        app = self.folder / f"auth-{version}-{layout}"
        shutil.rmtree(app, ignore_errors=True)
        (app / "src/auth").mkdir(parents=True)
        code = CODE.format(version=version) + BROKEN * broken
        (app / "src/auth/__init__.py").write_text(code)
        project = PYPROJECT.format(version=version, needs=json.dumps(NEEDS))
        (app / "pyproject.toml").write_text(project)
        (app / "debship.toml").write_text(DEBSHIP.format(layout=layout, command=COMMAND))
        shutil.copy(self.lock, app)
        run(self.bin / "uv", "build", "--quiet", "--wheel", "--python", PYTHON, app)
        return app

    def wheelhouse(self) -> Path:
        """The wheels that the lock names, for who installs by pip."""
        if not self.wheels.exists():
            words = ("-m", "pip", "download", "--quiet", "--only-binary", ":all:")
            making = self.folder / "wheels.making"
            shutil.rmtree(making, ignore_errors=True)
            run("/usr/bin/python3", *words, "-r", self.lock, "-d", making)
            making.rename(self.wheels)
        return self.wheels

    def archive(self, version: str, *, broken: bool = False) -> Path:
        """A build's output as one zip: the code and the lock."""
        app = self.source(version, layout="zip", broken=broken)
        shutil.rmtree(app / "dist")
        return Path(shutil.make_archive(str(self.folder / f"auth-{version}"), "zip", app))


def run(*argv: object, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run a program of this machine; what it printed."""
    words = [str(word) for word in argv]
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout
