"""An image from a real package, made and run by a real docker of the test's own."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from examples.versions import make_version

from debship.debian.releases import release
from debship.roots import clean_root
from debship.run import run
from docker_engine import engine
from service_debs import make_service_deb

pytestmark = pytest.mark.acceptance
EXAMPLES = Path(__file__).parents[2] / "examples"
DEBSHIP = [sys.executable, "-m", "debship"]


def _wait(question, seconds: float = 30.0):
    """Ask until there is an answer."""
    end = time.monotonic() + seconds
    while True:
        try:
            if (answer := question()) is not None:
                return answer
        except OSError:
            pass
        assert time.monotonic() < end, "no answer in time"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A docker whose only image is debian:bookworm-slim."""
    if os.geteuid() != 0 or not Path("/usr/sbin/dockerd").exists():
        pytest.skip("needs root and docker.io")
    cache = tmp_path_factory.mktemp("roots")
    root = clean_root(release("bookworm"), (), run=run, cache=cache, say=print)
    room = Path(tempfile.mkdtemp(prefix="debship-docker-"))  # a socket's path is short
    try:
        with engine(room) as environment:
            archive = room / "base.tar"
            run(["tar", "-C", root, "-cf", archive, "."])
            run(["docker", "import", archive, "debian:bookworm-slim"], env=environment)
            archive.unlink()
            yield environment
    finally:
        shutil.rmtree(room, ignore_errors=True)


@pytest.fixture(scope="module", params=["buildkit", "classic"])
def image(request, docker: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """What `debship image` prints."""
    folder = tmp_path_factory.mktemp("image")
    environment = dict(docker)
    if request.param == "classic":
        environment["PATH"] = f"{_without_buildkit(folder)}:{docker['PATH']}"
    done = run(
        [*DEBSHIP, "image", make_service_deb(folder), "--tag", "hello:1.0", "--network", "host"],
        env=environment,
    )
    assert "run it: docker run" in done.stderr.decode()
    return done.text


def _without_buildkit(folder: Path) -> Path:
    """A docker that says it is one without the plugin."""
    shim = folder / "bin" / "docker"
    shim.parent.mkdir()
    shim.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "Docker version 28.2.2, build x" && exit\n'
        'exec /usr/bin/docker "$@"\n'
    )
    shim.chmod(0o755)
    return shim.parent


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _ask(port: int, path: str = "/") -> dict | None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return json.load(answer)


def test_its_service_runs_as_its_user_with_mounted_configuration(
    docker: dict[str, str], image: str, tmp_path: Path
) -> None:
    config, secrets = tmp_path / "hello.conf", tmp_path / "secrets.env"
    config.write_text("mounted\n")
    secrets.write_text("HELLO_SECRET=s3cret\n")
    port = _free_port()
    container = run(
        [
            *("docker", "run", "--detach", "--init", "--network", "host"),
            *("--env", f"HELLO_PORT={port}", "--env-file", secrets),
            *("--volume", f"{config}:/etc/hello/hello.conf:ro", image),
        ],
        env=docker,
    ).text
    try:
        said = _wait(lambda: _ask(port))
        begun = time.monotonic()
        run(["docker", "stop", container], env=docker)
        assert time.monotonic() - begun < 8, "it does not end by its stop signal"
    finally:
        run(["docker", "rm", "--force", container], env=docker)
    assert said.pop("uid") != 0
    assert said == {
        "user": "_hello",
        "greeting": '100% "well" for 1$',
        "secret": "s3cret",
        "config": "mounted",
        "writes": True,
        "writes_code": False,
    }


def _inside(docker: dict[str, str], image: str, *argv: str) -> str:
    return run(["docker", "run", "--rm", "--network", "none", image, *argv], env=docker).text


def test_nothing_is_left_over(docker: dict[str, str], image: str) -> None:
    files = r'find /var/lib/apt/lists /tmp -type f; dpkg-query -W -f "\${Package} "'
    packages = _inside(docker, image, "sh", "-c", files).split()
    assert not [word for word in packages if word.startswith("/")]
    assert "hello" in packages
    assert "systemd" not in packages


def test_it_says_which_package_it_is_from(docker: dict[str, str], image: str) -> None:
    (found,) = json.loads(run(["docker", "image", "inspect", image], env=docker).text)
    assert found["RepoTags"] == ["hello:1.0"]
    labels = found["Config"]["Labels"]
    assert labels["org.opencontainers.image.version"] == "1.0-1"
    assert labels["org.debship.conffiles"] == "/etc/hello/hello.conf"
    assert "s3cret" not in json.dumps(found)
    assert found["Id"] == image


def test_a_build_that_fails_shows_why(docker: dict[str, str], tmp_path: Path) -> None:
    deb = make_service_deb(tmp_path, depends="python3.11, no-such-package, ")
    done = run(
        [*DEBSHIP, "image", deb, "--tag", "broken:1.0", "--network", "host"],
        env=docker,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, b"")
    assert "no-such-package" in done.stderr.decode()
    assert run(["docker", "images", "-q", "broken:1.0"], env=docker).text == ""


def test_a_build_that_is_ended_leaves_nothing(docker: dict[str, str], tmp_path: Path) -> None:
    words = ["image", make_service_deb(tmp_path), "--tag", "ended:1.0", "--network", "host"]
    environment = {**os.environ, **docker, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([*DEBSHIP, *words], env=environment) as process:
        (context,) = _wait(lambda: list(tmp_path.glob("debship-image-*")) or None)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM
    assert not context.exists()
    assert run(["docker", "images", "-q", "ended:1.0"], env=docker).text == ""
    assert run(["docker", "ps", "-aq"], env=docker).text == ""


@pytest.mark.parametrize("split_and_socket", [False, True])
def test_the_example_from_its_folder_to_a_container(
    docker: dict[str, str], tmp_path: Path, split_and_socket: bool
) -> None:
    port = _free_port()
    source = make_version(EXAMPLES / "auth", tmp_path / "auth", "3.1.4")
    app = source / "debship.toml"
    text = app.read_text().replace("8101", str(port))
    if split_and_socket:
        text = text.replace("#socket = true", "socket = true").replace(
            f"--bind 0.0.0.0:{port} ", ""
        )
        text = text.replace("[app]\n", '[app]\nlayout = "split"\n')
    app.write_text(text)
    build = [*DEBSHIP, "build", source, "--level", "3", "--output", tmp_path]
    deb = run(build, env=docker).text.splitlines()[0]
    words = ["image", deb, "--tag", "auth:3.1.4", "--network", "host"]
    image = run([*DEBSHIP, *words], env=docker).text
    secrets = tmp_path / "secrets.env"
    secrets.write_text("AUTH_SECRET=s3cret\n")
    command = ["docker", "run", "--detach", "--init", "--network", "host", "--env-file", secrets]
    container = run([*command, image], env=docker).text
    try:
        said = _wait(lambda: _ask(port, "/healthz"))
        user = run(["docker", "exec", container, "id", "-un"], env=docker).text
    finally:
        run(["docker", "rm", "--force", container], env=docker)
    assert (said["status"], said["version"], said["secret"]) == ("ok", "3.1.4", True)
    assert user == "_auth"
