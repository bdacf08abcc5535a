"""What was tested in one suite is listed in another: the same stanzas, no file moved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from debship.errors import Misused, Refused
from debship.model import DebVersion
from debship.publish.commit import Draft, Publication, Publisher, commit
from debship.publish.index import Index, Key, place_of
from debship.publish.plan import Addition, add, touched_parts
from debship.publish.release import Part
from debship.publish.snapshot import Snapshot, read_indices


@dataclass(frozen=True, slots=True)
class Wish:
    """A package and its version; None for the highest one."""

    package: str
    version: str | None


@dataclass(frozen=True, slots=True)
class Promoted:
    """What was listed anew, and the publication that lists it."""

    new: tuple[Key, ...]
    publication: Publication


def promote(
    publisher: Publisher,
    wishes: Sequence[Wish],
    *,
    source: str,
    target: str,
    allow_older: bool = False,
) -> Promoted:
    """List packages of one suite in another, in one commit.

    Raises:
        Misused: the source has no such package or version.
        Refused: see ``add``; or a file is gone from the pool.
    """
    tested = publisher.snapshot(source).release
    indices = read_indices(publisher.store, tested, tested.settings.parts)
    additions = [it for wish in wishes for it in _chosen(indices, wish, source)]
    for it in additions:
        path = place_of(it.stanza).filename
        if not any(entry.path == path for entry in publisher.store.list(path)):
            raise Refused(f"{path}: it is gone from the pool", f"publish it again to {source}")
    new: list[Key] = []

    def change(before: Snapshot) -> Draft | None:
        settings = before.release.settings
        parts = touched_parts(settings, {(it.component, it.key.architecture) for it in additions})
        known = read_indices(publisher.store, before.release, parts)
        added = add(settings, known, additions, allow_older=allow_older)
        new[:] = [it.key for it in added.new]
        return Draft(added.settings, before.release.files, added.indices) if added.new else None

    publication = commit(publisher, target, change)
    return Promoted(tuple(new), publication)


def _chosen(indices: Mapping[Part, Index], wish: Wish, source: str) -> list[Addition]:
    found = {
        (part.component, key): text
        for part, index in indices.items()
        for key, text in index.of(wish.package).items()
        if wish.version in (None, key.version)
    }
    if not found:
        named = f"{wish.package} {wish.version}" if wish.version else wish.package
        raise Misused(f"{source} has no {named}", f"see: debship repo list --suite {source}")
    highest = max(DebVersion(key.version) for _, key in found)
    return [
        Addition(source, component, key, text)
        for (component, key), text in found.items()
        if key.version == highest.text
    ]
