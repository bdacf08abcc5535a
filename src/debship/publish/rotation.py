"""A new signing key, while every host goes on reading: both sign, until all hosts know the new one."""

from debship.errors import Misused, Refused
from debship.publish.aftermath import due_now, settle
from debship.publish.commit import Draft, Publication, check_here, commit
from debship.publish.key_file import called, merged
from debship.publish.keys import check_able, check_keys
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
        Refused: a key that signs now is not here or can sign no more, or hosts would not believe
            the new one.
    """
    check_keys(publisher.keys.listing, [fingerprint], publisher.clock.now())

    def signers(before: Snapshot) -> tuple[str, ...]:
        both = tuple(sorted(before.signers | {fingerprint}))
        check_here(publisher, suite, both)
        check_able(publisher.keys.listing, both, publisher.clock.now())
        return both

    def change(before: Snapshot) -> Draft | None:
        same = Draft(before.release.settings, before.release.files)
        return None if fingerprint in before.signers else same

    # Hosts that have the old key alone go on reading, so the new one is given out when it signs:
    # where it cannot, nobody is told to trust it.
    publication = commit(publisher, suite, change, rekey=signers)
    _give_out(publisher, suite)
    return publication


def retire_key(publisher: Publisher, suite: str, fingerprint: str) -> Publication:
    """Let a key sign a suite no more. Hosts that know no other key refuse the suite from then on.

    Where it does not sign, but is given out still (its retirement was cut off), that ends.

    Raises:
        Misused: it neither signs the suite nor is given out.
        Refused: no key would be left, or one that stays is not here.
    """

    def signers(before: Snapshot) -> tuple[str, ...]:
        if fingerprint not in before.signers and not _is_given(publisher, suite, fingerprint):
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

    def change(before: Snapshot) -> Draft | None:
        same = Draft(before.release.settings, before.release.files)
        return same if fingerprint in before.signers else None

    publication = commit(publisher, suite, change, rekey=signers)
    _give_out(publisher, suite)
    return publication


def signer(publisher: Publisher, suite: str, name: str) -> str:
    """Find a key that signs a suite, or is given out, by what gpg would find it by.

    Its secret key need not be here.

    Raises:
        Misused: no such key, or several, are called so.
    """
    signers = publisher.snapshot(suite).signers
    wanted = name.replace(" ", "").upper().removeprefix("0X")
    found = {one for one in signers if wanted and one.endswith(wanted)}
    if len(found) != 1:
        blocks = [_given(publisher, suite), publisher.ours.armored]
        found = set(called(name, blocks, publisher.keys.run)) & {
            *signers,
            *called("", blocks[:1], publisher.keys.run),
        }
    if len(found) != 1:
        raise Misused(
            f"{suite}: {name} does not sign it",
            f"name one by its fingerprint: {', '.join(sorted(found or signers))}",
        )
    return found.pop()


def _is_given(publisher: Publisher, suite: str, fingerprint: str) -> bool:
    return bool(merged([_given(publisher, suite)], [fingerprint], publisher.keys.run).trusted)


def _given(publisher: Publisher, suite: str) -> str:
    found = publisher.store.read(key_path(suite))
    return found.data.decode(errors="replace") if found else ""


def _give_out(publisher: Publisher, suite: str) -> None:
    """Write the keys that sign a suite now; other than what follows a commit, it may not fail."""
    path = key_path(suite)
    found, now = publisher.store.read(path), publisher.snapshot(suite)
    text = due_now(publisher, now, found)
    if found is None or found.data != text:
        publisher.store.write(path, text)
    settle(publisher, suite, now)
