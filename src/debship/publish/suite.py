"""A suite's beginning."""

from collections.abc import Mapping
from dataclasses import replace

from debship.errors import Refused
from debship.publish.commit import Draft, Publication, commit, create
from debship.publish.contents import refreshed
from debship.publish.index import Index
from debship.publish.paths import inrelease_path, key_path
from debship.publish.plan import shared
from debship.publish.publisher import Publisher
from debship.publish.release import Part, Settings
from debship.publish.snapshot import Snapshot, read_indices
from debship.publish.store import Store

# What apt refuses to see changed under it, and how Settings calls it.
_FIXED = {
    "origin": "Origin",
    "label": "Label",
    "codename": "Codename",
    "not_automatic": "NotAutomatic",
    "but_automatic_upgrades": "ButAutomaticUpgrades",
}


def init(publisher: Publisher, settings: Settings) -> Publication:
    """Make an empty signed suite; to one that is there, add what is new of these settings.

    Raises:
        Refused: the suite is there and something that apt holds fast would change.
    """
    store, suite = publisher.store, settings.suite
    if store.read(inrelease_path(suite)) is not None:
        return commit(publisher, suite, lambda before: _extension(store, before, settings))
    empty = dict.fromkeys(settings.parts, Index())
    draft = Draft(settings, {}, empty, _contents(store, settings, empty))
    return create(publisher, draft, {key_path(suite): publisher.ours.armored.encode()})


def _extension(store: Store, before: Snapshot, wanted: Settings) -> Draft | None:
    now = before.release.settings
    for name, field in _FIXED.items():
        if getattr(now, name) != getattr(wanted, name):
            raise Refused(
                f"{now.suite}: its {field} is {getattr(now, name)!r} and would become "
                f"{getattr(wanted, name)!r}",
                "apt on every host that has read the suite would refuse it; "
                "make another suite instead",
            )
    extended = replace(
        now.extended(frozenset(wanted.parts)),
        contents=now.contents or wanted.contents,
        xz=now.xz or wanted.xz,
    )
    if extended == now:
        return None
    indices = read_indices(store, before.release, now.parts)
    new = dict(indices) if extended.xz > now.xz else {}
    for part in set(extended.parts) - set(now.parts):
        new[part] = Index().changed(shared(indices, part.component))
    fresh = {**indices, **new} if extended.contents > now.contents else new
    return Draft(extended, before.release.files, new, _contents(store, extended, fresh))


def _contents(store: Store, settings: Settings, indices: Mapping[Part, Index]) -> dict[str, bytes]:
    return refreshed(store, None, indices, (), {}) if settings.contents else {}
