"""Real applications, with uv, an index and lintian."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from sample import DATE, Sample

from debship.build.lint import lint
from debship.build.papers import papers_beside
from debship.build.uv import Uv
from debship.config.app import App, BuildSettings, ConfigFile, Service
from debship.debian.releases import Release
from debship.model import Deb, PackageName
from debship.run import run

pytestmark = pytest.mark.acceptance

PYPROJECT = """\
[build-system]
requires = ["setuptools>=68"]
build-backend = "setuptools.build_meta"
[project]
name = "auth-service"
version = "1.2.0rc1"
description = "Authentication"
requires-python = ">=3.9"
dependencies = ["flask", "gunicorn"]
[dependency-groups]
dev = ["pytest"]
build = ["setuptools"]
"""
COMPILED = "numpy pydantic uvloop lxml cryptography httptools watchfiles orjson Pillow psutil"


@pytest.fixture
def uv(release: Release) -> Callable[..., None]:
    return lambda *words, cwd: Uv(run, DATE)(*words, cwd=cwd) and None


def _lint(deb: Deb) -> str:
    """The errors and warnings of lintian that no override of ours takes away."""
    return "\n".join(lint([deb.path], run).tags)


@pytest.fixture
def project(tmp_path: Path, sample_in: Callable[..., Sample], uv, release: Release):
    """A Flask application with a uv.lock, made in a folder of its own."""

    def make(folder: Path) -> Sample:
        sample = sample_in(tmp_path / "sample" / folder.name)
        source = folder / "src/auth"
        source.mkdir(parents=True)
        (source / "__init__.py").write_text("from flask import Flask\napp = Flask(__name__)\n")
        (folder / "pyproject.toml").write_text(PYPROJECT)
        uv("lock", "--python", f"/usr/bin/python{release.python}", cwd=folder)
        (folder / "auth.conf").write_text("workers = 2\n")
        sample.app = App(
            directory=folder,
            name=PackageName("auth"),
            summary="Authentication service",
            maintainer="Platform Team <platform@example.com>",
            configs=(
                ConfigFile(PurePosixPath("/etc/auth/auth.conf"), folder / "auth.conf", False),
            ),
            services=(Service("auth", "gunicorn --bind 127.0.0.1:8101 auth:app", port=8101),),
        )
        sample.output = folder / "out"
        return sample

    return make


def test_a_project_with_a_uv_lock(project, tmp_path: Path) -> None:
    sample = project(tmp_path / "one")
    deb = sample.build()
    assert str(deb.version) == "1.2.0~rc1-1"
    assert deb.architecture == sample.machine  # markupsafe is compiled
    assert _lint(deb) == ""
    names = run(["dpkg-deb", "-c", deb.path]).text
    assert "/flask/" in names
    assert "/_pytest/" not in names
    bill = json.loads(deb.path.with_suffix(".cdx.json").read_text())
    lock = (tmp_path / "one" / "uv.lock").read_text()
    wheels = [entry for entry in bill["components"] if entry["purl"].startswith("pkg:pypi/")]
    assert len(wheels) > 7
    for entry in wheels:
        if entry["name"] != "auth-service":  # it was built here
            assert entry["hashes"][0]["content"] in lock


def test_a_module_that_has_gone_is_in_no_later_package(project, tmp_path: Path) -> None:
    """setuptools packs what an earlier build left in the project's build folder."""
    sample = project(tmp_path / "one")
    gone = tmp_path / "one/src/auth/gone.py"
    left = tmp_path / "one/build/lib/auth/left.py"
    for module in (gone, left):
        module.parent.mkdir(parents=True, exist_ok=True)
        module.write_text("")
    assert "/auth/gone.py" in run(["dpkg-deb", "-c", sample.build().path]).text
    gone.unlink()
    names = run(["dpkg-deb", "-c", sample.build().path]).text
    assert "/auth/__init__.py" in names
    assert "/auth/gone.py" not in names
    assert "/auth/left.py" not in names
    assert [path.name for path in left.parents[2].rglob("*.py")] == ["left.py"]


def test_a_project_is_the_same_bytes_wherever_it_is_built(project, tmp_path: Path) -> None:
    one = project(tmp_path / "one").build()
    old = os.umask(0o077)
    try:
        two = project(tmp_path / "two").build()
    finally:
        os.umask(old)
    assert one.sha256 == two.sha256
    for path in papers_beside(one):
        assert path.read_bytes() == (two.path.parent / path.name).read_bytes(), path.name


@pytest.mark.parametrize("wanted", ["radicale==3.5.4", f"flask {COMPILED}"])
@pytest.mark.parametrize("lock", ["requirements.txt", "pylock.toml"])
def test_an_application_that_nobody_here_wrote(
    sample: Sample, uv, release: Release, tmp_path: Path, wanted: str, lock: str
) -> None:
    folder = tmp_path / "foreign"
    folder.mkdir()
    (folder / "in.txt").write_text("\n".join(wanted.split()))
    python = f"/usr/bin/python{release.python}"
    words = ("pip", "compile", "--generate-hashes", "--python", python, "in.txt", "-o", lock)
    uv(*words, cwd=folder)
    name = wanted.split(maxsplit=1)[0].partition("=")[0]
    app = replace(
        sample.app,
        directory=folder,
        name=PackageName(name),
        build=BuildSettings(requirement=wanted.split(maxsplit=1)[0]),
        configs=(),
        services=(Service(name, name),),
    )
    deb = sample.build(app)
    assert _lint(deb) == ""
    depends = run(["dpkg-deb", "-f", deb.path, "Depends"]).text
    assert "libc6 (>= " in depends
    assert ("libstdc++6 (>= " in depends) is (name == "flask")
