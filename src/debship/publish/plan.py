"""What a publication changes, decided before the first write."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from debship.debian.archive import Archive
from debship.errors import Refused
from debship.model import Deb, DebVersion
from debship.publish.index import Index, Key, key_of, place_of
from debship.publish.release import Part, Settings


class Addition(NamedTuple):
    """A stanza that shall be listed.

    Attributes:
        source: where it comes from, as an error names it.
    """

    source: str
    component: str
    key: Key
    stanza: bytes


class Additions(NamedTuple):
    """What adding stanzas changes.

    Attributes:
        settings: the suite's, with the components and architectures that are new.
        indices: those that change, as they will be.
        new: what was not listed everywhere yet; what was is left out.
    """

    settings: Settings
    indices: Mapping[Part, Index]
    new: tuple[Addition, ...]


class Upload(NamedTuple):
    """A file, its place in the pool, and what the index says of it."""

    deb: Deb
    path: str
    stanza: bytes


class PublishPlan(NamedTuple):
    """What is uploaded and what is listed.

    Attributes:
        settings: the suite's, with the components and architectures that are new.
        uploads: the files that must be in the pool before the commit.
        present: packages that are listed with these very bytes already.
        indices: all indices that change, as they will be.
    """

    settings: Settings
    uploads: tuple[Upload, ...]
    present: tuple[Deb, ...]
    indices: Mapping[Part, Index]

    @property
    def unchanged(self) -> bool:
        """Whether there is nothing to do."""
        return not self.uploads


def pool_path(deb: Deb, component: str) -> str:
    """Where a package lies in the pool, for ever and with these bytes alone.

    A file's name has no epoch in it, so versions that differ in nothing else get a folder each.
    """
    letter = deb.package[:4] if deb.package.startswith("lib") else deb.package[0]
    epoch = f"epoch-{deb.version.epoch}/" if ":" in deb.version.text else ""
    return f"pool/{component}/{letter}/{deb.package}/{epoch}{deb.filename}"


def stanza(archive: Archive, path: str) -> bytes:
    """Make a package's stanza: its control fields byte for byte, then where it lies."""
    deb = archive.deb
    place = f"Filename: {path}\nSize: {deb.size}\nSHA256: {deb.sha256}\n"
    return archive.control + place.encode()


def parts_of(architecture: str, settings: Settings, component: str) -> tuple[Part, ...]:
    """Say which indices list a package.

    One for all architectures is listed in the index of each, so that a host fetches one index,
    and so that clients find it that know nothing of an index for "all".
    """
    if architecture == "all":
        return tuple(Part(component, name) for name in settings.architectures)
    return (Part(component, architecture),)


def touched_parts(settings: Settings, pairs: Iterable[tuple[str, str]]) -> tuple[Part, ...]:
    """Say which indices must be read to add packages of these components and architectures."""
    parts = {part for component, arch in pairs for part in parts_of(arch, settings, component)}
    if parts - set(settings.parts):
        parts |= set(settings.parts)  # a new architecture takes over what is for all
    names = {part.architecture for part in parts}
    # A host that reads several components knows one package of a name in all of them.
    parts |= {part for part in settings.parts if part.architecture in names}
    return tuple(sorted(parts))


def add(
    settings: Settings,
    indices: Mapping[Part, Index],
    additions: Sequence[Addition],
    *,
    allow_older: bool = False,
) -> Additions:
    """Decide what listing these stanzas changes.

    Args:
        settings: the suite's.
        indices: those that ``touched_parts`` names.
        additions: the stanzas, in any order.
        allow_older: take a version below the highest one that is published.

    Raises:
        Refused: a published version would get other bytes, or a lower version would be added
            that no host would install.
    """
    more: dict[Part, dict[Key, bytes]] = {}
    new: dict[Key, Addition] = {}
    for it in additions:
        for part in parts_of(it.key.architecture, settings, it.component):
            known = {p: i.of(it.key.package) for p, i in indices.items() if _is_beside(p, part)}
            _must_be_sound(it, known.values(), allow_older=allow_older)
            if it.key not in known.get(part, {}):
                more.setdefault(part, {})[it.key] = it.stanza
                new[it.key] = it
    extended = settings.extended(frozenset(more))
    for part in set(extended.parts) - set(settings.parts):
        more[part] = {**shared(indices, part.component), **more.get(part, {})}
    changed = {part: indices.get(part, Index()).changed(some) for part, some in more.items()}
    return Additions(extended, changed, tuple(new.values()))


def plan_publish(
    settings: Settings,
    indices: Mapping[Part, Index],
    archives: Sequence[Archive],
    *,
    component: str = "main",
    allow_older: bool = False,
) -> PublishPlan:
    """Decide what publishing these packages changes; see ``add``."""
    _check_doubles([archive.deb for archive in archives])
    additions, uploads = [], {}
    for archive in archives:
        path = pool_path(archive.deb, component)
        text = stanza(archive, path)
        key = key_of(text)
        additions.append(Addition(str(archive.deb.path), component, key, text))
        uploads[key] = Upload(archive.deb, path, text)
    added = add(settings, indices, additions, allow_older=allow_older)
    wanted = {it.key for it in added.new}
    return PublishPlan(
        settings=added.settings,
        uploads=tuple(upload for key, upload in uploads.items() if key in wanted),
        present=tuple(upload.deb for key, upload in uploads.items() if key not in wanted),
        indices=added.indices,
    )


def shared(indices: Mapping[Part, Index], component: str) -> dict[Key, bytes]:
    """Give what a new architecture has in common with the others: the packages for all."""
    return {
        key: text
        for part, index in indices.items()
        if part.component == component
        for key, text in index.stanzas()
        if key.architecture == "all"
    }


def _check_doubles(debs: Sequence[Deb]) -> None:
    seen: dict[tuple[str, str, str], Deb] = {}
    for deb in debs:
        other = seen.setdefault((deb.package, deb.version.text, deb.architecture), deb)
        if other.sha256 != deb.sha256:
            raise Refused(
                f"{deb.path}: it is {deb.package} {deb.version} as {other.path} is, with other bytes"
            )


def _is_beside(one: Part, other: Part) -> bool:
    """Whether a host reads the index of one together with that of the other."""
    return one.architecture == other.architecture


def _must_be_sound(
    it: Addition, published: Iterable[Mapping[Key, bytes]], *, allow_older: bool
) -> None:
    """See that a version keeps its bytes, and that it is no lower one; see ``add``."""
    key = it.key
    known = [*published]
    for before in known:
        if key in before and place_of(before[key]).sha256 != place_of(it.stanza).sha256:
            raise Refused(
                f"{it.source}: {key.package} {key.version} ({key.architecture}) is published "
                "with other bytes",
                "what hosts may have installed never changes: publish it under a new version",
            )
    if any(key in before for before in known):
        return
    versions = (DebVersion(other.version) for before in known for other in before)
    highest = max(versions, default=None)
    if highest is not None and DebVersion(key.version) < highest and not allow_older:
        raise Refused(
            f"{it.source}: {key.package} {key.version} is below {highest}, which is published",
            "no host would install it; --allow-older takes it all the same",
        )
