"""The Fabric tasks before an AWS, as a user types them; hosts do not answer here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cloudshim.estate import Estate
from cloudshim.server import serving

pytestmark = pytest.mark.acceptance

FLEET = """
[repository]
store = "apt"
url = "http://apt"
suite = "production"
[ssh]
user = "root"
port = 1
known_hosts = "/dev/null"
connect_timeout = 1
[apps.auth]
hosts = { HOSTS }
balancers = [{ kind = "target-group", arn = "ARN" }]
"""


def fab(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess:
    mine = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    return subprocess.run(
        [Path(sys.executable).parent / "fab", *words],
        cwd=folder,
        env={**mine, "AWS_EC2_METADATA_DISABLED": "true", **env},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def here(tmp_path: Path):
    with serving() as cloud:
        estate = Estate(cloud).build()
        estate.instance("10.0.0.81", tag="typed")
        arn = estate.target_group()

        def write(hosts: str, arn: str = arn) -> None:
            (tmp_path / "fabfile.py").write_text("from debship.fabfile import *  # noqa: F403\n")
            text = FLEET.replace("{ HOSTS }", hosts).replace("ARN", arn)
            (tmp_path / "fleet.toml").write_text(text)

        yield cloud, tmp_path, write
        cloud.reset()


def test_hosts_are_found_by_their_tags_and_named_where_they_do_not_answer(here) -> None:
    cloud, folder, write = here
    write('{ ec2 = { "tag:app" = "typed" } }')
    done = fab(folder, "status", "--app", "auth", **cloud.environment)
    assert done.returncode == 4
    assert done.stdout.startswith("10.0.0.81  unknown: no connection")
    assert "hint: check that it is up" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_wrong_with_aws_is_said_with_the_way_out(here) -> None:
    cloud, folder, write = here
    write('{ asg = "nope" }')
    done = fab(folder, "deploy", "--app", "auth", **cloud.environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert "error: asg/nope: there is no such Auto Scaling group here" in done.stderr
    write('{ ec2 = { "tag:app" = "nobody" } }')
    done = fab(folder, "deploy", "--app", "auth", **cloud.environment)
    assert done.returncode == 3
    assert "EC2 has no running instance with tag:app = nobody" in done.stderr
    assert "hint: is it the right region" in done.stderr


def test_an_operator_without_credentials_is_told(here) -> None:
    _cloud, folder, write = here
    write('["10.0.0.81"]')
    nothing = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
    done = fab(folder, "deploy", "--app", "auth", **nothing)
    assert done.returncode == 1
    assert "Unable to locate credentials" in done.stderr
    assert "hint: see: aws sts get-caller-identity" in done.stderr
    assert "Traceback" not in done.stderr
