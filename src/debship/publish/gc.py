"""Taking away what no host can still ask for; time and reach decide, never a guess."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from debship.model import DebVersion
from debship.publish.clock import check_now
from debship.publish.commit import Draft, commit
from debship.publish.history import Past, history, parts_by_hash
from debship.publish.index import Index, Key, place_of
from debship.publish.paths import by_hash_path, history_path
from debship.publish.publisher import Publisher
from debship.publish.release import Part
from debship.publish.snapshot import Snapshot, read_indices, suites
from debship.publish.store import Entry, Store
from debship.publish.together import together

RETENTION = timedelta(days=14)  # what an InRelease names stays so long after it was replaced
_GRACE = timedelta(days=1)  # a publisher that runs now has uploaded what nothing names yet


@dataclass(frozen=True, slots=True)
class Policy:
    """Which versions stay listed: the newest so many, and all that are younger."""

    keep: int
    younger: timedelta


@dataclass(frozen=True, slots=True)
class GcPlan:
    """What goes.

    Attributes:
        unlisted: by suite, versions that are listed no more; their files stay for ``RETENTION``.
        deleted: objects that nothing reaches.
    """

    unlisted: Mapping[str, tuple[Key, ...]]
    deleted: tuple[Entry, ...]

    @property
    def size(self) -> int:
        """Bytes that become free."""
        return sum(entry.size for entry in self.deleted)


def plan_gc(store: Store, policy: Policy, now: datetime, only: Sequence[str]) -> GcPlan:
    """Decide what goes.

    Args:
        store: where the repository lies.
        policy: which versions stay.
        now: the time, UTC.
        only: the suites whose versions are counted; what any suite reaches stays in any case.

    Raises:
        Failed: an InRelease or an index cannot be read, so that what it reaches is not known.
        Refused: this machine's clock is wrong.
    """
    pool = {entry.path: entry for entry in store.list("pool/")}
    check_now(now, store.now(), "what goes is judged by its age")
    past = {suite: history(store, suite) for suite in suites(store)}
    unlisted = {}
    for suite in only:
        release = past[suite][0].release
        indices = read_indices(store, release, release.settings.parts)
        unlisted[suite] = surplus(indices, pool, policy, now)
    reached = _reached(store, past, now)
    candidates = [*pool.values(), *(it for it in store.list("dists/") if "/by-hash/" in it.path)]
    gone = [it for it in candidates if it.path not in reached and now - it.modified > _GRACE]
    return GcPlan(unlisted, tuple(sorted(gone, key=_order)))


def surplus(
    indices: Mapping[Part, Index], pool: Mapping[str, Entry], policy: Policy, now: datetime
) -> tuple[Key, ...]:
    """Say which versions neither are among the newest nor are young."""
    versions: dict[tuple[str, str], dict[str, tuple[Key, datetime]]] = {}
    for index in indices.values():
        for key, stanza in index.stanzas():
            entry = pool.get(place_of(stanza).filename)
            since = entry.modified if entry else now
            versions.setdefault((key.package, key.architecture), {})[key.version] = (key, since)
    gone = []
    for known in versions.values():
        newest = sorted(known, key=DebVersion, reverse=True)
        for version in newest[policy.keep :]:
            key, since = known[version]
            if now - since > policy.younger:
                gone.append(key)
    return tuple(sorted(gone))


def _reached(store: Store, past: Mapping[str, Sequence[Past]], now: datetime) -> set[str]:
    """Give the paths of all that a host with an InRelease of the last 14 days may ask for."""
    reached: set[str] = set()
    read: set[tuple[str, str]] = set()
    for suite, entries in past.items():
        for it in entries:
            if it.replaced is not None and now - it.replaced > RETENTION:
                continue
            reached.add(history_path(suite, it.id))
            for path in it.release.packed:
                reached.add(by_hash_path(suite, path, it.release.files[path].sha256))
            for part, sha256 in parts_by_hash(it.release).items():
                if (suite, sha256) not in read:
                    read.add((suite, sha256))
                    index = read_indices(store, it.release, [part])[part]
                    reached |= {place_of(stanza).filename for _, stanza in index.stanzas()}
    return reached


def _order(entry: Entry) -> tuple[int, str]:
    """What names others goes before what it names: a gc that is killed leaves nothing dangling."""
    if entry.path.startswith("pool/"):
        return 2, entry.path
    return (1 if "/binary-" in entry.path else 0), entry.path


def collect(publisher: Publisher, plan: GcPlan) -> None:
    """Do what was planned: unlist by a commit each, then delete.

    Raises:
        Failed: the store failed; run it again.
    """
    for suite, keys in plan.unlisted.items():
        if keys:
            publisher.say(f"unlisting {len(keys)} versions of {suite}")
            _unlist(publisher, suite, keys)
    store, now = publisher.store, publisher.clock.now()
    reached = _reached(store, {suite: history(store, suite) for suite in suites(store)}, now)
    gone = [entry for entry in plan.deleted if entry.path not in reached]
    publisher.say(f"deleting {len(gone)} objects")
    for _, some in itertools.groupby(gone, key=lambda entry: _order(entry)[0]):
        together(partial(store.delete, entry.path) for entry in some)
    store.sweep(now - _GRACE)


def _unlist(publisher: Publisher, suite: str, keys: Iterable[Key]) -> None:
    gone = frozenset(keys)

    def change(before: Snapshot) -> Draft | None:
        release = before.release
        indices = read_indices(publisher.store, release, release.settings.parts)
        changed = {part: index.changed({}, gone) for part, index in indices.items()}
        different = {p: it for p, it in changed.items() if it.sha256 != indices[p].sha256}
        return Draft(release.settings, release.files, different) if different else None

    commit(publisher, suite, change)
