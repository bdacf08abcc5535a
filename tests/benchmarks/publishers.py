"""The tools that put packages into a repository, each as its own manual says, all alike signed.

SHA-256 and gzip, no Contents, one ed25519 key without a passphrase in a warm agent; several
versions are kept where a tool can.
"""

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.publishing import S3Server

Argv = list[str]


@dataclass(frozen=True)
class Signer:
    """A gpg home and the key in it."""

    home: Path
    fingerprint: str

    @property
    def env(self) -> dict[str, str]:
        return {"GNUPGHOME": str(self.home)}


@dataclass(frozen=True)
class Bucket:
    """A bucket of moto's server."""

    endpoint: str
    name: str

    @property
    def env(self) -> dict[str, str]:
        return S3Server(self.endpoint).env


class Tool(Protocol):
    """What a benchmark asks of a tool: commands, one after another."""

    name: str
    env: dict[str, str]

    def begin(self) -> list[Argv]:
        """Make an empty repository."""
        ...

    def add(self, paths: list[Path]) -> list[Argv]:
        """Publish packages."""
        ...


@dataclass
class Debship:
    signer: Signer
    place: Path | Bucket
    venv: Path
    name: str = "debship"
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.env = {**self.signer.env, "DEBSHIP_SIGNING_KEY": self.signer.fingerprint}
        if isinstance(self.place, Bucket):
            self.env |= self.place.env

    def _do(self, *words: str) -> Argv:
        verb, *more = words
        store = (
            str(self.place) if isinstance(self.place, Path) else f"s3://{self.place.name}/debian"
        )
        return [
            str(self.venv / "bin/debship"),
            *verb.split(),
            "--store",
            store,
            "--suite",
            "stable",
            *more,
        ]

    def begin(self) -> list[Argv]:
        return [self._do("repo init")]

    def add(self, paths: list[Path]) -> list[Argv]:
        return [self._do("publish", *map(str, paths))]


@dataclass
class Reprepro:
    """One version of a package, no by-hash, a directory alone; its database lies beside it."""

    signer: Signer
    place: Path
    name: str = "reprepro"

    @property
    def env(self) -> dict[str, str]:
        return self.signer.env

    def begin(self) -> list[Argv]:
        conf = self.place / "conf"
        conf.mkdir(parents=True)
        (conf / "distributions").write_text(
            "Codename: stable\nSuite: stable\nOrigin: Example\nLabel: Example\n"
            "Architectures: amd64\nComponents: main\nDebIndices: Packages Release . .gz\n"
            f"SignWith: {self.signer.fingerprint}\n"
        )
        return []

    def add(self, paths: list[Path]) -> list[Argv]:
        return [["reprepro", "-s", "-b", str(self.place), "includedeb", "stable", *map(str, paths)]]


@dataclass
class Aptly:
    """Its pool and database lie on this machine; what is published is written anew each time."""

    signer: Signer
    place: Path
    bucket: Bucket | None = None
    name: str = "aptly"

    @property
    def env(self) -> dict[str, str]:
        return self.signer.env

    @property
    def _target(self) -> list[str]:
        return ["s3:bench:"] if self.bucket else []

    def _do(self, *words: str) -> Argv:
        return ["aptly", f"-config={self.place / 'aptly.conf'}", *words]

    def _how(self) -> list[str]:
        return ["-batch", f"-gpg-key={self.signer.fingerprint}", "-skip-contents", "-skip-bz2"]

    def begin(self) -> list[Argv]:
        self.place.mkdir(parents=True)
        conf: dict[str, object] = {"rootDir": str(self.place), "architectures": ["amd64"]}
        if self.bucket:
            conf["S3PublishEndpoints"] = {
                "bench": {
                    "region": "us-east-1",
                    "bucket": self.bucket.name,
                    "prefix": "aptly",
                    "endpoint": self.bucket.endpoint,
                    "awsAccessKeyID": "test",
                    "awsSecretAccessKey": "test",
                    "acl": "none",
                }
            }
        (self.place / "aptly.conf").write_text(json.dumps(conf))
        published = ["publish", "repo", *self._how(), "-acquire-by-hash", "-architectures=amd64"]
        return [
            self._do("repo", "create", "-distribution=stable", "-component=main", "all"),
            self._do(*published, "all", *self._target),
        ]

    def add(self, paths: list[Path]) -> list[Argv]:
        return [
            self._do("repo", "add", "all", *map(str, paths)),
            self._do("publish", "update", *self._how(), "stable", *self._target),
        ]


