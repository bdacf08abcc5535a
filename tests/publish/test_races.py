"""Several publishers at once, and publishers that are killed; real processes, real stores."""

import json
import os
import signal
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from debship.publish.check import Wanted, check
from debship.run import run
from publishing import debship

SUITE = ("--suite", "production")
TOGETHER = 5


@pytest.fixture(params=["directory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, home):
    """An address and the environment to reach it."""
    if request.param == "directory":
        return str(tmp_path / "repository"), home.env
    server = request.getfixturevalue("s3")
    bucket = f"b-{uuid.uuid4().hex}"
    server.bucket(bucket)
    return f"s3://{bucket}/debian", {**home.env, **server.env}


@pytest.mark.acceptance
def test_publishers_at_once_lose_nothing(place, debs) -> None:
    store, env = place
    debship("repo", "init", "--store", store, *SUITE, env=env)
    paths = [debs(f"app-{number}").deb.path for number in range(TOGETHER)]
    with ThreadPoolExecutor(TOGETHER) as pool:
        list(pool.map(lambda it: debship("publish", "--store", store, *SUITE, it, env=env), paths))
    listed = debship("repo", "list", "--store", store, *SUITE, "--json", env=env)
    found = [row["package"] for row in json.loads(listed.stdout)["result"]["packages"]]
    assert found == [f"app-{number}" for number in range(TOGETHER)]
    debship("repo", "verify", "--store", store, *SUITE, env=env)


# Kills its own process at the n-th write: before it, or when it was done.
KILLED = """
import os, signal, sys
from debship.publish.store import directory
when, after = int(sys.argv.pop(1)), sys.argv.pop(1) == "after"
write, count = directory.DirectoryStore.write, 0
def counted(*words):
    global count
    count += 1
    if count == when and not after:
        os.kill(os.getpid(), signal.SIGKILL)
    written = write(*words)
    if count == when:
        os.kill(os.getpid(), signal.SIGKILL)
    return written
directory.DirectoryStore.write = counted
from debship.cli.main import main
main()
"""


def killed(when: int, how: str, *words, env: dict[str, str]) -> int:
    argv = [sys.executable, "-c", KILLED, str(when), how, *map(str, words)]
    return subprocess.run(
        argv, env={**os.environ, **env}, check=False, capture_output=True
    ).returncode


@pytest.mark.acceptance
def test_a_publisher_killed_at_any_write_leaves_what_apt_reads(tmp_path, home, debs) -> None:
    store = tmp_path / "repository"
    words = ("--store", store, *SUITE)
    debship("repo", "init", *words, env=home.env)
    debship("publish", *words, debs("steady").deb.path, env=home.env)
    sources = debship("repo", "sources", *words, "--url", f"file:{store}", env=home.env).stdout
    for number in range(1, 20):
        path = debs("auth", f"{number}").deb.path
        code = killed(number, "after", "publish", *words, path, env=home.env)
        check(sources, [Wanted("steady", "1.0", "amd64")], run)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        debship("publish", *words, path, env=home.env)
        check(sources, [Wanted("auth", str(number), "amd64")], run)
        debship("repo", "verify", *words, env=home.env)
    assert number > 5
    assert not list((store / ".debship.tmp").iterdir())
