"""Signing and verifying with gpg; no secret key is ever written where others read."""

import base64
import contextlib
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from debship.errors import Failed, Misused, Refused
from debship.model import Secret
from debship.publish.scratch import scratch, sweep
from debship.run import Completed, Run, Word

_BEGIN, _END = b"-----BEGIN PGP SIGNED MESSAGE-----\n", b"-----END PGP SIGNATURE-----\n"
_ARMOR = re.compile(
    r"-----BEGIN PGP PUBLIC KEY BLOCK-----\n(?:[^\n:]+: [^\n]*\n)*\n(.*?)\n-----END", re.S
)
_LISTED = ("--with-colons", "--with-sig-list")
_TIMEOUT = 60.0  # seconds; gpg that waits for somebody to answer never ends


class Certificates(NamedTuple):
    """Public keys, and those of them whose signature counts."""

    armored: str
    trusted: frozenset[str]  # fingerprints of primary keys


class Verified(NamedTuple):
    """A text that was signed, and by whom."""

    text: bytes
    signers: frozenset[str]  # fingerprints of primary keys, trusted or not


class Keyring(NamedTuple):
    """Secret keys that may sign, in the user's keyring or in a home that is thrown away.

    Attributes:
        fingerprints: of primary keys; the first signs a new suite.
        listing: what gpg lists of them, and their signatures.
        home: None is the user's own.
    """

    run: Run
    fingerprints: tuple[str, ...] = ()
    listing: str = ""
    home: Path | None = None
    passphrase: Secret | None = None

    def found(self, names: Sequence[str]) -> "Keyring":
        """Give a ring of the secret keys that gpg finds by these names; of none, of all.

        Raises:
            Misused: it finds none, or several by one name.
        """
        listed = {name: self._listed(name) for name in names or ("",)}
        for name, text in listed.items():
            count = len(primaries(text, "sec"))
            if name and count != 1:
                raise Misused(f"gpg has {count} secret keys {name}", "name it by its fingerprint")
        listing = "\n".join(listed.values())
        fingerprints = tuple(dict.fromkeys(primaries(listing, "sec")))
        if not fingerprints:
            raise Misused("there is no secret key to sign with")
        return self._replace(fingerprints=fingerprints, listing=listing)

    def _listed(self, name: str) -> str:
        try:
            return self.gpg(*_LISTED, "--list-secret-keys", *(["--", name] if name else [])).text
        except Failed as error:
            raise Misused(f"gpg has no secret key {name}", "see: gpg --list-secret-keys") from error

    def sign(self, text: bytes, fingerprints: Sequence[str]) -> bytes:
        """Sign a text in the clear, with all of these keys (InRelease).

        Raises:
            Failed: gpg could not, with what it says and no secret.
        """
        users = [word for one in fingerprints for word in ("--local-user", one)]
        with scratch() as folder:
            file = folder / "Release"
            file.write_bytes(text)
            words = ("--digest-algo", "SHA512", *users, "--passphrase-fd", "0", "--output", "-")
            passphrase = self.passphrase.reveal().encode() if self.passphrase else b""
            try:
                return self.gpg(*words, "--clearsign", file, stdin=passphrase + b"\n").stdout
            except Failed as error:
                raise Failed(
                    error.message,
                    "a key with a passphrase needs it in DEBSHIP_SIGNING_PASSPHRASE, "
                    "or in the gpg-agent's memory",
                ) from error

    def certificates(self, fingerprints: Sequence[str]) -> Certificates:
        """Give the public keys of these, all in one block."""
        export = ("--armor", "--export-options", "export-minimal", "--export", *fingerprints)
        text = self.gpg(*export).stdout.decode()
        if "BEGIN PGP PUBLIC KEY BLOCK" not in text:
            raise Misused(f"gpg has no key {' '.join(fingerprints)}", "see: gpg --list-secret-keys")
        return Certificates(text, frozenset(fingerprints))

    def named(self, name: str) -> str:
        """Find the fingerprint of a key that is here by its end, or by what else gpg finds it by.

        Raises:
            Misused: no key, or several, are called so.
        """
        wanted = name.replace(" ", "").upper().removeprefix("0X")
        found = [one for one in self.fingerprints if wanted and one.endswith(wanted)]
        if len(found) != 1:
            found = [one for one in self.found([name]).fingerprints if one in self.fingerprints]
        if len(found) != 1:
            raise Misused(f"there is no secret key {name} here", "see: gpg --list-secret-keys")
        return found[0]

    def gpg(self, *words: Word, stdin: bytes = b"") -> Completed:
        """Run gpg on this keyring."""
        home: tuple[Word, ...] = ("--homedir", self.home) if self.home else ()
        argv = ("gpg", *home, "--batch", "--no-tty", "--pinentry-mode", "loopback", *words)
        return self.run(argv, stdin=stdin, timeout=_TIMEOUT)


