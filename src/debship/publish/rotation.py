"""A new signing key, while every host goes on reading: both sign, until all hosts know the new one."""

from debship.errors import Misused, Refused
from debship.publish.aftermath import settle
from debship.publish.commit import Draft, Publication, check_here, commit
from debship.publish.keys import check_keys
from debship.publish.paths import key_path
from debship.publish.publisher import Publisher
from debship.publish.snapshot import Snapshot


def add_key(publisher: Publisher, suite: str, fingerprint: str) -> Publication:
    """Let one more key sign a suite, and give it out.

    Args:
        publisher: holds the secret keys that sign now, and the new one.
        suite: which one.
        fingerprint: of the new key.

    Raises:
        Refused: a key that signs now is not here, or hosts would not believe the new one.
    """
    check_keys(publisher.keys.listing, [fingerprint], publisher.clock.now())

    def signers(before: Snapshot) -> tuple[str, ...]:
        return tuple(sorted(before.signers | {fingerprint}))

    def change(before: Snapshot) -> Draft | None:
        _give_out(publisher, suite, signers(before))
        same = Draft(before.release.settings, before.release.files)
        return None if fingerprint in before.signers else same

    return commit(publisher, suite, change, rekey=signers)


def retire_key(publisher: Publisher, suite: str, fingerprint: str) -> Publication:
    """Let a key sign a suite no more. Hosts that know no other key refuse the suite from then on.

    Raises:
        Misused: it does not sign the suite.
        Refused: no key would be left, or one that stays is not here.
    """

    def signers(before: Snapshot) -> tuple[str, ...]:
        if fingerprint not in before.signers:
            names = ", ".join(sorted(before.signers))
            raise Misused(f"{suite}: {fingerprint} does not sign it", f"those that do: {names}")
        rest = tuple(sorted(before.signers - {fingerprint}))
        if not rest:
            raise Refused(
                f"{suite}: {fingerprint} is the only key that signs it",
                f"first: debship repo key add NEW --suite {suite}",
            )
        check_here(publisher, suite, rest)
        check_keys(publisher.keys.listing, rest, publisher.clock.now())
        return rest

    def change(before: Snapshot) -> Draft:
        return Draft(before.release.settings, before.release.files)

    publication = commit(publisher, suite, change, rekey=signers)
    _give_out(publisher, suite, tuple(sorted(publisher.snapshot(suite).signers)))
    settle(publisher, suite)
    return publication


def _give_out(publisher: Publisher, suite: str, fingerprints: tuple[str, ...]) -> None:
    path = key_path(suite)
    armored = publisher.keys.certificates(fingerprints).armored.encode()
    found = publisher.store.read(path)
    if found is None or found.data != armored:
        publisher.store.write(path, armored)
