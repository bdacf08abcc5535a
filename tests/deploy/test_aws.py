"""The door to AWS: secrets, regions, credentials, and errors that a person can act on."""

import random
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from debship.config.fleet import SecretSource
from debship.deploy.aws import Api, Aws, read_secret
from debship.deploy.balancer.door import Unanswered
from debship.deploy.balancer.opening import region_of
from debship.deploy.configuration import resolve_secrets
from debship.deploy.established import count
from debship.errors import Failed, Misused
from debship.model import Secret

from fakes import FakeRun
from fakes_fleet import FakeClock


@pytest.fixture
def vault(sky):
    sky.cloud.client("ssm").put_parameter(
        Name="/auth/password", Value="hunter2 ü", Type="SecureString", Overwrite=True
    )
    secrets = sky.cloud.client("secretsmanager")
    known = {one["Name"] for one in secrets.list_secrets()["SecretList"]}
    if "auth/key" not in known:
        secrets.create_secret(Name="auth/key", SecretString="correct horse")
        secrets.create_secret(Name="auth/bytes", SecretBinary=b"\0\1")
    return secrets


def test_secrets_come_from_both_services(sky, vault) -> None:
    sources = {
        "password": SecretSource("ssm", "/auth/password"),
        "key": SecretSource("secretsmanager", "auth/key"),
    }
    found = resolve_secrets(sources, run=FakeRun(), env={}, folder=Path("/"), aws=sky.aws)
    assert found == {"password": Secret("hunter2 ü"), "key": Secret("correct horse")}
    ssm = [call for call in sky.faults.calls if call.action == "GetParameter"]
    assert ssm[0].arguments["WithDecryption"] is True


def test_a_secret_by_its_whole_arn(sky, vault) -> None:
    arn = vault.describe_secret(SecretId="auth/key")["ARN"]
    sky.aws._apis["secretsmanager", "eu-west-1"] = sky.aws.api("secretsmanager")
    assert read_secret("secretsmanager", arn, sky.aws) == "correct horse"


def test_all_secrets_that_cannot_be_had_are_named_and_none_is_shown(sky, vault) -> None:
    sources = {
        "a": SecretSource("ssm", "/auth/nope"),
        "b": SecretSource("secretsmanager", "auth/nope"),
        "c": SecretSource("secretsmanager", "auth/bytes"),
        "d": SecretSource("ssm", "/auth/password"),
    }
    with pytest.raises(Failed) as caught:
        resolve_secrets(sources, run=FakeRun(), env={}, folder=Path("/"), aws=sky.aws)
    message = caught.value.message
    assert "secret a: ssm /auth/nope cannot be read" in message
    assert "secret b: secretsmanager auth/nope cannot be read" in message
    assert "it holds bytes, not text" in message
    assert "hunter2" not in message


def test_a_throttled_secret_is_asked_for_again(sky, vault) -> None:
    sky.faults.add("throttle", "GetParameter", times=3)
    assert read_secret("ssm", "/auth/password", sky.aws) == "hunter2 ü"


def test_a_denied_secret_names_the_right(sky, vault) -> None:
    sky.faults.add("denied", "GetSecretValue")
    with pytest.raises(Failed) as caught:
        read_secret("secretsmanager", "auth/key", sky.aws)
    assert "allow secretsmanager:GetSecretValue" in (caught.value.hint or "")


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> Aws:
    """An operator whose environment says nothing of AWS."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return Aws(FakeClock(), random.Random(1), attempts=1)


def test_no_region_is_told_with_the_way_out(nowhere: Aws) -> None:
    with pytest.raises(Misused, match="no door to AWS elb: You must specify a region") as caught:
        nowhere.api("elb")
    assert "AWS_REGION" in (caught.value.hint or "")


def test_no_credentials_are_told_with_the_way_out(nowhere: Aws) -> None:
    with pytest.raises(Failed, match="Unable to locate credentials") as caught:
        nowhere.api("elb", "eu-west-1").call("describe_load_balancers")
    assert caught.value.hint == "see: aws sts get-caller-identity"
    assert not isinstance(caught.value, Unanswered), "asking again would not help"


def test_a_profile_that_is_not_there_is_told(nowhere: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(Misused, match="nobody"):
        nowhere.api("elb", "eu-west-1")


def test_a_region_of_the_environment_goes_before_one_that_was_guessed(
    nowhere: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere.region = "eu-north-1"
    assert nowhere.api("ec2").client.meta.region_name == "eu-north-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-2")
    fresh = Aws(FakeClock(), random.Random(1), "eu-north-1")
    assert fresh.api("ec2").client.meta.region_name == "us-east-2"
    assert fresh.api("elbv2", region_of("arn:aws:x:eu-west-3:1:y")).client.meta.region_name == (
        "eu-west-3"
    )


def test_nobody_at_the_other_end_is_an_answer_that_did_not_come(
    nowhere: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
        begin = nowhere.clock.monotonic()
        with pytest.raises(Unanswered):
            nowhere.api("elb", "eu-west-1").call("describe_load_balancers")
    assert nowhere.clock.monotonic() - begin >= 60


class Portal(BaseHTTPRequestHandler):
    """A proxy that answers in the place of AWS, as hotels and firewalls do."""

    def do_POST(self) -> None:
        body = b"<!DOCTYPE html><html><head><title>Log in</title><body>Please log in<br></html>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("service", ["elb", "ec2"])
def test_a_page_that_came_in_the_place_of_an_answer_is_an_answer_that_did_not_come(
    nowhere: Aws, monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    operation = {"elb": "describe_load_balancers", "ec2": "describe_instances"}[service]
    with ThreadingHTTPServer(("127.0.0.1", 0), Portal) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
        begin = nowhere.clock.monotonic()
        try:
            with pytest.raises(Unanswered, match="no answer from AWS"):
                nowhere.api(service, "eu-west-1").call(operation)
        finally:
            server.shutdown()
    assert nowhere.clock.monotonic() - begin >= 60, "it is asked again"


def test_pages_are_gathered() -> None:
    class Paged:
        def describe(self, **given):
            token = given.get("Marker") or given.get("NextToken")
            return {
                None: {"Things": [1], "NextMarker": "a"},
                "a": {"Things": [2], "NextToken": "b"},
                "b": {"Things": [3], "NextToken": ""},
            }[token]

    api = Api("x", Paged(), FakeClock(), random.Random(1))
    assert api.pages("describe", "Things") == [1, 2, 3]


TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid
   0: 00000000:1FA5 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0
   1: 0100007F:1FA5 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0
   2: 0100007F:C350 0100007F:1FA5 01 00000000:00000000 00:00000000 00000000     0
   3: 0100007F:1FA5 0100007F:C351 06 00000000:00000000 00:00000000 00000000     0
   4: 0000000000000000FFFF00000100007F:1FA5 0000000000000000FFFF00000100007F:C3 01 0
"""


def test_established_connections_to_a_port_are_counted() -> None:
    assert count(TABLE, {8101}) == 2
    assert count(TABLE, {50000}) == 1
    assert count(TABLE, {80}) == 0
    assert count("cat: no such file\n", {8101}) == 0


def test_the_kernels_own_table_is_read() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        text = Path("/proc/net/tcp").read_text
        assert count(text(), {port}) == 0
        with socket.create_connection(("127.0.0.1", port)):
            assert count(text(), {port}) == 1
