from pathlib import Path

import pytest
from auth.service import create_app
from auth.settings import Settings, read_settings


@pytest.fixture
def client():
    return create_app(Settings("test", 60, "s3cret")).test_client()


def test_a_token_is_verified(client) -> None:
    token = client.get("/", query_string={"subject": "ann"}).json["token"]
    assert client.get("/verify", query_string={"token": token}).json["subject"] == "ann"


@pytest.mark.parametrize("token", ["", "x", "gAAAAA=="])
def test_another_token_is_refused(client, token: str) -> None:
    assert client.get("/verify", query_string={"token": token}).status_code == 403


def test_all_workers_that_share_a_secret_verify_a_token(client) -> None:
    other = create_app(Settings("test", 60, "s3cret")).test_client()
    token = client.get("/").json["token"]
    assert other.get("/verify", query_string={"token": token}).status_code == 200


def test_health_says_whether_there_is_a_secret_and_not_which(client) -> None:
    answer = client.get("/healthz")
    assert answer.json["secret"] is True
    assert b"s3cret" not in answer.data
    assert create_app(Settings("test", 60)).test_client().get("/healthz").json["secret"] is False


def test_settings(tmp_path: Path) -> None:
    path = tmp_path / "auth.conf"
    path.write_text("[auth]\nissuer = me\n")
    assert read_settings({"AUTH_CONFIG": str(path)}) == Settings("me", 300)
    assert read_settings({"AUTH_SECRET": "x"}, path) == Settings("me", 300, "x")
    assert "s3cret" not in repr(Settings("me", 300, "s3cret"))
