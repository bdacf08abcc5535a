"""Whether a key signs what every supported apt believes, for long enough."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from debship.errors import Refused
from debship.publish.signing import Certificates, Keyring, dearmored

_NAMES = {"1": "rsa", "17": "dsa", "19": "ecdsa", "22": "eddsa"}
_CURVES = ("ed25519", "nistp256", "nistp384", "nistp521")
_SOUND_DIGESTS = ("8", "9", "10")  # SHA-256, -384, -512 (RFC 9580, 9.5)
_REMAINING = timedelta(days=14)  # what is published now must be believed as long as it is promised

# Debian 13's apt takes RSA below 3072 bits until 2030-02-01 and warns a year before
# (/usr/share/apt/default-sequoia.config).
_SHORT_RSA_ENDS = datetime(2029, 2, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Key:
    """A key that signs.

    Attributes:
        algorithm: ``ed25519``, ``rsa4096``, ``nistp256``.
        expires: UTC; None where it never does.
        lost: ``revoked``, ``expired`` or empty.
        bound: whether a digest that apt believes binds it to its user.
    """

    fingerprint: str
    user: str
    algorithm: str
    bits: int
    expires: datetime | None
    lost: str
    bound: bool


def inspect(ring: Keyring, fingerprint: str, packets: bytes) -> Key:
    """Read what gpg knows of a key, from the part of it that signs.

    Args:
        ring: holds it.
        fingerprint: which one.
        packets: its public part, maybe with others.
    """
    listed = ring.gpg("--with-colons", "--fixed-list-mode", "--list-keys", fingerprint).text
    lines = [line.split(":") for line in listed.splitlines()]
    signing = [line for line in lines if line[0] in ("pub", "sub") and "s" in line[11]]
    usable = [line for line in signing if line[1] not in ("e", "r", "i", "d")] or signing
    line = usable[-1] if usable else next(line for line in lines if line[0] == "pub")
    described = ring.gpg("--list-packets", stdin=packets).text
    return Key(
        fingerprint=fingerprint,
        user=next((line[9] for line in lines if line[0] == "uid"), ""),
        algorithm=line[16] or f"{_NAMES.get(line[3], line[3])}{line[2]}",
        bits=int(line[2] or 0),
        expires=datetime.fromtimestamp(int(line[6]), UTC) if line[6] else None,
        lost={"r": "revoked", "e": "expired"}.get(line[1], "") if signing else "unable to sign",
        bound=_is_bound(described, fingerprint),
    )


def _is_bound(packets: str, fingerprint: str) -> bool:
    """Look for a self-signature (class 0x10 to 0x13) that is not made with SHA-1 or MD5."""
    found = re.findall(
        r":signature packet: algo \d+, keyid ([0-9A-F]+)\n"
        r".*sigclass 0x1[0-3]\n\s*digest algo (\d+)",
        packets,
    )
    return any(fingerprint.endswith(keyid) and digest in _SOUND_DIGESTS for keyid, digest in found)


def problem(key: Key, now: datetime) -> str | None:
    """Say why hosts would not believe a key, or soon would not; None where they do."""
    if key.lost:
        return f"it is {key.lost}"
    if key.expires is not None and key.expires - now < _REMAINING:
        return f"it expires on {key.expires:%Y-%m-%d}, within {_REMAINING.days} days"
    if key.algorithm.startswith("rsa"):
        if key.bits < 2048 or (key.bits < 3072 and now >= _SHORT_RSA_ENDS):
            return f"apt of Debian 13 refuses {key.algorithm}"
    elif key.algorithm not in _CURVES:
        return f"apt of Debian 13 refuses {key.algorithm}"
    if not key.bound:
        return "its self-signature is made with SHA-1, which apt of Debian 13 refuses"
    return None


def inspected(ring: Keyring, public: Certificates) -> Mapping[str, Key]:
    """Read what gpg knows of all keys of a ring, by their fingerprints; see ``inspect``."""
    packets = dearmored(public.armored)
    return {it: inspect(ring, it, packets) for it in ring.fingerprints}


def check_keys(keys: Mapping[str, Key], fingerprints: Sequence[str], now: datetime) -> None:
    """Refuse keys that hosts would not believe.

    Args:
        keys: what is known of them, by fingerprint.
        fingerprints: which of them.
        now: the time, UTC.

    Raises:
        Refused: naming the first of them.
    """
    for fingerprint in fingerprints:
        why = problem(keys[fingerprint], now)
        if why:
            raise Refused(
                f"key {fingerprint}: {why}",
                "make it last with gpg --quick-set-expire, or sign with another: "
                "debship repo key add, then retire this one",
            )
