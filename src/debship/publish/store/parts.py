"""Large files on their way to S3: in parts, several at once, and there all at once or not at all."""

import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from debship.errors import Failed
from debship.publish.store import Sent
from debship.publish.together import together

_PART = 16 << 20  # bytes
_PARTS = 10_000  # S3 takes no more
_AT_ONCE = 4  # each is in memory


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that goes to S3.

    Attributes:
        client: of S3.
        at: bucket and key.
        file: what is sent.
        sent: hears of each part.
    """

    client: Any
    at: Mapping[str, str]
    file: Path
    sent: Sent | None

    def put(self, before: "Hashed", about: Mapping[str, Any], conditions: Mapping[str, str]) -> str:
        """Send it; give its etag.

        Args:
            before: what the file was when it was described.
            about: what is said of the object: its type, how long caches keep it, metadata.
            conditions: on the parts coming together.

        Raises:
            Failed: the file changed meanwhile. Whatever is raised, no part stays.
        """
        step = max(_PART, -(-before.size // _PARTS))
        began = self.client.create_multipart_upload(**self.at, **about)
        where = {**self.at, "UploadId": began["UploadId"]}
        try:
            numbers = range(1, -(-before.size // step) + 1)
            jobs = (partial(self._put_part, where, number, step) for number in numbers)
            parts = together(jobs, _AT_ONCE)
            if hashed(self.file) != before:
                raise Failed(f"{self.file}: it changed while it was sent", "run it again")
            answer = self.client.complete_multipart_upload(
                **where, MultipartUpload={"Parts": parts}, **conditions
            )
        except BaseException:
            with contextlib.suppress(Exception):
                self.client.abort_multipart_upload(**where)
            raise
        return str(answer["ETag"])

    def _put_part(self, where: Mapping[str, str], number: int, step: int) -> dict[str, Any]:
        with self.file.open("rb") as source:
            source.seek((number - 1) * step)
            data = source.read(step)
        answer = self.client.upload_part(**where, PartNumber=number, Body=data)
        if self.sent:
            self.sent(len(data))
        return {"PartNumber": number, "ETag": answer["ETag"]}


class Hashed(NamedTuple):
    """What a file held."""

    sha256: str
    size: int  # bytes


def hashed(file: Path) -> Hashed:
    """Read a file through."""
    with file.open("rb") as source:
        return Hashed(hashlib.file_digest(source, "sha256").hexdigest(), source.tell())
