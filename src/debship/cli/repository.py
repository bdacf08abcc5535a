"""What the commands of a repository share: which store, which suite, which keys."""

import contextlib
import functools
import os
import random
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from debship.cli.ending import ended_cleanly
from debship.cli.output import Say
from debship.errors import Misused
from debship.model import Secret
from debship.run import run

if TYPE_CHECKING:
    from debship.config.fleet import RepositorySettings
    from debship.publish.publisher import Publisher
    from debship.publish.signing import Certificates, Keyring
    from debship.publish.snapshot import Snapshot
    from debship.publish.store import Store

# What gpg finds a key by; the second is an address.
_NAMES_A_KEY = re.compile(r"(?:0x)?[0-9A-Fa-f]{8,64}!?|[^@\s]{1,64}@[^@\s]{1,190}")
_OPTIONS = (
    click.option(
        "--single-publisher",
        is_flag=True,
        help="Take an S3 store that ignores conditional writes; two publishers lose packages.",
    ),
    click.option(
        "--key",
        "keys",
        multiple=True,
        metavar="FINGERPRINT",
        help="A signing key of your keyring; several sign together. "
        "Left out: DEBSHIP_SIGNING_KEY, fingerprints or armored text.",
    ),
    click.option("--suite", metavar="SUITE", help="Left out: that of fleet.toml."),
    click.option(
        "--store",
        metavar="STORE",
        help="A directory or s3://bucket/prefix. "
        "Left out: DEBSHIP_STORE, or the nearest fleet.toml.",
    ),
)


def on_repository(function: Callable[..., None]) -> Callable[..., None]:
    """Add --store, --suite, --key and what goes with them; hand in what they say as ``where``."""

    @functools.wraps(function)
    def wrapped(
        *,
        store: str | None,
        suite: str | None,
        keys: tuple[str, ...],
        single_publisher: bool,
        **others: Any,
    ) -> None:
        where = target(store, suite, keys, single_publisher=single_publisher)
        function(where=where, **others)

    command: Callable[..., None] = wrapped
    for option in _OPTIONS:
        command = option(command)
    return command


class Target(NamedTuple):
    """Where a command works, and with which keys."""

    address: str
    store: "Store"
    named_suite: str | None
    keys: tuple[str, ...]
    armored: Secret | None
    passphrase: Secret | None

    @property
    def suite(self) -> str:
        """The suite that was named, or that of the nearest fleet.toml.

        Raises:
            Misused: nothing says it.
        """
        settings = None if self.named_suite else _of_the_fleet()
        suite = self.named_suite or (settings.suite if settings else None)
        if not suite:
            raise Misused("no suite", "--suite NAME, or repository.suite in fleet.toml")
        return suite

    @contextlib.contextmanager
    def publisher(self, say: Say, *, others: tuple[str, ...] = ()) -> "Iterator[Publisher]":
        """Open the signing keys.

        Raises:
            Misused: no key was named.
        """
        with self.opening(say, others=others) as opened:
            yield opened()

    @contextlib.contextmanager
    def opening(
        self, say: Say, *, others: tuple[str, ...] = ()
    ) -> "Iterator[Callable[[], Publisher]]":
        """Open the signing keys while the caller does something else; asking for them waits.

        Raises:
            Misused: no key was named.
        """
        from debship.publish.signing import keyring
        from debship.publish.together import soon

        if not self.keys and not others and self.armored is None:
            raise Misused(
                "no key to sign with",
                "--key FINGERPRINT, or DEBSHIP_SIGNING_KEY; "
                "debship repo init --generate-key makes one",
            )
        names = (*self.keys, *others) if self.keys or self.armored is None else ()
        with ended_cleanly(), contextlib.ExitStack() as stack:

            def opened() -> "tuple[Keyring, Certificates]":
                keys = stack.enter_context(keyring(names, self.armored, self.passphrase, run))
                return keys, keys.certificates(keys.fingerprints)

            begun = soon(opened)
            try:
                # Loaded while gpg works.
                from debship.publish.clock import Clock
                from debship.publish.publisher import Publisher

                def ready() -> Publisher:
                    keys, ours = begun()
                    return Publisher(
                        store=self.store,
                        keys=keys,
                        clock=Clock(lambda: datetime.now(UTC), time.sleep, _epoch()),
                        say=say,
                        jitter=random.random,
                        ours=ours,
                    )

                yield ready
            finally:
                with contextlib.suppress(Exception):  # it was told, or something else was before
                    begun()  # nothing opens keys any more when the stack closes them

    def url(self, given: str | None) -> str:
        """Find out where hosts read the repository: as given, as fleet.toml says, or its directory.

        Raises:
            Misused: nothing says it.
        """
        if given:
            return given
        settings = _of_the_fleet()
        if settings and settings.store == self.address:
            return settings.url
        if "://" in self.address:
            raise Misused("no URL", "--url URL: where hosts read the repository")
        return Path(self.address).resolve().as_uri()

    def read(self) -> "tuple[Snapshot, Certificates]":
        """Read the suite: checked with our keys where we have any, else with those it gives out.

        Returns:
            the suite; and of the keys that it was checked with, those that signed it.
        """
        from debship.publish.key_file import merged, public_keys
        from debship.publish.signing import keyring
        from debship.publish.snapshot import read_snapshot

        if self.keys or self.armored is not None:
            with keyring(self.keys, self.armored, self.passphrase, run) as keys:
                trusted = keys.certificates(keys.fingerprints)
        else:
            trusted = public_keys(self.store, self.suite, run)
        snapshot = read_snapshot(self.store, self.suite, trusted, run)
        return snapshot, merged([trusted.armored], snapshot.signers & trusted.trusted, run)


