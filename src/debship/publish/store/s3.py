"""A store in S3 or in what speaks like it; the only import of boto3 in this room."""

import contextlib
import hashlib
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path, PurePosixPath
from typing import Any, Self

from debship.errors import Failed, Misused, Refused
from debship.publish.store import (
    Condition,
    Conflict,
    Entry,
    Found,
    IfAbsent,
    IfMatch,
    Written,
    cache_control,
    checked,
)

# 412 is a lost condition; 409 a write at the same moment (ConditionalRequestConflict).
_LOST = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
_ABSENT = ("NoSuchKey", "404", "NotFound")
_PROBE = ".debship-probe"
_TYPES = {".deb": "application/vnd.debian.binary-package", ".gz": "application/gzip"}


class S3Store:
    """Objects below a prefix of a bucket.

    Conditions are S3's own: If-None-Match on what must not be there, If-Match on what must not
    have changed. No object is ever copied or locked.
    """

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client, self._bucket = client, bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._ahead: timedelta | None = None  # of the store's clock
        self._probed = False
        client.meta.events.register("after-call.s3", self._look_at_clock)

    @classmethod
    def open(cls, address: str, *, single_publisher: bool = False) -> Self:
        """Open ``s3://bucket/prefix``, with endpoint and credentials as boto3 finds them.

        Raises:
            Misused: the address is no such thing.
        """
        bucket, _, prefix = address.removeprefix("s3://").partition("/")
        if not bucket:
            raise Misused(f"{address}: it names no bucket", "s3://bucket/prefix")
        import boto3
        from botocore.config import Config

        # Stores that only speak like S3 refuse the checksums that boto3 adds by itself.
        config = Config(
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            retries={"mode": "standard", "max_attempts": 5},
            max_pool_connections=16,
        )
        with _errors(address):
            store = cls(boto3.client("s3", config=config), bucket, prefix)
        store._probed = single_publisher
        return store

    def read(self, path: str) -> Found | None:
        """Get an object."""
        with _errors(path):
            answer = self._absent_as_none("get_object", path)
            if answer is None:
                return None
            modified = answer["LastModified"].astimezone(UTC)
            return Found(answer["Body"].read(), answer["ETag"], modified)

    def write(self, path: str, data: bytes | Path, condition: Condition = None) -> Written:
        """Put an object; a lost condition is a conflict, and so is a write at the same moment."""
        if condition is not None and not self._probed:
            self._probe()
        with _errors(path):
            return self._put(path, data, condition)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """List objects, a thousand a request."""
        with _errors(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            for page in pages:
                for found in page.get("Contents", ()):
                    path = found["Key"].removeprefix(self._prefix)
                    yield Entry(path, found["Size"], found["LastModified"].astimezone(UTC))

    def delete(self, path: str) -> None:
        """Delete an object."""
        with _errors(path):
            self._client.delete_object(Bucket=self._bucket, Key=self._key(path))

    def sha256(self, path: str) -> str | None:
        """Give the hash that was kept beside the object as it was put, or hash it."""
        with _errors(path):
            head = self._absent_as_none("head_object", path)
            if head is None:
                return None
            kept: str | None = head["Metadata"].get("sha256")
            if kept:
                return kept
            answer = self._absent_as_none("get_object", path)
            digest = hashlib.sha256()
            for chunk in answer["Body"].iter_chunks(1 << 20) if answer else ():
                digest.update(chunk)
            return digest.hexdigest()

    def now(self) -> datetime | None:
        """Read the store's clock, as far as its last answer showed it."""
        return None if self._ahead is None else datetime.now(UTC) + self._ahead

    def _key(self, path: str) -> str:
        return self._prefix + checked(path)

    def _put(self, path: str, data: bytes | Path, condition: Condition) -> Written:
        conditions: dict[str, str] = {}
        if isinstance(condition, IfAbsent):
            conditions["IfNoneMatch"] = "*"
        if isinstance(condition, IfMatch):
            conditions["IfMatch"] = condition.etag
        with contextlib.ExitStack() as stack:
            body: Any = data
            if isinstance(data, Path):
                body = stack.enter_context(data.open("rb"))
                sha256 = hashlib.file_digest(body, "sha256").hexdigest()
                body.seek(0)
            else:
                sha256 = hashlib.sha256(data).hexdigest()
            answer = self._absent_as_none(
                "put_object",
                path,
                Body=body,
                CacheControl=cache_control(path),
                ContentType=_TYPES.get(PurePosixPath(path).suffix, "text/plain; charset=utf-8"),
                Metadata={"sha256": sha256},
                **conditions,
            )
        if answer is None:  # If-Match on what is not there
            raise Conflict(path)
        return Written(str(answer["ETag"]), sha256)

    def _absent_as_none(self, action: str, path: str, **words: Any) -> Any:
        from botocore.exceptions import ClientError

        ask = getattr(self._client, action)
        try:
            return ask(Bucket=self._bucket, Key=self._key(path), **words)
        except ClientError as error:
            if error.response["Error"]["Code"] in _ABSENT:
                return None
            raise

    def _probe(self) -> None:
        """See once that the store honours conditions; many that speak like S3 ignore them.

        Raises:
            Refused: it does not.
        """
        path = f"{_PROBE}-{secrets.token_hex(8)}"
        try:
            with _errors(path):
                etag = self._put(path, b"1", IfAbsent()).etag
            for condition in (IfAbsent(), IfMatch(f'"{"0" * 32}"')):
                with contextlib.suppress(Conflict), _errors(path):
                    self._put(path, b"2", condition)
                    raise Refused(
                        f"s3://{self._bucket}: this store ignores conditional writes",
                        "two publishers at once would lose packages; --single-publisher takes it "
                        "where there is only ever one",
                    )
            with _errors(path):
                self._put(path, b"3", IfMatch(etag))
        finally:
            with contextlib.suppress(Failed):
                self.delete(path)
        self._probed = True

    def _look_at_clock(self, http_response: Any, **_: Any) -> None:
        date = getattr(http_response, "headers", {}).get("Date")
        if date:
            with contextlib.suppress(ValueError):
                self._ahead = parsedate_to_datetime(date) - datetime.now(UTC)


@contextlib.contextmanager
def _errors(path: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        said = error.response.get("Error", {})
        status = str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode"))
        if said.get("Code") in _LOST or status in _LOST:
            raise Conflict(path) from error
        raise Failed(f"s3: {path}: {said.get('Code')}: {said.get('Message')}") from error
    except (BotoCoreError, OSError) as error:
        raise Failed(f"s3: {path}: {error}") from error