@dataclass
class Ftparchive:
    """The format's reference: it reads every package again, or its cache of them; gzip and gpg."""

    signer: Signer
    place: Path
    name: str = "apt-ftparchive"

    @property
    def env(self) -> dict[str, str]:
        return self.signer.env

    def begin(self) -> list[Argv]:
        for name in ("pool", "dists/stable/main/binary-amd64"):
            (self.place / name).mkdir(parents=True)
        return []

    def add(self, paths: list[Path]) -> list[Argv]:
        sources = self.place / "incoming"
        sources.write_text("".join(f"{path}\n" for path in paths))
        index = "dists/stable/main/binary-amd64/Packages"
        script = (
            f'cd "$1"; xargs -a incoming cp -t pool; '
            f"apt-ftparchive --db cache.db --md5=false --sha1=false --sha512=false packages pool > {index}; "
            f"gzip -9nc {index} > {index}.gz; "
            "apt-ftparchive --md5=false --sha1=false --sha512=false -o APT::FTPArchive::Release::Suite=stable "
            "-o APT::FTPArchive::Release::Codename=stable release dists/stable > Release.new; "
            f"gpg --batch --yes -u {self.signer.fingerprint} --clearsign -o InRelease.new Release.new; "
            "mv InRelease.new dists/stable/InRelease"
        )
        return [["sh", "-euc", script, "sh", str(self.place)]]


@dataclass
class DebS3:
    """Runs from a checkout (https://github.com/deb-s3/deb-s3) on Debian's ruby-aws-sdk-s3."""

    signer: Signer
    bucket: Bucket
    checkout: Path
    lock: bool = False

    @property
    def name(self) -> str:
        return "deb-s3 --lock" if self.lock else "deb-s3"

    @property
    def env(self) -> dict[str, str]:
        return self.signer.env

    def begin(self) -> list[Argv]:
        return []

    def add(self, paths: list[Path]) -> list[Argv]:
        program = ["ruby", "-I", str(self.checkout / "lib"), str(self.checkout / "bin/deb-s3")]
        return [
            [
                *program,
                "upload",
                *s3_words(self.signer, self.bucket, lock=self.lock),
                *map(str, paths),
            ]
        ]


@dataclass
class PydebS3:
    """From PyPI, in a virtualenv of its own."""

    signer: Signer
    bucket: Bucket
    venv: Path
    name: str = "pydeb-s3"

    @property
    def env(self) -> dict[str, str]:
        return {**self.signer.env, "AWS_DEFAULT_REGION": "us-east-1"}

    def begin(self) -> list[Argv]:
        return []

    def add(self, paths: list[Path]) -> list[Argv]:
        program = str(self.venv / "bin/pydeb-s3")
        return [
            [program, "upload", *s3_words(self.signer, self.bucket, lock=False), *map(str, paths)]
        ]


def s3_words(signer: Signer, bucket: Bucket, *, lock: bool) -> list[str]:
    """What deb-s3 and its port to Python are told alike."""
    return [
        *("--bucket", bucket.name, "--prefix", "debian", "--endpoint", bucket.endpoint),
        *("--access-key-id", "test", "--secret-access-key", "test"),
        *("--codename", "stable", "--sign", signer.fingerprint, "--visibility", "private"),
        *("--preserve-versions", *(["--lock"] if lock else [])),
    ]


def deb_s3() -> Path | None:
    """Find a checkout of deb-s3, as DEB_S3 says; rubygems has it, Debian does not."""
    place = os.environ.get("DEB_S3")
    return (
        Path(place)
        if place and Path(place, "bin/deb-s3").exists() and shutil.which("ruby")
        else None
    )
