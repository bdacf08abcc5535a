"""What a publication changes, decided before the first write."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from debship.debian.archive import Archive
from debship.errors import Refused
from debship.model import Deb, DebVersion
from debship.publish.index import Index, Key, key_of, place_of
from debship.publish.release import Part, Settings


@dataclass(frozen=True, slots=True)
class Upload:
    """A file and its place in the pool."""

    deb: Deb
    path: str


@dataclass(frozen=True, slots=True)
class PublishPlan:
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


def parts_of(deb: Deb, settings: Settings, component: str) -> tuple[Part, ...]:
    """Say which indices list a package.

    One for all architectures is listed in the index of each, so that a host fetches one index,
    and so that clients find it that know nothing of an index for "all".
    """
    if deb.architecture == "all":
        return tuple(Part(component, name) for name in settings.architectures)
    return (Part(component, deb.architecture),)


def touched_parts(
    settings: Settings, archives: Sequence[Archive], component: str
) -> tuple[Part, ...]:
    """Say which indices must be read to plan a publication."""
    parts = {part for it in archives for part in parts_of(it.deb, settings, component)}
    if parts - set(settings.parts):
        parts |= set(settings.parts)  # a new architecture takes over what is for all
    return tuple(sorted(parts))


def plan_publish(
    settings: Settings,
    indices: Mapping[Part, Index],
    archives: Sequence[Archive],
    *,
    component: str = "main",
    allow_older: bool = False,
) -> PublishPlan:
    """Decide what publishing these packages changes.

    Args:
        settings: the suite's.
        indices: those that ``touched_parts`` names.
        archives: the packages, in any order.
        component: where they go.
        allow_older: take a version below the highest one that is published.

    Raises:
        Refused: a published version would get other bytes, or a lower version would be added
            that no host would install.
    """
    _check_doubles([archive.deb for archive in archives])
    add: dict[Part, dict[Key, bytes]] = {}
    uploads, present = [], []
    for archive in archives:
        path = pool_path(archive.deb, component)
        text = stanza(archive, path)
        key = key_of(text)
        missing = False
        for part in parts_of(archive.deb, settings, component):
            before = indices.get(part, Index()).of(key.package)
            if _is_new(archive.deb, key, before, allow_older=allow_older):
                add.setdefault(part, {})[key] = text
                missing = True
        if missing:
            uploads.append(Upload(archive.deb, path))
        else:
            present.append(archive.deb)
    new = frozenset(add) - frozenset(settings.parts)
    extended = settings.extended(new)
    for part in set(extended.parts) - set(settings.parts):
        add[part] = {**shared(indices, part.component), **add.get(part, {})}
    changed = {part: indices.get(part, Index()).changed(more) for part, more in add.items()}
    return PublishPlan(extended, tuple(uploads), tuple(present), changed)


def _check_doubles(debs: Sequence[Deb]) -> None:
    seen: dict[tuple[str, str, str], Deb] = {}
    for deb in debs:
        other = seen.setdefault((deb.package, deb.version.text, deb.architecture), deb)
        if other.sha256 != deb.sha256:
            raise Refused(
                f"{deb.path}: it is {deb.package} {deb.version} as {other.path} is, with other bytes"
            )


def _is_new(deb: Deb, key: Key, before: Mapping[Key, bytes], *, allow_older: bool) -> bool:
    if key in before:
        if place_of(before[key]).sha256 != deb.sha256:
            raise Refused(
                f"{deb.path}: {deb.package} {deb.version} ({deb.architecture}) is published "
                "with other bytes",
                "what hosts may have installed never changes: publish it under a new version",
            )
        return False
    highest = max((DebVersion(other.version) for other in before), default=None)
    if highest is not None and deb.version < highest and not allow_older:
        raise Refused(
            f"{deb.path}: {deb.package} {deb.version} is below {highest}, which is published",
            "no host would install it; --allow-older takes it all the same",
        )
    return True


def shared(indices: Mapping[Part, Index], component: str) -> dict[Key, bytes]:
    """Give what a new architecture has in common with the others: the packages for all."""
    return {
        key: text
        for part, index in indices.items()
        if part.component == component
        for key, text in index.stanzas()
        if key.architecture == "all"
    }
