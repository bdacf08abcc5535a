"""What a user reads when S3, or what stands in its place, answers as no store does."""

import contextlib
import hashlib
import http.server
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from botocore import exceptions

from debship.errors import DebshipError, Failed, Misused
from debship.publish.store import Conflict, IfAbsent, IfMatch, open_store
from debship.publish.store.s3_errors import unanswered

pytestmark = pytest.mark.slow  # a client each takes its time


class Answer(NamedTuple):
    """What a server says."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    length: int | None = None  # that it promises, where that is not the body's


Ask = Callable[[http.server.BaseHTTPRequestHandler], Answer]


@contextlib.contextmanager
def serving(ask: Ask, *, read: bool = True) -> Iterator[str]:
    """Answer as it is said, once a request's body is read; give the URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def _answer(self) -> None:
            if read:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, body, headers, length = ask(self)
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            self.wfile.write(body if self.command != "HEAD" else b"")

        def __getattr__(self, name: str):
            if name.startswith("do_"):  # GET and all the others
                return self._answer
            raise AttributeError(name)

        def log_message(self, *words) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def at(monkeypatch):
    """Open the store of an endpoint, as a user does."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    def open_at(endpoint: str, *, credentials: bool = True):
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        if credentials:
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        return open_store("s3://apt/debian", single_publisher=True)

    return open_at


def refusal(code: str, status: int = 400, **more: str) -> Answer:
    said = "".join(f"<{name}>{value}</{name}>" for name, value in more.items())
    text = f"<Error><Code>{code}</Code><Message>so it is</Message>{said}</Error>"
    return Answer(status, text.encode(), (("Content-Type", "application/xml"),))


ACTS = {
    "read": lambda store: store.read("a"),
    "write": lambda store: store.write("a", b"1"),
    "list": lambda store: list(store.list("a")),
    "delete": lambda store: store.delete("a"),
    "sha256": lambda store: store.sha256("a"),
}


def told(store, act: str = "read") -> DebshipError:
    with pytest.raises(Failed) as caught:
        ACTS[act](store)
    return caught.value


@pytest.mark.parametrize(
    ("endpoint", "shown"),
    [
        ("127.0.0.1:9000", "127.0.0.1:9000"),
        ("me:s3cret@store:9000", "store:9000"),
        ("http://", "http://"),
    ],
)
def test_an_endpoint_that_is_no_url_is_misused(at, endpoint: str, shown: str) -> None:
    with pytest.raises(Misused, match="the endpoint of S3 is no URL") as caught:
        at(endpoint)
    assert caught.value.message.endswith(f": {shown}")
    assert "AWS_ENDPOINT_URL" in caught.value.hint


@pytest.mark.parametrize("act", ACTS)
def test_only_a_write_with_a_condition_can_lose_it(at, act: str) -> None:
    with serving(lambda request: refusal("OperationAborted", 409)) as url:
        store = at(url)
        error = told(store, act)
        assert "s3://apt/debian/a: " in error.message
        assert "409" in error.message or "OperationAborted" in error.message
        assert "run it again" in error.hint
        for condition in (IfAbsent(), IfMatch('"0"')):
            with pytest.raises(Conflict):
                store.write("a", b"1", condition)


def test_what_is_not_there_lost_no_condition_that_was_not_set(at) -> None:
    with serving(lambda request: refusal("NoSuchKey", 404)) as url:
        store = at(url)
        assert "s3://apt/debian/a: PutObject: NoSuchKey" in told(store, "write").message
        with pytest.raises(Conflict):
            store.write("a", b"1", IfMatch('"0"'))


@pytest.mark.parametrize(
    ("answer", "message", "hint"),
    [
        (refusal("NoSuchBucket", 404), "s3://apt: there is no such bucket", "create it"),
        (
            refusal("ExpiredToken"),
            "s3://apt/debian/a: GetObject: ExpiredToken: so it is",
            "get new ones",
        ),
        (refusal("InvalidAccessKeyId", 403), "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"),
        (refusal("RequestTimeTooSkewed", 403), "RequestTimeTooSkewed", "clock"),
        (
            refusal("PermanentRedirect", 301, Region="eu-north-1"),
            "PermanentRedirect",
            "AWS_DEFAULT_REGION=eu-north-1",
        ),
        (
            refusal("AuthorizationHeaderMalformed", 400),
            "AuthorizationHeaderMalformed",
            "AWS_DEFAULT_REGION=REGION",
        ),
    ],
    ids=lambda it: str(it)[:40],
)
def test_a_refusal_names_the_place_and_the_way_out(at, answer, message: str, hint: str) -> None:
    with serving(lambda request: answer) as url:
        error = told(at(url))
    assert message in error.message
    assert hint in error.hint


@pytest.mark.parametrize(
    ("act", "action", "right"),
    [
        ("read", "GetObject", "s3:GetObject"),
        ("write", "PutObject", "s3:PutObject"),
        ("list", "ListObjectsV2", "s3:ListBucket"),
        ("delete", "DeleteObject", "s3:DeleteObject"),
        ("sha256", "HeadObject", "s3:GetObject"),
    ],
)
def test_who_is_denied_reads_which_right_is_wanted(at, act: str, action: str, right: str) -> None:
    with serving(lambda request: refusal("AccessDenied", 403)) as url:
        error = told(at(url), act)
    assert error.message.startswith(f"s3://apt/debian/a: {action}: ")
    assert error.hint.startswith(f"allow {right};")
    assert "s3:AbortMultipartUpload" in error.hint
    assert "without s3:ListBucket, S3 answers 403 for what is not there" in error.hint


def test_who_has_no_credentials_reads_where_they_come_from(at) -> None:
    error = told(at("http://127.0.0.1:1", credentials=False))
    assert error.message.startswith("s3://apt/debian/a: ")
    for way in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "role"):
        assert way in error.hint


def test_an_endpoint_that_is_not_there_is_told_without_its_password() -> None:
    url = "http://me:s3cret@store:9000/apt/debian/a"
    for kind in (exceptions.EndpointConnectionError, exceptions.ConnectTimeoutError):
        error = unanswered(kind(endpoint_url=url, error="refused"), "s3://apt/debian/a")
        assert error.message.startswith("s3://apt/debian/a: ")
        assert "http://[hidden]@store:9000" in error.message
        assert "s3cret" not in error.message
        assert "AWS_ENDPOINT_URL" in error.hint


def test_a_file_that_cannot_be_read_is_no_fault_of_the_store(at, tmp_path) -> None:
    with pytest.raises(Failed, match=f"^{tmp_path}/gone: No such file"):
        at("http://127.0.0.1:1").write("a", tmp_path / "gone")


PAGE = b"<html><head><title>Sign in</title></head><body>Sign in to the network</body></html>"


@pytest.mark.parametrize("body", [PAGE, b""], ids=["page", "empty"])
@pytest.mark.parametrize(
    ("act", "status"),
    [
        (act, status)
        for act in ACTS
        for status in (200, 404)
        if act != "delete" and (act, status) != ("sha256", 404)  # S3's own 404 has no body there
    ],
)
def test_what_is_not_s3_is_not_an_empty_store(at, act: str, body: bytes, status: int) -> None:
    with serving(lambda request: Answer(status, body, (("Content-Type", "text/html"),))) as url:
        error = told(at(url), act)
    assert error.message.startswith("s3://apt/debian/a: ")
    assert "\n" not in error.message
    assert "not S3" in f"{error.message} {error.hint}"
    assert "AWS_ENDPOINT_URL" in error.hint


def test_a_listing_that_is_not_s3s_removes_no_upload(at) -> None:
    with serving(lambda request: Answer(200, PAGE)) as url, pytest.raises(Failed, match="not S3"):
        at(url).sweep(datetime.now(UTC))


@pytest.mark.parametrize("act", ["read", "sha256"])
def test_a_body_that_breaks_off_is_read_again(at, act: str) -> None:
    asked: list[str] = []

    def broken(whole_at: int) -> Ask:
        def ask(request: http.server.BaseHTTPRequestHandler) -> Answer:
            if request.command == "GET":
                asked.append(request.path)
            length = 4 if len(asked) < whole_at else None
            now = (("ETag", '"1"'), ("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT"))
            return Answer(200, b"whole"[: length and 2], (*now, ("Connection", "close")), length)

        return ask

    with serving(broken(3)) as url:
        given = ACTS[act](at(url))
    assert hashlib.sha256(b"whole").hexdigest() in (given, getattr(given, "sha256", None))
    assert asked == ["/apt/debian/a"] * 3
    asked.clear()
    with serving(broken(9)) as url:
        error = told(at(url), act)
    assert error.message.startswith("s3://apt/debian/a: ")
    assert "broke off" in error.message
    assert "network" in error.hint
    assert len(asked) == 3


@pytest.mark.parametrize("act", ACTS)
def test_a_store_that_is_silent_is_given_up(at, monkeypatch, act: str) -> None:
    monkeypatch.setattr("debship.publish.store.client.SILENCE", 0.2)
    asked, end = list[str](), threading.Event()

    def silent(request: http.server.BaseHTTPRequestHandler) -> Answer:
        asked.append(request.path)
        end.wait(20)
        return Answer(500)

    with serving(silent) as url:
        error = told(at(url.replace("//", "//me:s3cret@")), act)
        end.set()
    assert len(asked) == 2
    assert error.message.startswith("s3://apt/debian/a: ")
    assert "no answer came" in error.message
    assert "s3cret" not in error.message
    assert "AWS_ENDPOINT_URL" in error.hint


def test_an_upload_may_take_longer_than_a_connection(at, monkeypatch) -> None:
    monkeypatch.setattr("debship.publish.store.client.CONNECT", 0.3)
    took: list[float] = []

    def slow(request: http.server.BaseHTTPRequestHandler) -> Answer:
        began, left = time.monotonic(), int(request.headers["Content-Length"])
        while left:
            left -= len(request.rfile.read(min(left, 1 << 19)))
            time.sleep(0.04)
        took.append(time.monotonic() - began)
        return Answer(200, b"", (("ETag", '"1"'),))

    with serving(slow, read=False) as url:
        at(url).write("a", bytes(16 << 20))
    assert len(took) == 1
    assert took[0] > 1
