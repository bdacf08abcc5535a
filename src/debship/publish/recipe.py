"""A publication from its packages to its commit."""

from collections.abc import Sequence
from typing import NamedTuple

from debship.debian.archive import Archive
from debship.publish.commit import Draft, Publication, commit
from debship.publish.contents import refreshed
from debship.publish.paths import likely_indices
from debship.publish.plan import PublishPlan, plan_publish, touched_parts
from debship.publish.pool import Pool
from debship.publish.publisher import Publisher
from debship.publish.release import Part, Settings
from debship.publish.snapshot import Snapshot, read_beside, read_indices


class Published(NamedTuple):
    """What was planned, and what came of it."""

    plan: PublishPlan
    publication: Publication


def plan(
    publisher: Publisher,
    before: Snapshot,
    archives: Sequence[Archive],
    *,
    component: str = "main",
    allow_older: bool = False,
) -> PublishPlan:
    """Read what a suite lists, and decide; see ``plan_publish``."""
    settings = before.release.settings
    parts = _touched(settings, archives, component)
    indices = read_indices(publisher.store, before.release, parts, before.beside)
    return plan_publish(settings, indices, archives, component=component, allow_older=allow_older)


def _touched(settings: Settings, archives: Sequence[Archive], component: str) -> tuple[Part, ...]:
    return touched_parts(settings, {(component, it.deb.architecture) for it in archives})


def publish(
    publisher: Publisher,
    suite: str,
    archives: Sequence[Archive],
    *,
    component: str = "main",
    allow_older: bool = False,
) -> Published:
    """Put packages into a suite.

    Args:
        publisher: the store, the keys, and time.
        suite: one that ``repo init`` made.
        archives: packages that were found sound.
        component: where they go; a new one is added to the suite.
        allow_older: see ``plan_publish``.

    Raises:
        Refused: a promise would be broken; nothing that apt reads was changed.
        Failed: the store or gpg failed; run it again.
    """
    plans: list[PublishPlan] = []
    pool = Pool(publisher.store, publisher.say)

    def change(before: Snapshot) -> Draft | None:
        parts = _touched(before.release.settings, archives, component)
        before = before._replace(beside=read_beside(publisher.store, before, parts))
        decided = plan(publisher, before, archives, component=component, allow_older=allow_older)
        plans.append(decided)
        if decided.unchanged:
            return None
        return Draft(
            settings=decided.settings,
            files=before.release.files,
            indices=decided.indices,
            contents=_contents(publisher, before, decided),
            first=pool.uploads(decided.uploads),
            added=tuple(upload.stanza for upload in decided.uploads),
            beside=before.beside,
        )

    likely = likely_indices(suite, component, (it.deb.architecture for it in archives))
    publication = commit(publisher, suite, change, likely=likely)
    if publication.changed:
        pool.see_again()
    return Published(plans[-1], publication)


def _contents(publisher: Publisher, before: Snapshot, plan: PublishPlan) -> dict[str, bytes]:
    if not plan.settings.contents:
        return {}
    names = {upload.deb.package for upload in plan.uploads}
    local = {upload.path: upload.deb.path for upload in plan.uploads}
    return refreshed(
        publisher.store, before.release, plan.indices, names, local, beside=before.beside
    )