@contextlib.contextmanager
def keyring(
    keys: Sequence[str], armored: Secret | None, passphrase: Secret | None, run: Run
) -> Iterator[Keyring]:
    """Open the keys that may sign.

    Args:
        keys: fingerprints or what else gpg finds one by; empty takes all that ``armored`` holds.
        armored: secret keys as text. They are imported into a home of mode 0700 that goes away
            with its agent; None takes the user's own keyring.
        passphrase: what opens them.
        run: the door to gpg.

    Raises:
        Misused: a key is not there, or no key was named.
    """
    if armored is None:
        ring = Keyring(run, passphrase=passphrase)
        yield ring.found(keys) if keys else ring
        return
    sweep(run)
    with scratch() as home:
        try:
            text = armored.reveal().encode() + b"\n"
            words = ("gpg", "--homedir", home, "--batch", "--no-tty", "--import")
            if run(words, stdin=text, timeout=_TIMEOUT, check=False).returncode:
                raise Misused(
                    "the signing key's text cannot be imported by gpg",
                    "DEBSHIP_SIGNING_KEY holds what `gpg --armor --export-secret-keys` prints",
                )
            yield Keyring(run, home=home, passphrase=passphrase).found(keys)
        finally:
            run(("gpgconf", "--homedir", home, "--kill", "all"), check=False, timeout=_TIMEOUT)


def verify(signed: bytes, certificates: Certificates, run: Run) -> Verified:
    """Check a text signed in the clear; give back only what the signature covers.

    Raises:
        Refused: it is not signed, or by nobody that counts.
    """
    if not signed.startswith(_BEGIN) or not signed.endswith(_END) or signed.count(_BEGIN) != 1:
        raise Refused("it is not signed")
    with scratch() as folder:
        ring = folder / "keys.gpg"
        ring.write_bytes(dearmored(certificates.armored))
        home = ("--homedir", folder, "--no-default-keyring", "--keyring", ring)
        out = folder / "text"
        words = ("--batch", "--no-tty", "--trust-model", "always", "--status-fd", "1")
        argv = ("gpg", *home, *words, "--output", out, "--decrypt")
        done = run(argv, stdin=signed, check=False, timeout=_TIMEOUT)
        text = out.read_bytes() if out.exists() else b""
    return _judged(done.text, text, certificates)


def cleartext(signed: bytes) -> bytes:
    """Give the text of what is signed in the clear, whoever signed it (RFC 9580, 7).

    Raises:
        Failed: it is nothing of the kind.
    """
    _, begin, rest = signed.partition(_BEGIN)
    _, blank, rest = rest.partition(b"\n\n")
    text, end, _ = rest.partition(b"-----BEGIN PGP SIGNATURE-----\n")
    if not begin or not blank or not end:
        raise Failed("it is not signed in the clear")
    return re.sub(rb"^- ", b"", text, flags=re.M)


def _judged(status: str, text: bytes, certificates: Certificates) -> Verified:
    lines = [line.split()[1:] for line in status.splitlines() if line.startswith("[GNUPG:]")]
    kinds = [line[0] for line in lines]
    good = {line[-1] for line in lines if line[0] == "VALIDSIG"}
    unknown = {line[7] if len(line) > 7 else line[1] for line in lines if line[0] == "ERRSIG"}
    if "BADSIG" in kinds or kinds.count("PLAINTEXT") != 1 or not text:
        raise Refused("its signature does not fit its text")
    if not good & certificates.trusted:
        signers = ", ".join(sorted(good | unknown)) or "nobody"
        raise Refused(f"it is signed by {signers}, and not by a key of ours")
    return Verified(text, frozenset(good | unknown))


def certificates(armored: str, run: Run) -> Certificates:
    """Trust all of these public keys."""
    return Certificates(armored, frozenset(primaries(listed(armored, run), "pub")))


def listed(armored: str, run: Run) -> str:
    """Give what gpg lists of public keys, and their signatures."""
    show = ("gpg", "--batch", "--no-tty", *_LISTED, "--show-keys")
    with scratch() as home:
        return run((*show, "--homedir", home), stdin=armored.encode(), timeout=_TIMEOUT).text


def generate(user: str, run: Run, home: Path | None = None) -> str:
    """Make an ed25519 key that signs, has no passphrase and does not expire; give its fingerprint.

    It lies in the user's keyring, or in ``home``.
    """
    where: tuple[Word, ...] = ("--homedir", home) if home else ()
    quick = ("--quick-generate-key", user, "ed25519", "sign", "never")
    # --yes: the name of a key is no reason to refuse another; each suite may have its own.
    batch = ("--batch", "--yes", "--no-tty", "--pinentry-mode", "loopback")
    words = (*batch, "--passphrase", "", *quick)
    status = run(("gpg", *where, "--status-fd", "1", *words), timeout=_TIMEOUT).text
    return str(re.findall(r"KEY_CREATED \S+ ([0-9A-F]+)", status)[0])


def primaries(listed: str, kind: str) -> list[str]:
    """Give the fingerprints of a listing's keys: of ``pub`` or of ``sec``."""
    lines = [line.split(":") for line in listed.splitlines()]
    pairs = itertools.pairwise(lines)
    return [after[9] for line, after in pairs if line[0] == kind and after[0] == "fpr"]


def dearmored(text: str) -> bytes:
    """Turn armored public keys into their bytes (RFC 9580, 6.2).

    Raises:
        Misused: there is none.
    """
    blocks = _ARMOR.findall(text.replace("\r\n", "\n"))
    if not blocks:
        raise Misused("there is no public key in it")
    lines = ("".join(x for x in block.split("\n") if not x.startswith("=")) for block in blocks)
    return b"".join(map(base64.b64decode, lines))
