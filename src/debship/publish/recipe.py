"""A publication from its packages to its commit."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from debship.debian.archive import Archive
from debship.errors import Failed, Refused
from debship.publish.commit import Draft, Publication, Publisher, commit
from debship.publish.plan import PublishPlan, Upload, plan_publish, touched_parts
from debship.publish.snapshot import Snapshot, read_indices
from debship.publish.store import Conflict, IfAbsent, Store

_AT_ONCE = 8  # uploads


@dataclass(frozen=True, slots=True)
class Published:
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
    parts = touched_parts(settings, {(component, it.deb.architecture) for it in archives})
    indices = read_indices(publisher.store, before.release, parts)
    return plan_publish(settings, indices, archives, component=component, allow_older=allow_older)


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

    def change(before: Snapshot) -> Draft | None:
        decided = plan(publisher, before, archives, component=component, allow_older=allow_older)
        plans.append(decided)
        if decided.unchanged:
            return None
        publisher.say(f"uploading {len(decided.uploads)} to the pool")
        _upload_all(publisher.store, decided.uploads)
        return Draft(decided.settings, before.release.files, decided.indices)

    publication = commit(publisher, suite, change)
    if publication.changed:
        # Once more, for what lay in the pool already: a gc may have taken it before our commit.
        _upload_all(publisher.store, plans[-1].uploads)
    return Published(plans[-1], publication)


def _upload_all(store: Store, uploads: Sequence[Upload]) -> None:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for done in [pool.submit(_upload, store, upload) for upload in uploads]:
            done.result()


def _upload(store: Store, upload: Upload) -> None:
    """Put a file into the pool, where nothing is ever overwritten."""
    deb = upload.deb
    try:
        if store.write(upload.path, deb.path, IfAbsent()).sha256 != deb.sha256:
            store.delete(upload.path)
            raise Failed(f"{deb.path}: it changed while it was published", "run it again")
    except Conflict:
        if store.sha256(upload.path) != deb.sha256:
            raise Refused(
                f"{deb.path}: {upload.path} is in the pool with other bytes",
                "what hosts may have installed never changes: publish it under a new version",
            ) from None
