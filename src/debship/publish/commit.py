"""The one way in which a suite changes: everything it names first, then InRelease on a condition.

No lock is held, so none can be left behind. Who loses the race begins again from what won. A
publisher that dies leaves the suite as it was, and objects that nothing names.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from debship.errors import DebshipError, Failed, Refused
from debship.publish.index import Index
from debship.publish.keys import check_keys
from debship.publish.release import Checksum, Part, Release, Settings
from debship.publish.signing import Certificates, Keyring
from debship.publish.snapshot import (
    Snapshot,
    by_hash_path,
    checksums,
    history_path,
    inrelease_path,
    read_snapshot,
)
from debship.publish.store import Condition, Conflict, IfAbsent, IfMatch, Store

Clock = Callable[[], datetime]
Pause = Callable[[float], None]
Say = Callable[[str], None]

_ATTEMPTS = 60
_ASTRAY = timedelta(seconds=8)
_PATIENCE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Publisher:
    """All that a publisher needs: the store, the keys, and time."""

    store: Store
    keys: Keyring
    now: Clock
    pause: Pause  # seconds
    say: Say
    jitter: Callable[[], float]  # 0 to 1, another for each publisher
    ours: Certificates

    def snapshot(self, suite: str) -> Snapshot:
        """Read a suite as it is now."""
        return read_snapshot(self.store, suite, self.ours, self.keys.run)


@dataclass(frozen=True, slots=True)
class Draft:
    """What a suite shall become.

    Attributes:
        files: what Release names, changed indices apart.
        indices: those that change.
    """

    settings: Settings
    files: Mapping[str, Checksum]
    indices: Mapping[Part, Index] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Publication:
    """What a commit left.

    Attributes:
        id: the SHA-256 of the InRelease.
        changed: False where everything was published already, and nothing was written.
    """

    id: str
    suite: str
    date: datetime
    changed: bool
    release: Release
    inrelease: bytes


def commit(
    publisher: Publisher,
    suite: str,
    change: Callable[[Snapshot], Draft | None],
    *,
    rekey: Callable[[Snapshot], tuple[str, ...]] | None = None,
) -> Publication:
    """Change a suite.

    Args:
        publisher: who does it.
        suite: which one; it was made by ``repo init``.
        change: what it shall become, from what it is; None leaves it as it is. It is asked again
            after each lost race. It is asked only where a commit could follow, so it may write
            what nothing names yet.
        rekey: the fingerprints that shall sign from now on; None keeps those that do.

    Raises:
        Refused: apt would refuse the result, or ``change`` does.
        Failed: the store failed, or other publishers were always first.
    """
    for attempt in range(_ATTEMPTS):
        before = publisher.snapshot(suite)
        signers = rekey(before) if rekey else tuple(sorted(before.signers))
        _check_signers(publisher, suite, signers, known=rekey is not None or attempt > 0)
        _wait(publisher, before)
        draft = change(before)
        if draft is None:
            _heal(publisher, before)
            release = before.release
            return Publication(before.id, suite, release.date, False, release, before.inrelease)
        try:
            return _attempt(publisher, before, draft, signers)
        except Conflict:
            publisher.say("another publisher was first; starting again from what it left")
            publisher.pause(min(0.05 * 2**attempt, 2.0) * (0.5 + publisher.jitter()))
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
    _check_signers(publisher, suite, signers)
    _wait(publisher, None)
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
    date = _date(publisher, before)
    packed = {part: index.packed() for part, index in draft.indices.items()}
    files = dict(draft.files)
    for part, index in draft.indices.items():
        files |= checksums(part, index, packed[part])
    release = Release(draft.settings, date, files)
    text = release.render()
    publisher.say("signing")
    inrelease = publisher.keys.sign(text, signers)
    for part, data in packed.items():
        path = f"{part.folder}/Packages.gz"
        store.write(by_hash_path(suite, path, files[path].sha256), data)
    if before is not None:
        _keep(store, suite, before)
    condition: Condition = IfMatch(before.etag) if before else IfAbsent()
    publisher.say(f"committing to {suite}")
    _put(store, inrelease_path(suite), inrelease, condition)
    canonical = {f"{part.folder}/Packages.gz": data for part, data in packed.items()}
    _for_old_clients(publisher, release, inrelease, signers, canonical)
    return Publication(Snapshot.id_of(inrelease), suite, date, True, release, inrelease)


def _put(store: Store, path: str, data: bytes, condition: Condition) -> None:
    """Write the commit; a lost answer to a write that was made is no lost race."""
    try:
        store.write(path, data, condition)
    except Conflict:
        there = store.read(path)
        if there is None or there.data != data:
            raise


def _keep(store: Store, suite: str, before: Snapshot) -> None:
    """Keep what is about to be replaced, so that no publication is missing from the history."""
    try:
        store.write(history_path(suite, before.id), before.inrelease, IfAbsent())
    except Conflict:
        return


def _check_signers(
    publisher: Publisher, suite: str, signers: tuple[str, ...], *, known: bool = False
) -> None:
    """See that all keys are here, for hosts may know only one of them, and that hosts believe them."""
    missing = [one for one in signers if one not in publisher.keys.fingerprints]
    if missing or not signers:
        raise Refused(
            f"{suite}: it is signed with {' and '.join(signers)}, "
            f"and the secret key of {' and '.join(missing)} is not here",
            "hosts that trust that key alone would refuse the suite: name all keys, or see "
            "debship repo key retire",
        )
    if not known:
        check_keys(publisher.keys, signers, publisher.now())


def _wait(publisher: Publisher, before: Snapshot | None) -> timedelta:
    """How long a publication must wait until its Date can be later than the last one's.

    apt refuses a Date that is more than 10 s ahead (Acquire::Max-FutureTime), keeps its old files
    without a message where it went back (VerifyVendor), and asks with If-Modified-Since, whose
    grain is a second: a host that came between two publications of one second would not see the
    later one until there is a third.
    """
    now, theirs = publisher.now(), publisher.store.now()
    if theirs is not None and abs(theirs - now) > _ASTRAY:
        raise Refused(
            f"this machine's clock is {(now - theirs).total_seconds():+.0f} s off the store's",
            "apt refuses a publication from the future and ignores one from the past: "
            "set the clock (timedatectl)",
        )
    if before is None:
        return timedelta()
    last = max(before.release.date, before.modified.replace(microsecond=0))
    wait = last + timedelta(seconds=1) - now
    if wait > _PATIENCE:
        raise Refused(
            f"the last publication is of {last:%Y-%m-%d %H:%M:%S} UTC, "
            f"{wait.total_seconds():.0f} s ahead of this machine's clock",
            "set the clock (timedatectl): apt would refuse or ignore what is published now",
        )
    return max(wait, timedelta())


def _date(publisher: Publisher, before: Snapshot | None) -> datetime:
    """Wait as long as must be, and give the Date."""
    wait = _wait(publisher, before)
    due = publisher.now() + wait
    if wait:
        publisher.pause(wait.total_seconds())
    return max(publisher.now(), due).astimezone(UTC).replace(microsecond=0)


def _for_old_clients(
    publisher: Publisher,
    release: Release,
    inrelease: bytes,
    signers: Sequence[str],
    packed: Mapping[str, bytes],
) -> None:
    """Write the canonical names, which only clients and mirrors without by-hash read.

    The publication stands already, so nothing here can fail it. Where somebody committed
    meanwhile, our names may have replaced theirs: then they are written again from theirs.
    """
    store, suite = publisher.store, release.settings.suite
    try:
        for _ in range(3):
            text = release.render()
            for path, data in packed.items():
                store.write(f"dists/{suite}/{path}", data)
            signature = publisher.keys.sign_detached(text, signers)
            store.write(f"dists/{suite}/Release.gpg", signature)
            store.write(f"dists/{suite}/Release", text)  # last: it says that all of them are there
            now = publisher.snapshot(suite)
            if now.inrelease == inrelease:
                return
            release, inrelease, packed = now.release, now.inrelease, _canonical(store, now.release)
            signers = _present(publisher, now)
    except DebshipError as error:
        publisher.say(f"published, but not under the names for old clients: {error.message}")


def _heal(publisher: Publisher, now: Snapshot) -> None:
    """Write the canonical names that a publisher did not come to, for it died after its commit."""
    release = now.release
    found = publisher.store.read(f"dists/{release.settings.suite}/Release")
    if found is None or found.data != release.render():
        packed = _canonical(publisher.store, release)
        _for_old_clients(publisher, release, now.inrelease, _present(publisher, now), packed)


def _present(publisher: Publisher, now: Snapshot) -> list[str]:
    return sorted(now.signers & set(publisher.keys.fingerprints))


def _canonical(store: Store, release: Release) -> dict[str, bytes]:
    suite = release.settings.suite
    paths = [path for path in release.files if path.endswith(".gz")]
    found = {p: store.read(by_hash_path(suite, p, release.files[p].sha256)) for p in paths}
    return {path: it.data for path, it in found.items() if it is not None}
