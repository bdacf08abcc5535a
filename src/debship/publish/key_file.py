"""The public keys that a suite gives out, in its key.asc.

Nobody signs that file: who may write to the store may write any key there. So hosts are given only
what signed the suite, and where keys of our own are at hand, only those.
"""

from collections.abc import Collection, Iterable, Sequence

from debship.errors import DebshipError, Failed, Refused
from debship.publish.paths import inrelease_path, key_path
from debship.publish.scratch import scratch
from debship.publish.signing import Certificates, certificates, primaries
from debship.publish.snapshot import Snapshot
from debship.publish.store import Found, Store
from debship.run import Run

_TIMEOUT = 60.0  # seconds
_WRITTEN_ANEW = "debship repo key add FINGERPRINT, with a key that signs the suite, writes it anew"


def public_keys(store: Store, suite: str, run: Run) -> Certificates:
    """Read the keys that a suite gives out; whoever has none of their own trusts these.

    Raises:
        Refused: there are none.
    """
    path = key_path(suite)
    found = store.read(path)
    if found is not None:
        return _parsed(found, path, run)
    if store.read(inrelease_path(suite)) is not None:
        raise Refused(f"{path}: it is missing", _WRITTEN_ANEW)
    raise Refused(
        f"{suite}: an unsigned store: there is no {path}",
        f"debship repo init --suite {suite} ... makes it; else look at --suite and --store",
    )


def _parsed(found: Found, path: str, run: Run) -> Certificates:
    try:
        keys = certificates(found.data.decode(errors="replace"), run)
    except Failed as error:  # what gpg says names a folder that is gone
        raise Refused(f"{path}: it is damaged", _WRITTEN_ANEW) from error
    if not keys.trusted:
        raise Refused(f"{path}: it holds no public key", _WRITTEN_ANEW)
    return keys


def merged(blocks: Iterable[str], fingerprints: Collection[str], run: Run) -> Certificates:
    """Take some keys out of armored blocks, each with the newest that any block says of it.

    Args:
        blocks: armored keys, and maybe others; what gpg cannot read is left out.
        fingerprints: of the primary keys that are wanted.
        run: the door to gpg.

    Returns:
        those that are there, in the order of the first block.
    """
    if not fingerprints:
        return Certificates("", frozenset())
    with scratch() as home:
        gpg = ("gpg", "--homedir", home, "--batch", "--no-tty", "--no-autostart")
        for block in blocks:
            run((*gpg, "--import"), stdin=block.encode(), check=False, timeout=_TIMEOUT)
        export = ("--armor", "--export-options", "export-minimal", "--export", *fingerprints)
        text = run((*gpg, *export), check=False, timeout=_TIMEOUT).stdout.decode()
    return certificates(text, run) if text else Certificates("", frozenset())


def called(name: str, blocks: Iterable[str], run: Run) -> tuple[str, ...]:
    """Find the fingerprints of the public keys that gpg finds by a name, as ``--key`` does."""
    with scratch() as home:
        gpg = ("gpg", "--homedir", home, "--batch", "--no-tty", "--no-autostart")
        for block in blocks:
            run((*gpg, "--import"), stdin=block.encode(), check=False, timeout=_TIMEOUT)
        words = ("--with-colons", "--list-keys", *(["--", name] if name else []))
        return tuple(primaries(run((*gpg, *words), check=False, timeout=_TIMEOUT).text, "pub"))


def due(found: Found | None, signers: frozenset[str], ours: Certificates, run: Run) -> bytes:
    """Say what a key.asc shall hold: all that signs and nothing else, as it is now.

    What is there is kept where it is newer: another publisher may know of a later expiry.

    Args:
        found: what it holds.
        signers: fingerprints.
        ours: the public keys of a publisher who has them all, and maybe more.
        run: the door to gpg.
    """
    present = ours.armored.encode()
    if ours.trusted == signers and (found is None or found.data == present):
        return present
    blocks = [found.data.decode(errors="replace")] if found else []
    return merged([*blocks, ours.armored], signers, run).armored.encode()


def with_given(store: Store, snapshot: Snapshot, ours: Certificates, run: Run) -> Certificates:
    """Give the signers' keys: ours, and what the suite gives out, to be shown and not to be trusted."""
    if snapshot.signers <= ours.trusted:
        return ours
    found = store.read(key_path(snapshot.release.settings.suite))
    blocks = [found.data.decode(errors="replace")] if found else []
    return merged([*blocks, ours.armored], snapshot.signers, run)


def check_known(suite: str, signers: Collection[str], keys: Certificates) -> None:
    """See that hosts are given every key that signs, for tomorrow one of them may sign alone.

    Raises:
        Refused: one is not among these keys.
    """
    unknown = sorted(set(signers) - keys.trusted)
    if unknown:
        raise Refused(
            f"{suite}: {' and '.join(unknown)} signs it too, and is no key of ours",
            "name all keys that sign it (--key), or write its key.asc anew: debship repo key add; "
            "if the key is nobody's of yours, publish again without it",
        )


def key_problems(store: Store, snapshot: Snapshot, keys: Certificates, run: Run) -> tuple[str, ...]:
    """Compare what a suite gives out with what signs it.

    Args:
        store: where it lies.
        snapshot: of the suite.
        keys: what is known of its signers.
        run: the door to gpg.

    Returns:
        what is wrong, a line each.
    """
    path = key_path(snapshot.release.settings.suite)
    found = store.read(path)
    if found is None:
        return (f"{path}: it is missing",)
    try:
        given = _parsed(found, path, run)
    except DebshipError as error:
        return (error.message,)
    signers = snapshot.signers
    strange, lacking = sorted(given.trusted - signers), sorted(signers - given.trusted)
    problems = [f"{path}: it gives out {one}, which does not sign the suite" for one in strange]
    problems += [f"{path}: it lacks {one}, which signs the suite" for one in lacking]
    common = signers & given.trusted & keys.trusted
    if _says_less(given.armored, keys.armored, sorted(common), run):
        problems.append(f"{path}: it has an older state of a key; publish again to give it out")
    return tuple(problems)


def _says_less(given: str, ours: str, fingerprints: Sequence[str], run: Run) -> bool:
    both, alone = merged([given, ours], fingerprints, run), merged([given], fingerprints, run)
    return both.armored != alone.armored