def target(
    store: str | None, suite: str | None, keys: tuple[str, ...], *, single_publisher: bool = False
) -> Target:
    """Find out where a command works.

    Raises:
        Misused: neither the command, nor the environment, nor a fleet.toml says it.
    """
    from debship.publish.store import open_store

    store = store or os.environ.get("DEBSHIP_STORE")
    if not store:
        settings = _of_the_fleet()
        store = settings.store if settings else None
    if not store:
        raise Misused("no store", "--store DIR or s3://bucket/prefix, or DEBSHIP_STORE")
    named, armored = _signing_key(keys)
    phrase = os.environ.get("DEBSHIP_SIGNING_PASSPHRASE")
    opened = open_store(store, single_publisher=single_publisher)
    return Target(store, opened, suite, named, armored, Secret(phrase) if phrase else None)


def _signing_key(keys: tuple[str, ...]) -> tuple[tuple[str, ...], Secret | None]:
    value = os.environ.get("DEBSHIP_SIGNING_KEY", "").strip()
    if value.startswith("-----BEGIN"):
        return keys, Secret(value)
    if keys:
        return keys, None
    names = tuple(value.split())
    if not all(_NAMES_A_KEY.fullmatch(name) for name in names):
        # What it holds may be a key in another form, and is not shown.
        raise Misused(
            "DEBSHIP_SIGNING_KEY is neither a fingerprint nor a key as armored text",
            "it holds what `gpg --armor --export-secret-keys FINGERPRINT` prints, not encoded again",
        )
    return names, None


def _epoch() -> datetime | None:
    """Read SOURCE_DATE_EPOCH (https://reproducible-builds.org/specs/source-date-epoch/)."""
    text = os.environ.get("SOURCE_DATE_EPOCH", "").strip()
    if not text:
        return None
    try:
        return datetime.fromtimestamp(int(text), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise Misused(f'SOURCE_DATE_EPOCH is "{text}", no count of seconds') from error


def _of_the_fleet() -> "RepositorySettings | None":
    from debship.config.fleet_file import find_fleet, read_fleet

    path = find_fleet(Path.cwd())
    return read_fleet(path).repository if path else None
