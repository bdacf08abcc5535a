"""Whether a key signs what every supported apt believes, for long enough.

What is looked at is what gpg lists with ``--with-colons --with-sig-list`` (its doc/DETAILS).
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from debship.errors import Refused

_NAMES = {"1": "rsa", "17": "dsa", "19": "ecdsa", "22": "eddsa"}
_CURVES = ("ed25519", "nistp256", "nistp384", "nistp521")
_SOUND_DIGESTS = ("8", "9", "10")  # SHA-256, -384, -512 (RFC 9580, 9.5)
_REMAINING = timedelta(days=14)  # what is published now must be believed as long as it is promised

# Debian 13's apt takes RSA below 3072 bits until 2030-02-01 and warns a year before
# (/usr/share/apt/default-sequoia.config).
_SHORT_RSA_ENDS = datetime(2029, 2, 1, tzinfo=UTC)

_MAKE = "gpg --quick-generate-key NAME ed25519 sign never"
_FOLLOW = "sign with another: debship repo key add, then debship repo key retire this one"
_BEGIN_ANEW = "begin the suite anew with another key: docs/how-to/repository.md, A new key"


class Algorithm(NamedTuple):
    """What a key is made by: ``ed25519``, ``rsa4096``, ``nistp256``."""

    name: str
    bits: int


class Key(NamedTuple):
    """A key that signs.

    Attributes:
        algorithms: of what signs, and of the primary key that vouches for it.
        expires: when the first of them does, UTC; None where neither ever does.
        lost: ``revoked``, ``expired``, ``unable to sign`` or empty.
        bound: whether digests that apt believes bind it to its user, and what signs to it.
    """

    fingerprint: str
    user: str
    algorithms: tuple[Algorithm, ...]
    expires: datetime | None
    lost: str
    bound: bool


class _Part(NamedTuple):
    """A key, a subkey or a user of a listing, and the signatures on it."""

    fields: list[str]
    signatures: list[list[str]]

    @property
    def is_subkey(self) -> bool:
        return self.fields[0] in ("sub", "ssb")

    @property
    def signs(self) -> bool:
        """Whether it is for signing, and here: of a secret key that lies elsewhere there is a stub."""
        return "s" in self.fields[11] and self.fields[14] != "#"

    @property
    def algorithm(self) -> Algorithm:
        bits, number, curve = self.fields[2], self.fields[3], self.fields[16]
        return Algorithm(curve or f"{_NAMES.get(number, number)}{bits}", int(bits or 0))

    def is_bound(self, keyid: str, classes: Sequence[str]) -> bool:
        """Whether the last signature of a key on it, the one that hosts are given, is sound."""
        own = [it for it in self.signatures if it[4] == keyid and it[10][:2] in classes]
        last = max(own, key=lambda it: int(it[5]), default=None)
        return last is not None and last[15] in _SOUND_DIGESTS


def described(listing: str) -> Mapping[str, Key]:
    """Read what gpg lists of keys, secret or public, by their fingerprints."""
    lines = [line.split(":") for line in listing.splitlines()]
    starts = [at for at, line in enumerate(lines) if line[0] in ("pub", "sec")]
    ends = itertools.pairwise([*starts, len(lines)])
    return {key.fingerprint: key for key in (_key(lines[at:end]) for at, end in ends)}


def _key(lines: Sequence[list[str]]) -> Key:
    parts = list(_parts(lines))
    primary, users = parts[0], [part for part in parts if part.fields[0] == "uid"]
    signing = [part for part in parts if part not in users and part.signs]
    usable = [part for part in signing if part.fields[1] not in ("e", "r", "i", "d")]
    # Of several, gpg takes the subkey that was made last.
    line = max(
        usable or signing or [primary], key=lambda part: (part.is_subkey, int(part.fields[5]))
    )
    chain = (line, primary) if line.is_subkey else (primary,)
    ends = [int(part.fields[6]) for part in chain if part.fields[6]]
    keyid = primary.fields[4]
    return Key(
        fingerprint=next(line[9] for line in lines if line[0] == "fpr"),
        user=users[0].fields[9] if users else "",
        algorithms=tuple(part.algorithm for part in chain),
        expires=datetime.fromtimestamp(min(ends), UTC) if ends else None,
        lost={"r": "revoked", "e": "expired"}.get(line.fields[1], "")
        if signing
        else "unable to sign",
        bound=any(user.is_bound(keyid, ("10", "11", "12", "13")) for user in users)
        and (not line.is_subkey or line.is_bound(keyid, ("18",))),
    )


def _parts(lines: Iterable[list[str]]) -> Iterable[_Part]:
    parts: list[_Part] = []
    for line in lines:
        if line[0] in ("pub", "sec", "sub", "ssb", "uid", "uat"):
            parts.append(_Part(line, []))
        elif line[0] == "sig":
            parts[-1].signatures.append(line)
    return parts


def problem(key: Key, now: datetime) -> str | None:
    """Say why hosts would not believe a key, or soon would not; None where they do."""
    if key.lost:
        return f"it is {key.lost}"
    if key.expires is not None and key.expires - now < _REMAINING:
        return f"it expires on {key.expires:%Y-%m-%d}, within {_REMAINING.days} days"
    for algorithm in key.algorithms:
        if not _is_believed(algorithm, now):
            return f"apt of Debian 13 refuses {algorithm.name}"
    if not key.bound:
        return "its self-signature is made with SHA-1, which apt of Debian 13 refuses"
    return None


def way_out(key: Key, now: datetime) -> str:
    """Say what ends the ``problem`` of a key."""
    extend = f"--quick-set-expire {key.fingerprint} 2y"
    last = f"gpg {extend}"
    if len(key.algorithms) > 1:  # the primary key, and all its subkeys
        last += f", and gpg {extend} '*'"
    told = "then publish, and give all hosts the new .sources (fab bootstrap)"
    if key.lost == "expired":
        return f"make it last: {last}; {told}; where that cannot be, {_BEGIN_ANEW}"
    if key.lost == "revoked":
        return f"where another key signs too: debship repo key retire this one; else {_BEGIN_ANEW}"
    if key.expires is not None and key.expires - now < _REMAINING:
        return f"make it last: {last}; {told}; or {_FOLLOW}"
    if not key.lost and all(_is_believed(it, now) for it in key.algorithms):
        return f"bind it anew: gpg --cert-digest-algo SHA512 {extend}; {told}; or {_FOLLOW}"
    return f"take another: {_MAKE}; where this one signs a suite already, {_FOLLOW}"


def _is_believed(algorithm: Algorithm, now: datetime) -> bool:
    if algorithm.name.startswith("rsa"):
        return algorithm.bits >= (3072 if now >= _SHORT_RSA_ENDS else 2048)
    return algorithm.name in _CURVES


def check_keys(listing: str, fingerprints: Sequence[str], now: datetime) -> None:
    """Refuse keys that hosts would not believe.

    Args:
        listing: what gpg lists of them, and maybe of others.
        fingerprints: which of them.
        now: the time, UTC.

    Raises:
        Refused: naming the first of them.
    """
    keys = described(listing)
    for fingerprint in fingerprints:
        why = problem(keys[fingerprint], now)
        if why:
            raise Refused(f"key {fingerprint}: {why}", way_out(keys[fingerprint], now))


def check_able(listing: str, fingerprints: Sequence[str], now: datetime) -> None:
    """Refuse keys that can sign no more, not even until another has followed; see ``check_keys``."""
    keys = described(listing)
    check_keys(listing, [one for one in fingerprints if keys[one].lost], now)
