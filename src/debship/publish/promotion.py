"""What was tested in one suite is listed in another: the same stanzas, no file moved."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from debship.errors import Misused, Refused
from debship.model import DebVersion
from debship.publish.commit import Draft, Publication, commit
from debship.publish.contents import refreshed
from debship.publish.index import Index, Key, Place, place_of
from debship.publish.plan import Addition, add, touched_parts
from debship.publish.publisher import Publisher
from debship.publish.release import Part
from debship.publish.snapshot import Snapshot, read_beside, read_indices
from debship.publish.store import Store
from debship.publish.together import together


@dataclass(frozen=True, slots=True)
class Wish:
    """A package and its version, as a person says it (1.4.0 for 1.4.0-1); None: the highest."""

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
    """List packages of one suite in another, in one commit; of a split application both.

    Raises:
        Misused: the source has no such package or version.
        Refused: see ``add``; or a file is gone from the pool.
    """
    tested = publisher.snapshot(source).release
    indices = read_indices(publisher.store, tested, tested.settings.parts)
    chosen = [it for wish in wishes for it in _chosen(indices, wish, source)]
    beside = [it for one in chosen for it in _dependencies(indices, one, source)]
    additions = [*chosen, *(it for it in dict.fromkeys(beside) if it not in chosen)]
    _check_there(publisher.store, {place_of(it.stanza) for it in additions}, source)
    new: list[Addition] = []

    def change(before: Snapshot) -> Draft | None:
        settings = before.release.settings
        parts = touched_parts(settings, {(it.component, it.key.architecture) for it in additions})
        beside = read_beside(publisher.store, before, parts)
        known = read_indices(publisher.store, before.release, parts, beside)
        added = add(settings, known, additions, allow_older=allow_older)
        new[:] = added.new
        if not new:
            return None
        names = {it.key.package for it in new}
        return Draft(
            settings=added.settings,
            files=before.release.files,
            indices=added.indices,
            contents=refreshed(
                publisher.store, before.release, added.indices, names, {}, beside=beside
            )
            if added.settings.contents
            else {},
            added=tuple(it.stanza for it in new),
            beside=beside,
        )

    likely = [f"dists/{target}/{part.folder}/Packages.gz" for part in sorted(indices)]
    publication = commit(publisher, target, change, likely=likely)
    return Promoted(tuple(it.key for it in new), publication)


def _check_there(store: Store, places: Collection[Place], source: str) -> None:
    """See that files are in the pool, where nothing is ever overwritten."""
    wanted = sorted(places)
    found = together(partial(_is_there, store, place) for place in wanted)
    for place, there in zip(wanted, found, strict=True):
        if not there:
            raise Refused(
                f"{place.filename}: it is gone from the pool", f"publish it again to {source}"
            )


def _is_there(store: Store, place: Place) -> bool:
    return any(it[:2] == (place.filename, place.size) for it in store.list(place.filename))


def _chosen(indices: Mapping[Part, Index], wish: Wish, source: str) -> list[Addition]:
    listed = {
        (part.component, key): text
        for part, index in indices.items()
        for key, text in index.of(wish.package).items()
    }
    found = {it: text for it, text in listed.items() if wish.version in (None, it[1].version)}
    if not found:  # as `fab deploy --version` takes it: without the revision
        found = {
            it: text
            for it, text in listed.items()
            if DebVersion(it[1].version).upstream == wish.version
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


def _dependencies(
    indices: Mapping[Part, Index], application: Addition, source: str
) -> Iterator[Addition]:
    """Find the package of a split application's dependencies: no host installs it without."""
    depends = re.search(rb"^Depends:.*", application.stanza, re.MULTILINE | re.IGNORECASE)
    named = rf"(?<=[ ,:]){re.escape(application.key.package)}-deps-[0-9a-f]{{8}}(?= |,|$)"
    for name in re.findall(named, depends[0].decode(errors="replace") if depends else ""):
        for part, index in indices.items():
            for key, text in index.of(name).items():
                yield Addition(source, part.component, key, text)
