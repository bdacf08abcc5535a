"""What the tests of the publishing room share; gpg is the real one."""

import contextlib
import functools
import http.server
import json
import os
import random
import shutil
import socketserver
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

from debship.publish import clock as clocks
from debship.publish.publisher import Publisher
from debship.publish.release import Settings
from debship.publish.signing import Certificates, Keyring, generate
from debship.run import run


@dataclass(frozen=True)
class Home:
    """A gpg home with a key or two."""

    path: Path
    fingerprints: tuple[str, ...]

    @property
    def env(self) -> dict[str, str]:
        return {"GNUPGHOME": str(self.path), "DEBSHIP_SIGNING_KEY": self.fingerprints[0]}

    def ring(self, *which: int) -> Keyring:
        chosen = tuple(self.fingerprints[at] for at in which) or self.fingerprints[:1]
        return _opened(self.path, chosen)


@functools.cache
def _opened(home: Path, fingerprints: tuple[str, ...]) -> Keyring:
    """Ask gpg for keys once; it takes longer than all else of most tests."""
    return Keyring(run, home=home).found(fingerprints)


@contextlib.contextmanager
def gpg_home(keys: int) -> Iterator[Home]:
    path = Path(
        tempfile.mkdtemp(prefix="dsk-", dir="/dev/shm")
    )  # short: gpg-agent's socket lies in it
    try:
        yield Home(path, tuple(generate(f"key {n}", run, path) for n in range(keys)))
    finally:
        run(["gpgconf", "--homedir", path, "--kill", "all"], check=False)
        shutil.rmtree(path, ignore_errors=True)


@dataclass
class Clock:
    """Stands still until it is told to go on; a pause goes on."""

    at: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    paused: float = 0.0

    def now(self) -> datetime:
        return self.at

    def pause(self, seconds: float) -> None:
        self.paused += seconds
        self.at += timedelta(seconds=seconds)


def make_publisher(store, ring: Keyring, clock: Clock | None = None, say=lambda text: None):
    clock = clock or Clock()
    return Publisher(
        store=store,
        keys=ring,
        clock=clocks.Clock(clock.now, clock.pause),
        say=say,
        jitter=random.random,
        ours=_public(ring),
    )


_PUBLIC: dict[tuple[Path | None, tuple[str, ...]], Certificates] = {}


def _public(ring: Keyring) -> Certificates:
    """Ask gpg for a key's public part once."""
    which = (ring.home, ring.fingerprints)
    if which not in _PUBLIC:
        _PUBLIC[which] = ring.certificates(ring.fingerprints)
    return _PUBLIC[which]


def settings(suite: str = "production", **others) -> Settings:
    values = {"codename": suite, "origin": "Example", "label": "Example", **others}
    return Settings(suite=suite, **values)


@dataclass(frozen=True)
class S3Server:
    """moto's threaded server, in a process of its own."""

    url: str

    @property
    def env(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def client(self):
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    @functools.cached_property
    def shared(self):
        return self.client()

    def bucket(self, name: str, *, own: bool = False):
        """Make a bucket; give a client, one that nobody else has where it will be tampered with."""
        client = self.client() if own else self.shared
        client.create_bucket(Bucket=name)
        everybody = {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{name}/*",
        }
        policy = {"Version": "2012-10-17", "Statement": [everybody]}
        client.put_bucket_policy(Bucket=name, Policy=json.dumps(policy))
        return client


def debship(*words, env: dict[str, str], check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    done = subprocess.run(
        [sys.executable, "-m", "debship", *map(str, words)],
        check=False,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
    )
    if check:
        assert done.returncode == 0, done.stderr
    return done


class Quiet(http.server.SimpleHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *words) -> None:
        pass


@contextlib.contextmanager
def served(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve a folder over HTTP; note what is asked for."""
    handler = type("Handler", (Quiet,), {"asked": []})
    make = functools.partial(handler, directory=str(folder))
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), make) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", handler.asked
        server.shutdown()
