"""The other tools of `make bench-build`, each as its own documentation has it used."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.benchmarks.application import Application
from tests.benchmarks.measuring import Row, measured
from tests.docker_engine import engine

DH_VIRTUALENV = "dh-virtualenv, its defaults"
DOCKER = "docker build, requirements cached"
DOCKERFILE = """\
FROM bench-build-base
COPY requirements.txt .
RUN python3 -m venv /venv && /venv/bin/pip install --quiet -r requirements.txt
COPY src /app
ENV PYTHONPATH=/app
CMD ["/venv/bin/gunicorn", "--bind", "0.0.0.0:8101", "auth:app"]
"""
CONTROL = """\
Source: auth
Maintainer: Platform Team <platform@example.com>
Section: net
Priority: optional
Build-Depends: debhelper-compat (= 13)
Standards-Version: 4.6.2

Package: auth
Architecture: any
Depends: ${misc:Depends}, python3
Description: Authentication service
 A service.
"""
CHANGELOG = """\
auth (1.0) bookworm; urgency=medium

  * Built.

 -- Platform Team <platform@example.com>  Tue, 14 Nov 2023 22:13:20 +0000
"""
# The whole debian/rules of its tutorial, and what its defaults are. Nothing need be overridden for
# this lock to build: what its how-to says of dh_strip and dh_shlibdeps is for wheels that fail there,
# and with those two and dh_dwz left out it takes as long. Half of its time is xz, on all processors;
# a quarter dh_strip_nondeterminism, on one; a sixth pip.
RULES = """\
#!/usr/bin/make -f

%:
\tdh $@ --with python-virtualenv
"""


def dpkg_deb(app: Application, runs: int) -> list[Row]:
    """The same tree, packed by dpkg-deb alone: nothing is installed or compiled."""
    tree, out = app.folder / "tree", app.folder / "tree.deb"
    app.run("dpkg-deb", "-R", app.deb(), tree)
    return [
        measured(
            dpkg_deb_row(level),
            ["dpkg-deb", "--root-owner-group", "-Zzstd", f"-z{level}", "-b", str(tree), str(out)],
            runs=runs if level == 3 else 3,
            result=lambda: out,
        )
        for level in (3, 9)
    ]


def dpkg_deb_row(level: int) -> str:
    """Name its row."""
    return f"dpkg-deb -Zzstd -z{level}, over a ready tree"


def dh_virtualenv(app: Application) -> list[Row]:
    """What turned the same sources and lock into a package before."""
    if not (shutil.which("dh_virtualenv") and shutil.which("virtualenv")):
        print(
            "dh-virtualenv is not installed: left out (apt-get install dh-virtualenv debhelper virtualenv)"
        )
        return []
    source = app.folder / "dh/auth-1.0"
    shutil.copytree(app.sources, source, ignore=shutil.ignore_patterns("dist", "build"))
    hashed = (source / "requirements.txt").read_text()
    # Its pip is given "." beside the lock, which has no hash.
    pinned = [line.split()[0] for line in hashed.splitlines() if "==" in line.split("#")[0]]
    (source / "requirements.txt").write_text("\n".join(pinned) + "\n")
    debian = source / "debian"
    (debian / "source").mkdir(parents=True)
    (debian / "source/format").write_text("3.0 (native)\n")
    (debian / "control").write_text(CONTROL)
    (debian / "changelog").write_text(CHANGELOG)
    (debian / "rules").write_text(RULES)
    (debian / "rules").chmod(0o755)
    # What make sets for itself would keep the bytecode that pip compiles out of the package.
    ours = ("UV_", "PYTHON")
    return [
        measured(
            DH_VIRTUALENV,
            ["dpkg-buildpackage", "-b", "-d", "-us", "-uc"],
            runs=1,
            result=lambda: next((app.folder / "dh").glob("auth_*.deb")),
            cwd=source,
            env={name: v for name, v in app.environment.items() if not name.startswith(ours)},
        )
    ]


def docker(app: Application, runs: int, base: Path) -> list[Row]:
    """A warm `docker build` of the usual Dockerfile, its layer of requirements there."""
    if not shutil.which("dockerd") or not base.is_dir():
        print("docker build: there is no dockerd, or no base (--docker-base ROOT): left out")
        return []
    folder, context = app.folder / "docker", app.folder / "context"
    folder.mkdir()
    context.mkdir()
    shutil.copytree(app.sources / "src", context / "src")
    shutil.copy(app.sources / "requirements.txt", context)
    (context / "Dockerfile").write_text(DOCKERFILE)

    def edit(number: int) -> None:
        (context / "src/auth/__init__.py").write_text(f"EDIT = {number}\n")

    with engine(folder) as address:
        env = {**os.environ, **address, "DOCKER_BUILDKIT": "0"}
        tar = subprocess.Popen(["tar", "-C", str(base), "-c", "."], stdout=subprocess.PIPE)
        imported = subprocess.run(
            ["docker", "import", "-", "bench-build-base"],
            stdin=tar.stdout,
            check=False,
            capture_output=True,
            env=env,
        )
        if imported.returncode != 0:
            print(f"docker import failed: left out: {imported.stderr.decode()[-300:]}")
            return []
        build = ["docker", "build", "--network", "host", "--tag", "auth", str(context)]
        cold = measured("docker build, cold", build, runs=1, env=env)
        return [cold, measured(DOCKER, build, runs=runs, before=edit, env=env)]
