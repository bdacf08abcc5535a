"""The one way in which a suite changes: everything it names first, then InRelease on a condition.

No lock is held, so none can be left behind. Who loses the race begins again from what won. A
publisher that dies leaves the suite as it was, and objects that nothing names.

Seen from a store that is far away it is four rounds: read, upload, commit, tell.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import NamedTuple, Self

from debship.errors import Failed, Refused
from debship.publish import contents
from debship.publish.aftermath import due_now, follow, foresee, settle, shown
from debship.publish.clock import Last
from debship.publish.index import Index
from debship.publish.keys import check_keys
from debship.publish.page import Page
from debship.publish.paths import PAGE, by_hash_path, history_path, inrelease_path
from debship.publish.publisher import Publisher
from debship.publish.release import Checksum, Part, Release, Settings
from debship.publish.snapshot import Beside, Snapshot, checksums
from debship.publish.store import Condition, Conflict, IfAbsent, IfMatch, Store
from debship.publish.together import pair, soon, together

_ATTEMPTS = 60


class Draft(NamedTuple):
    """What a suite shall become.

    Attributes:
        files: what Release names, changed indices apart.
        indices: those that change.
        contents: the Contents that change, by their paths.
        first: writes that must be made before the commit; they do not wait for one another.
        added: the stanzas that are new, where nothing else changes; None where more does.
        beside: what was read beside the snapshot, if more than came with it.
    """

    settings: Settings
    files: Mapping[str, Checksum]
    indices: Mapping[Part, Index] = MappingProxyType({})
    contents: Mapping[str, bytes] = MappingProxyType({})
    first: Sequence[Callable[[], object]] = ()
    added: tuple[bytes, ...] | None = None
    beside: Beside | None = None


class Publication(NamedTuple):
    """What a commit left.

    Attributes:
        id: the SHA-256 of the InRelease.
        changed: False where everything was published already, and nothing was written.
    """

    id: str
    suite: str
    date: datetime
    changed: bool

    @classmethod
    def of(cls, now: Snapshot, *, changed: bool) -> Self:
        """Say what is published now."""
        release = now.release
        return cls(now.id, release.settings.suite, release.date, changed)


def commit(
    publisher: Publisher,
    suite: str,
    change: Callable[[Snapshot], Draft | None],
    *,
    likely: Sequence[str] = (),
    rekey: Callable[[Snapshot], tuple[str, ...]] | None = None,
) -> Publication:
    """Change a suite.

    Args:
        publisher: who does it.
        suite: which one; it was made by ``repo init``.
        change: what it shall become, from what it is; None leaves it as it is. It is asked again
            after each lost race. It is asked only where a commit could follow, so it may write
            what nothing names yet.
        likely: where the indices lie that it will want, as far as one can tell; they are read
            together with the InRelease.
        rekey: the fingerprints that shall sign from now on; None keeps those that do.

    Raises:
        Refused: apt would refuse the result, or ``change`` does.
        Failed: the store failed, or other publishers were always first.
    """
    read = partial(publisher.snapshot, suite, (*likely, PAGE))
    for attempt in range(_ATTEMPTS):
        before = read()
        signers = rekey(before) if rekey else tuple(sorted(before.signers))
        check_here(publisher, suite, signers)
        if not rekey:  # who leaves a key that is about to expire still signs with it
            check_keys(publisher.keys.listing, signers, publisher.clock.now())
        publisher.clock.check(publisher.store.now(), _last(before))
        draft = change(before)
        if draft is None:
            settle(publisher, suite, before)
            return Publication.of(before, changed=False)
        seen = before if draft.beside is None else before._replace(beside=draft.beside)
        try:
            return _attempt(publisher, seen, draft, signers)
        except Conflict:
            publisher.say("another publisher was first; starting again from what it left")
            publisher.clock.pause(min(0.05 * 2**attempt, 2.0) * (0.5 + publisher.jitter()))
    raise Failed(f"{suite}: {_ATTEMPTS} times another publisher was first", "run it again")


def create(publisher: Publisher, draft: Draft, before_it: Mapping[str, bytes]) -> Publication:
    """Make a suite that is not there.

    Args:
        publisher: who does it; all its keys sign.
        draft: the suite.
        before_it: what must lie in the store when it appears.

    Raises:
        Refused: somebody made it meanwhile.
    """
    suite, signers = draft.settings.suite, publisher.keys.fingerprints
    check_keys(publisher.keys.listing, signers, publisher.clock.now())
    publisher.clock.check(publisher.store.now(), None)
    for path, data in before_it.items():
        publisher.store.write(path, data)
    try:
        return _attempt(publisher, None, draft, signers)
    except Conflict as error:
        raise Refused(f"{suite}: somebody else made it just now") from error


def _attempt(
    publisher: Publisher, before: Snapshot | None, draft: Draft, signers: tuple[str, ...]
) -> Publication:
    store, suite = publisher.store, draft.settings.suite
    packed = {it: index.files(xz=draft.settings.xz) for it, index in draft.indices.items()}
    files = dict(draft.files)
    for part, index in draft.indices.items():
        files |= checksums(part, index, packed[part])
    written, sums = contents.packed(draft.contents)
    written |= {f"{it.folder}/{name}": data for it in packed for name, data in packed[it].items()}
    files |= sums
    writes: list[Callable[[], object]] = [
        *draft.first,
        *(
            partial(store.write, by_hash_path(suite, path, files[path].sha256), data)
            for path, data in written.items()
        ),
        *([partial(_keep, store, suite, before)] if before else []),
    ]

    def signing() -> tuple[Release, bytes, Callable[[], Page | None]]:
        signed = _signed(publisher, before, draft.settings, files, signers)
        # Writes are on their way by now; they would have waited for Python, and the page can.
        return *signed, soon(partial(shown, before))

    (release, inrelease, page), _ = pair(signing, partial(together, writes))
    publisher.say(f"committing to {suite}")
    now = Snapshot(release, inrelease, "", release.date, frozenset(signers))
    condition = IfMatch(before.etag) if before else IfAbsent()
    etag, ahead = pair(
        partial(_put, store, suite, inrelease, condition),
        partial(
            foresee,
            before,
            now,
            written,
            draft.added,
            page,
            key=partial(due_now, publisher, now, None),
        ),
    )
    now = now._replace(etag=etag)
    follow(publisher, now, ahead)
    return Publication.of(now, changed=True)


def _signed(
    publisher: Publisher,
    before: Snapshot | None,
    settings: Settings,
    files: Mapping[str, Checksum],
    signers: tuple[str, ...],
) -> tuple[Release, bytes]:
    """Make the Release, and its InRelease."""
    publisher.say("signing")
    date = publisher.clock.date(publisher.store.now(), _last(before))
    release = Release(settings, date, files)
    return release, publisher.keys.sign(release.render(), signers)


def _put(store: Store, suite: str, inrelease: bytes, condition: Condition) -> str:
    """Write the commit; a lost answer to a write that was made is no lost race."""
    path = inrelease_path(suite)
    try:
        return store.write(path, inrelease, condition).etag
    except Conflict:
        there = store.read(path)
        if there is None or there.data != inrelease:
            raise
        return there.etag


def _keep(store: Store, suite: str, before: Snapshot) -> None:
    """Keep what is about to be replaced, so that no publication is missing from the history."""
    try:
        store.write(history_path(suite, before.id), before.inrelease, IfAbsent())
    except Conflict:
        return


def _last(before: Snapshot | None) -> Last | None:
    return Last(before.release.date, before.modified) if before else None


def check_here(publisher: Publisher, suite: str, signers: Sequence[str]) -> None:
    """See that all keys are here that shall sign, for hosts may know only one of them.

    Raises:
        Refused: one is not, or there are none.
    """
    missing = [one for one in signers if one not in publisher.keys.fingerprints]
    if missing or not signers:
        raise Refused(
            f"{suite}: it is signed with {' and '.join(signers)}, "
            f"and the secret key of {' and '.join(missing)} is not named here",
            "hosts that trust that key alone would refuse the suite: name all keys, each by --key or "
            f'as DEBSHIP_SIGNING_KEY="{" ".join(signers)}", or see debship repo key retire',
        )
