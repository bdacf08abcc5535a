"""Several publishers at once, and publishers that are killed; real processes, real stores."""

import json
import os
import signal
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from debship.publish.check import Wanted, check
from debship.run import run
from publishing import debship

SUITE = ("--suite", "production")
TOGETHER = 5


@dataclass(frozen=True)
class Place:
    """Where a repository lies, how hosts read it, and the environment to reach it."""

    store: str
    url: str
    env: dict[str, str]


@pytest.fixture(params=["directory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, home) -> Place:
    if request.param == "directory":
        folder = tmp_path / "repository"
        return Place(str(folder), folder.as_uri(), home.env)
    server = request.getfixturevalue("s3")
    bucket = f"b-{uuid.uuid4().hex}"
    server.bucket(bucket)
    url = f"{server.url}/{bucket}/debian"
    return Place(f"s3://{bucket}/debian", url, {**home.env, **server.env})


@pytest.mark.acceptance
def test_publishers_at_once_lose_nothing(place: Place, debs) -> None:
    words = ("--store", place.store, *SUITE)
    debship("repo", "init", *words, env=place.env)
    paths = [debs(f"app-{number}").deb.path for number in range(TOGETHER)]
    with ThreadPoolExecutor(TOGETHER) as pool:
        list(pool.map(lambda path: debship("publish", *words, path, env=place.env), paths))
    listed = debship("repo", "list", *words, "--json", env=place.env)
    found = [row["package"] for row in json.loads(listed.stdout)["result"]["packages"]]
    assert found == [f"app-{number}" for number in range(TOGETHER)]
    debship("repo", "verify", *words, env=place.env)
    sources = debship("repo", "sources", *words, "--url", place.url, env=place.env).stdout
    check(sources, [Wanted(name, "1.0", "amd64") for name in found], run)


# Kills its own process when its n-th write was done.
KILLED = """
import os, signal, sys
from debship.publish.store import directory, s3
when, count = int(sys.argv.pop(1)), 0
def deadly(write):
    def counted(*words):
        global count
        written = write(*words)
        count += 1
        if count == when:
            os.kill(os.getpid(), signal.SIGKILL)
        return written
    return counted
for kind in (directory.DirectoryStore, s3.S3Store):
    kind.write = deadly(kind.write)
from debship.cli.main import main
main()
"""


def killed(when: int, *words, env: dict[str, str]) -> int:
    argv = [sys.executable, "-c", KILLED, str(when), *map(str, words)]
    done = subprocess.run(argv, env={**os.environ, **env}, check=False, capture_output=True)
    return done.returncode


@pytest.mark.acceptance
def test_a_publisher_killed_at_any_write_leaves_what_apt_reads(place: Place, debs) -> None:
    words = ("--store", place.store, *SUITE)
    debship("repo", "init", *words, env=place.env)
    debship("publish", *words, debs("steady").deb.path, env=place.env)
    sources = debship("repo", "sources", *words, "--url", place.url, env=place.env).stdout
    for number in range(1, 20):
        path = debs("auth", f"{number}").deb.path
        code = killed(number, "publish", *words, path, env=place.env)
        check(sources, [Wanted("steady", "1.0", "amd64")], run)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        debship("publish", *words, path, env=place.env)
        check(sources, [Wanted("auth", str(number), "amd64")], run)
        debship("repo", "verify", *words, env=place.env)
    assert number > 5
    temporary = Path(place.store, ".debship.tmp")
    assert not temporary.exists() or not list(temporary.iterdir())
