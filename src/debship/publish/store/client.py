"""A client of S3: that part of boto3 which finds endpoint and credentials, and asks."""

import gzip
import hashlib
import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

# S3, and whom credentials may have to be asked of: a role is assumed at STS, and so on.
_SERVICES = ("s3", "sts", "sso", "sso-oidc", "signin")
# What each good answer of S3 says, and the page of a proxy or of another server does not.
_SAID = {
    "GetObject": ("ETag", "LastModified"),
    "HeadObject": ("ETag", "LastModified"),
    "PutObject": ("ETag",),
    "ListObjectsV2": ("IsTruncated",),
    "ListMultipartUploads": ("IsTruncated",),
    "CreateMultipartUpload": ("UploadId",),
    "UploadPart": ("ETag",),
    "CompleteMultipartUpload": ("ETag",),
}
CONNECT = 10  # seconds, for each address of the store; a body may take longer
SILENCE = 60  # seconds; a store puts many parts together in less
_TRIES = 2  # where nobody answers: five of such waits would be minutes
_READS = 3  # of a body that breaks off

T = TypeVar("T")


def connect() -> Any:
    """Make a client, with endpoint, region and credentials as boto3 finds them.

    boto3 itself would only take time to load, and so would its look at what other services there
    are: some hundred folders.
    """
    from botocore.config import Config
    from botocore.hooks import HierarchicalEmitter
    from botocore.loaders import create_loader
    from botocore.session import Session

    class Handlers(HierarchicalEmitter):  # type: ignore[misc]  # botocore has no types
        """What is to happen at the events of these services, and not at those of all others."""

        def register(self, event_name: str, *args: Any, **words: Any) -> None:
            event, _, of = event_name.partition(".")
            if event != "docs" and of.partition(".")[0] in {"", "*", *_SERVICES}:
                super().register(event_name, *args, **words)

    session = Session(event_hooks=Handlers())
    loader = create_loader(session.get_config_variable("data_path"))
    loader.list_available_services = lambda kind: list(_SERVICES)
    loader.file_loader = _Models()
    session.register_component("data_loader", loader)
    # Stores that only speak like S3 refuse the checksums that boto3 adds by itself.
    config = Config(
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"mode": "standard", "max_attempts": 5},
        max_pool_connections=32,
        connect_timeout=CONNECT,
        read_timeout=SILENCE,
    )
    client = session.create_client("s3", config=config)
    client.meta.events.register_last("before-call.s3.PutObject", _send_at_once)
    client.meta.events.register_first("needs-retry.s3", _give_up_on_silence)
    client.meta.events.register("after-call.s3", _look_whether_it_is_s3)
    return client


def read_through(ask: Callable[[], Any], take: Callable[[Any], T]) -> T | None:
    """Ask for an object and read it, again where its body breaks off: botocore does not.

    Args:
        ask: gives S3's answer, or None where there is no such object.
        take: reads the answer's body through, from its beginning.

    Raises:
        BotoCoreError: it broke off each time.
    """
    from botocore.exceptions import IncompleteReadError, ReadTimeoutError, ResponseStreamingError

    left = _READS
    while True:
        answer, left = ask(), left - 1
        try:
            return None if answer is None else take(answer)
        except (IncompleteReadError, ReadTimeoutError, ResponseStreamingError):
            if not left:
                raise


def hash_of_body(answer: Any) -> str:
    """Give the SHA-256 of what an answer brings, a piece of which is in memory at a time."""
    digest = hashlib.sha256()
    for chunk in answer["Body"].iter_chunks(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


class _Models:
    """Reads what botocore knows of services as botocore does, in half of the time.

    That asks for an OrderedDict, from when a dict had no order.
    """

    def exists(self, path: str) -> bool:
        """Whether there is a file of this name, which has no suffix."""
        return any(Path(path + end).is_file() for end in (".json", ".json.gz"))

    def load_file(self, path: str) -> Any:
        """Give what is in it, or None."""
        plain, packed = Path(f"{path}.json"), Path(f"{path}.json.gz")
        if plain.is_file():
            return json.loads(plain.read_bytes())
        return json.loads(gzip.decompress(packed.read_bytes())) if packed.is_file() else None


def _send_at_once(params: dict[str, Any], **_: Any) -> None:
    """Send what is small without asking first whether it is wanted: it is one wait less."""
    if isinstance(params["body"], BytesIO):
        params["headers"].pop("Expect", None)


def _look_whether_it_is_s3(
    http_response: Any, parsed: dict[str, Any], model: Any, **_: Any
) -> None:
    """Refuse the answer of what is not S3: it would read as an empty store.

    Raises:
        ResponseParserError: as botocore does itself where it can tell.
    """
    if http_response.status_code < 300 and not all(
        it in parsed for it in _SAID.get(model.name, ())
    ):
        from botocore.parsers import ResponseParserError

        kind = http_response.headers.get("Content-Type", "of no type")
        raise ResponseParserError(f"{model.name}: the answer ({kind}) is not S3's")


def _give_up_on_silence(attempts: int, caught_exception: Exception | None, **_: Any) -> None:
    """Ask what does not answer no more than twice.

    Raises:
        BotoCoreError: what was caught.
    """
    from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError

    silent = isinstance(caught_exception, (ConnectTimeoutError, ReadTimeoutError))
    if caught_exception is not None and silent and attempts >= _TRIES:
        raise caught_exception
