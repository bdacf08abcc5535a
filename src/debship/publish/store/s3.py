"""A store in S3 or in what speaks like it."""

import contextlib
import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
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
    Sent,
    Written,
    cache_control,
    checked,
)
from debship.publish.store.client import connect, hash_of_body, read_through
from debship.publish.store.parts import Upload, hashed
from debship.publish.together import soon

# 412 is a lost condition; 409 a write at the same moment (ConditionalRequestConflict).
_LOST = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
_ABSENT = ("NoSuchKey", "NotFound")
_ABSENT_OF_HEAD = (*_ABSENT, "404")  # no body says more; elsewhere a bare 404 is not S3's
_HONOURED = "conditions"  # in the metadata of what we write: where conditions were tried
_TYPES = {
    ".deb": "application/vnd.debian.binary-package",
    ".gz": "application/gzip",
    ".html": "text/html; charset=utf-8",
}
_SMALL = 1 << 20  # bytes; what is smaller is read into memory
_LARGE = 64 << 20  # bytes; one request takes 5 GB, and a larger one is sent by several at once


class S3Store:
    """Objects below a prefix of a bucket.

    Conditions are S3's own: If-None-Match on what must not be there, If-Match on what must not
    have changed. No object is ever copied or locked.
    """

    def __init__(
        self,
        client: Any,
        bucket: str,
        prefix: str,
        *,
        single_publisher: bool = False,
    ) -> None:
        self._client, self._bucket = client, bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._ahead: timedelta | None = None  # of the store's clock
        self._single = single_publisher
        endpoint = f"{client.meta.endpoint_url} {bucket}"
        self._place = hashlib.sha256(endpoint.encode()).hexdigest()[:12]
        self._tried = False  # whether this store was seen to honour conditions
        self._coming: dict[str, Callable[[], Found | None]] = {}
        client.meta.events.register("after-call.s3", self._look_at_clock)

    @classmethod
    def open(cls, address: str, *, single_publisher: bool = False) -> Self:
        """Open ``s3://bucket/prefix``, with endpoint and credentials as boto3 finds them.

        Raises:
            Misused: the address is no such thing, or the endpoint no URL.
        """
        bucket, _, prefix = address.removeprefix("s3://").partition("/")
        if not bucket:
            raise Misused(f"{address}: it names no bucket", "s3://bucket/prefix")
        with _errors(address):
            try:
                client = connect()
            except ValueError as error:
                from debship.publish.store.s3_errors import no_endpoint

                raise no_endpoint(error, address) from error
            return cls(client, bucket, prefix, single_publisher=single_publisher)

    def expect(self, paths: Iterable[str]) -> None:
        """Ask at once."""
        self._coming |= {path: soon(partial(self._get, path)) for path in paths}

    def read(self, path: str) -> Found | None:
        """Get an object, or have what was asked for."""
        coming = self._coming.pop(path, None)
        return coming() if coming else self._get(path)

    def _get(self, path: str) -> Found | None:
        def found(answer: Any) -> Found:
            # Whoever wrote this here, under a condition, had tried that it is kept.
            self._tried |= answer["Metadata"].get(_HONOURED) == self._place
            modified = answer["LastModified"].astimezone(UTC)
            data = answer["Body"].read()
            return Found(data, answer["ETag"], modified, hashlib.sha256(data).hexdigest())

        with self._errors(path):
            return read_through(partial(self._absent_as_none, "get_object", path), found)

    def write(
        self,
        path: str,
        data: bytes | Path,
        condition: Condition = None,
        sent: Sent | None = None,
        same_as: str | None = None,
    ) -> Written:
        """Put an object; a lost condition is a conflict, and so is a write at the same moment."""
        checked(path)
        if condition is not None and not self._tried and not self._single:
            self._try_conditions()
            self._tried = True
        with self._errors(path, condition):
            if isinstance(data, Path) and data.stat().st_size > _LARGE:
                before = hashed(data)
                about = self._described(path, before.sha256)
                upload = Upload(self._client, self._at(path), data, sent)
                etag = upload.put(before, about, _conditions(condition))
                return Written(etag, before.sha256)
            return self._put(path, data, condition, sent)

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """List objects, a thousand a request."""
        with self._errors(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            for page in pages:
                for found in page.get("Contents", ()):
                    path = found["Key"].removeprefix(self._prefix)
                    if path.startswith("."):
                        continue  # ours, no part of the repository
                    yield Entry(path, found["Size"], found["LastModified"].astimezone(UTC))

    def delete(self, path: str) -> None:
        """Delete an object."""
        with self._errors(path):
            self._client.delete_object(**self._at(path))

    def sha256(self, path: str) -> str | None:
        """Give the hash that was kept beside the object as it was put, or hash it."""
        with self._errors(path):
            head = self._absent_as_none("head_object", path)
            if head is None:
                return None
            kept: str | None = head["Metadata"].get("sha256")
            if kept:
                return kept
            return read_through(partial(self._absent_as_none, "get_object", path), hash_of_body)

    def now(self) -> datetime | None:
        """Read the store's clock, as far as its last answer showed it."""
        return None if self._ahead is None else datetime.now(UTC) + self._ahead

    def sweep(self, before: datetime) -> None:
        """Abort uploads in parts whose publisher died; S3 lists none of them and bills them all."""
        with self._errors(""):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket, Prefix=self._prefix
            )
            for page in pages:
                for upload in page.get("Uploads", ()):
                    if upload["Initiated"] < before:
                        self._client.abort_multipart_upload(
                            Bucket=self._bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                        )

    def _at(self, path: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + checked(path)}

    def _errors(
        self, path: str, condition: Condition = None
    ) -> contextlib.AbstractContextManager[None]:
        return _errors(f"s3://{self._bucket}/{self._prefix}{path}", condition)

    def _put(
        self, path: str, data: bytes | Path, condition: Condition, sent: Sent | None
    ) -> Written:
        if isinstance(data, Path) and data.stat().st_size < _SMALL:
            data = data.read_bytes()
        with contextlib.ExitStack() as stack:
            if isinstance(data, Path):
                body: Any = stack.enter_context(data.open("rb"))
                sha256 = hashlib.file_digest(body, "sha256").hexdigest()
                size = body.tell()
                body.seek(0)
            else:
                body, sha256, size = data, hashlib.sha256(data).hexdigest(), len(data)
            words = {**self._described(path, sha256), **_conditions(condition)}
            answer = self._client.put_object(**self._at(path), Body=body, **words)
        if sent:
            sent(size)
        return Written(str(answer["ETag"]), sha256)

    def _described(self, path: str, sha256: str) -> dict[str, Any]:
        metadata = {"sha256": sha256}
        if self._tried:
            metadata[_HONOURED] = self._place
        return {
            "CacheControl": cache_control(path),
            "ContentType": _TYPES.get(PurePosixPath(path).suffix, "text/plain; charset=utf-8"),
            "Metadata": metadata,
        }

    def _absent_as_none(self, action: str, path: str) -> Any:
        from botocore.exceptions import ClientError

        ask = getattr(self._client, action)
        try:
            return ask(**self._at(path))
        except ClientError as error:
            absent = _ABSENT_OF_HEAD if action == "head_object" else _ABSENT
            if error.response.get("Error", {}).get("Code") in absent:
                return None
            raise

    def _try_conditions(self) -> None:
        """See that this store honours conditions; many that speak like S3 do not.

        Raises:
            Refused: it does not.
        """
        path = f".debship-conditions-{secrets.token_hex(8)}"
        try:
            with self._errors(path, IfAbsent()):
                etag = self._put(path, b"1", IfAbsent(), None).etag
            for condition in (IfAbsent(), IfMatch(f'"{"0" * 32}"')):
                with contextlib.suppress(Conflict), self._errors(path, condition):
                    self._put(path, b"2", condition, None)
                    raise Refused(
                        f"s3://{self._bucket}: this store ignores conditional writes",
                        "two publishers at once would lose packages; --single-publisher takes it "
                        "where there is only ever one",
                    )
            with self._errors(path, IfMatch(etag)):
                self._put(path, b"3", IfMatch(etag), None)
        finally:
            with contextlib.suppress(Failed):
                self.delete(path)

    def _look_at_clock(self, http_response: Any, **_: Any) -> None:
        date = getattr(http_response, "headers", {}).get("Date")
        if date:
            with contextlib.suppress(ValueError):
                self._ahead = parsedate_to_datetime(date) - datetime.now(UTC)


def _conditions(condition: Condition) -> dict[str, str]:
    if isinstance(condition, IfAbsent):
        return {"IfNoneMatch": "*"}
    return {"IfMatch": condition.etag} if isinstance(condition, IfMatch) else {}


@contextlib.contextmanager
def _errors(where: str, condition: Condition = None) -> Iterator[None]:
    """Tell what goes wrong; what had a condition may lose it, and nothing else may."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code")
        status = str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode"))
        lost = _LOST if not isinstance(condition, IfMatch) else (*_LOST, *_ABSENT)
        if condition is not None and (code in lost or status in lost):
            raise Conflict(where) from error
        from debship.publish.store.s3_errors import answered

        raise answered(error, where) from error
    except (BotoCoreError, ResponseParserError, OSError) as error:
        from debship.publish.store.s3_errors import unanswered

        raise unanswered(error, where) from error
