"""The publications of a suite that can still be gone back to."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from debship.errors import DebshipError, Failed, Misused, Refused
from debship.publish.commit import Draft, Publication, commit
from debship.publish.contents import refreshed
from debship.publish.index import Index, Key, place_of
from debship.publish.paths import history_path, inrelease_path
from debship.publish.plan import shared
from debship.publish.publisher import Publisher
from debship.publish.release import Part, Release
from debship.publish.signing import Certificates, cleartext
from debship.publish.snapshot import Snapshot, opened, read_indices
from debship.publish.store import Store
from debship.run import Run


@dataclass(frozen=True, slots=True)
class Past:
    """A publication as it lies in the history; its signature was not looked at.

    Attributes:
        replaced: UTC; None for the one that is published.
    """

    id: str
    release: Release
    replaced: datetime | None


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A publication and what it changed; None where its indices are gone."""

    id: str
    date: datetime
    added: tuple[Key, ...] | None
    removed: tuple[Key, ...] | None


def history(store: Store, suite: str) -> list[Past]:
    """Read all publications, the newest first.

    Raises:
        Refused: there is no such suite.
    """
    current = store.read(inrelease_path(suite))
    if current is None:
        raise Refused(f"{suite}: there is no {inrelease_path(suite)}")
    found: dict[str, Release] = {}
    for entry in store.list(history_path(suite, "")):
        kept = store.read(entry.path)
        try:
            if kept is not None:
                found[entry.path.rpartition("/")[2]] = Release.parse(cleartext(kept.data))
        except DebshipError:
            continue  # nobody can go back to what cannot be read
    release = Release.parse(cleartext(current.data))
    entries = [Past(Snapshot.id_of(current.data), release, None)]
    for publication, past in sorted(found.items(), key=lambda it: it[1].date, reverse=True):
        if past.date < release.date:  # a copy of what is published may lie there too
            entries.append(Past(publication, past, entries[-1].release.date))
    return entries


def log(store: Store, suite: str, limit: int) -> list[LogEntry]:
    """Say what each of the newest publications changed."""
    entries = history(store, suite)[: limit + 1]
    keys = [_keys(store, entry.release) for entry in entries]
    if len(entries) <= limit:
        # A suite begins empty; where its oldest is not, what came before was taken away by a gc.
        keys.append(None if keys[-1] else frozenset())
    return [
        LogEntry(
            entry.id,
            entry.release.date,
            None if now is None or then is None else tuple(sorted(now - then)),
            None if now is None or then is None else tuple(sorted(then - now)),
        )
        for entry, now, then in zip(entries[:limit], keys, keys[1:], strict=False)
    ]


def _keys(store: Store, release: Release) -> frozenset[Key] | None:
    try:
        indices = read_indices(store, release, release.settings.parts)
    except Failed:
        return None
    return frozenset(key for index in indices.values() for key, _ in index.stanzas())


def rollback(publisher: Publisher, suite: str, to: str) -> Publication:
    """Publish again what a suite held before, under a new Date and signature.

    An old InRelease itself is never put back: apt ignores a Date that goes back, without a word.

    Args:
        publisher: who does it.
        suite: which one.
        to: the id of a publication, or enough of its beginning.

    Raises:
        Misused: no publication, or several, have such an id.
        Refused: it is not signed by a key of ours, or some of what it names is gone.
    """
    old = _find(publisher.store, suite, to, publisher.ours, publisher.keys.run)
    wanted = old.release.settings.parts
    try:
        old_indices = read_indices(publisher.store, old.release, wanted)
    except Failed as error:
        raise Refused(f"{suite}: {to} cannot be gone back to: {error.message}") from error
    indices = dict(old_indices)
    check_pool(publisher.store, indices.values())

    def change(before: Snapshot) -> Draft | None:
        now = before.release
        for part in set(now.settings.parts) - set(wanted):  # an architecture that came later
            indices[part] = Index().changed(shared(old_indices, part.component))
        files = now.files
        different = {
            part: index
            for part, index in indices.items()
            if (index.sha256, index.size) != files.get(f"{part.folder}/Packages")
        }
        settings = now.settings.extended(frozenset(indices))
        if not different:
            return None
        contents = (
            refreshed(publisher.store, old.release, different, (), {}) if settings.contents else {}
        )
        return Draft(settings, files, different, contents)

    publication = commit(publisher, suite, change)
    check_pool(publisher.store, indices.values())  # once more: a gc may have been at work
    return publication


def _find(store: Store, suite: str, to: str, ours: Certificates, run: Run) -> Snapshot:
    found = [entry for entry in history(store, suite) if to and entry.id.startswith(to)]
    if len(found) != 1:
        how = "no publication" if not found else f"{len(found)} publications"
        raise Misused(f"{suite}: {how} {to}", f"see: debship repo log --suite {suite}")
    current = found[0].replaced is None
    path = inrelease_path(suite) if current else history_path(suite, found[0].id)
    kept = store.read(path)
    if kept is None or Snapshot.id_of(kept.data) != found[0].id:
        raise Refused(f"{path}: it is gone, or has other bytes")
    return opened(kept, suite, ours, run)


def check_pool(store: Store, indices: Iterable[Index]) -> None:
    """See that all files are there that these indices name.

    Raises:
        Refused: one is not.
    """
    there = {entry.path: entry.size for entry in store.list("pool/")}
    for index in indices:
        for _, stanza in index.stanzas():
            place = place_of(stanza)
            if there.get(place.filename) != place.size:
                raise Refused(f"{place.filename}: it is gone from the pool")


def parts_by_hash(release: Release) -> dict[Part, str]:
    """Give the hash of each index that a Release names."""
    paths = {part: f"{part.folder}/Packages.gz" for part in release.settings.parts}
    return {
        part: release.files[path].sha256 for part, path in paths.items() if path in release.files
    }
