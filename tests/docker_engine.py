"""A Docker engine of one's own, beside any other: it leaves neither process nor mount behind."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.until import until

from debship.run import run, spawn


@contextlib.contextmanager
def engine(room: Path, *options: str) -> Iterator[dict[str, str]]:
    """Run one that shares nothing with another; give the environment that leads to it.

    Args:
        room: a folder for all that is its own; a short path, for a socket lies in it.
        options: more words for dockerd(8).
    """
    address = f"unix://{room}/docker.sock"
    (room / "daemon.json").write_text("{}")
    # One that was killed here, and its containerd, would be taken for alive by their numbers.
    (room / "pid").unlink(missing_ok=True)
    shutil.rmtree(room / "exec", ignore_errors=True)
    daemon = spawn(
        [
            # It dies with us however we die, its children and its mounts with it.
            *("setpriv", "--pdeathsig", "KILL"),
            *("unshare", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child"),
            *("/usr/sbin/dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none"),
            *("--host", address),
            *("--data-root", room / "data", "--exec-root", room / "exec"),
            *("--pidfile", room / "pid", "--config-file", room / "daemon.json"),
            *options,
        ],
        log=room / "log",
    )
    # Debian's own docker before any other: it has BuildKit built in.
    environment = {"DOCKER_HOST": address, "PATH": f"/usr/bin:{os.environ['PATH']}"}
    try:
        until(lambda: (room / "docker.sock").exists() and _answers(environment))
        yield environment
    finally:
        daemon.process.kill()
        daemon.process.wait(30)


def _answers(environment: dict[str, str]) -> bool:
    return run(["docker", "version"], env=environment, check=False).returncode == 0
