"""What follows a commit: the names that know nothing of by-hash, and the page for people.

apt of every supported Debian reads InRelease and by-hash alone. Mirrors read the canonical names
(aptly and debmirror do; debmirror wants a Release too), and people read the page. New hosts are
given the keys that sign, as they are now. The publication stands already, so nothing here can fail
it, and what a publisher that died did not come to, the next one that finds nothing to do puts right.
"""

import contextlib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from debship.errors import DebshipError
from debship.publish.key_file import due
from debship.publish.page import Page, Section, days_of
from debship.publish.page_html import parse, prepare, render
from debship.publish.paths import PAGE, by_hash_path, inrelease_path, key_path, release_path
from debship.publish.publisher import Publisher
from debship.publish.snapshot import Beside, Snapshot, read_all, read_indices, suites
from debship.publish.store import Condition, Conflict, Found, IfAbsent, IfMatch, Store
from debship.publish.together import together

_ROUNDS = 5

Job = Callable[[], object]
Ahead = Mapping[str, "Later"]  # by path


class Later(NamedTuple):
    """What is written after a commit; see ``Store.write``."""

    data: bytes
    condition: Condition
    same_as: str | None = None


def shown(before: Snapshot | None) -> Page | None:
    """Read the page that lies beside a snapshot, and make ready what the next one keeps of it."""
    found = before.beside.get(PAGE) if before else None
    page = parse(found.data) if found else None
    prepare(page or {})
    return page


def foresee(
    before: Snapshot | None,
    now: Snapshot,
    written: Mapping[str, bytes],
    added: Sequence[bytes] | None,
    page: Callable[[], Page | None],
    *,
    key: Callable[[], bytes],
) -> Ahead | None:
    """Make ready what follows, where all was in step with the publication before.

    Args:
        before: the publication before.
        now: the one that is about to be.
        written: its new indices, by their paths in Release.
        added: see ``Draft``.
        page: what people are shown before it.
        key: the public keys that sign it, as they are now, armored.

    Returns:
        None where all must be looked at after the commit.
    """
    release, suite = now.release, now.release.settings.suite
    if before is None or not all(_in_step(before, path) for path in written):
        return None
    after = _next_page(before, now, added, page(), key)
    if after is None:
        return None
    seen, names = before.beside, {}
    for path, data in written.items():
        name = f"dists/{suite}/{path}"
        condition = _unchanged(seen[name]) if name in seen else None
        names[name] = Later(data, condition, by_hash_path(suite, path, release.files[path].sha256))
    names[release_path(suite)] = Later(release.render(), None)
    try:
        names[PAGE] = Later(render(after), _unchanged(seen[PAGE]))
    except DebshipError:
        return None  # it is said after the commit
    return names


def follow(publisher: Publisher, now: Snapshot, ahead: Ahead | None) -> None:
    """Write what follows.

    A name is written on the condition that nobody wrote it since it was read. Where somebody did,
    or where it was of another publication already, all of it is looked at again: of two
    publishers at once the later one's publication must stay.
    """
    suite, write = now.release.settings.suite, publisher.store.write
    if ahead is None:
        settle(publisher, suite, now)
        return
    try:
        together(
            partial(write, path, it.data, it.condition, same_as=it.same_as)
            for path, it in ahead.items()
        )
    except Conflict:
        settle(publisher, suite, now)
    except DebshipError as error:
        _say(publisher, error)


def settle(publisher: Publisher, suite: str, now: Snapshot | None = None) -> None:
    """Look at all that follows from what is published, and write what does not.

    Args:
        publisher: who writes.
        suite: which one.
        now: what is published, as far as the publisher knows.
    """
    try:
        for _ in range(_ROUNDS):
            found = publisher.store.read(inrelease_path(suite))
            if now is None or found is None or found.data != now.inrelease:
                now = publisher.snapshot(suite)
            writes = _lacking(publisher, now)
            if not writes:
                return
            try:
                together(writes)
            except Conflict:
                continue
    except DebshipError as error:
        _say(publisher, error)


def _say(publisher: Publisher, error: DebshipError) -> None:
    publisher.say(
        f"published; but its page, its key.asc or the names for mirrors are old: {error.message}"
    )


def _unchanged(found: Found | None) -> Condition:
    return IfMatch(found.etag) if found else IfAbsent()


def _in_step(before: Snapshot, path: str) -> bool:
    """Whether an index was read under its canonical name, and was the published one.

    What else there is of a part goes with its Packages.gz.
    """
    if not path.endswith("/Packages.gz"):
        return True
    name = f"dists/{before.release.settings.suite}/{path}"
    if name not in before.beside:
        return False
    found, checksum = before.beside[name], before.release.files.get(path)
    return (found and found.sha256) == (checksum and checksum.sha256)


def _next_page(
    before: Snapshot,
    now: Snapshot,
    added: Sequence[bytes] | None,
    page: Page | None,
    key: Callable[[], bytes],
) -> Page | None:
    """Give the page with stanzas more, where it showed the publication before, and these keys.

    That a key lasts longer by now is seen on the page; it saves reading key.asc.
    """
    section = page.get(now.release.settings.suite) if page else None
    if not page or not section or added is None or section.publication != before.id:
        return None
    if section.key.strip() != key().decode().strip():
        return None
    more = section.extended(now.release, now.id, added, days_of(page))
    return {**page, section.suite: more}


def _lacking(publisher: Publisher, now: Snapshot) -> list[Job]:
    store, release, suite = publisher.store, now.release, now.release.settings.suite
    paths = release.packed
    names = [f"dists/{suite}/{path}" for path in paths]
    beside = read_all(store, (*names, release_path(suite), PAGE, key_path(suite)))
    writes: list[Job] = [
        partial(_copy, store, by_hash_path(suite, path, release.files[path].sha256), name)
        for path, name in zip(paths, names, strict=True)
        if not _has(beside[name], release.files[path].sha256)
    ]
    text = release.render()
    if not _has(beside[release_path(suite)], hashlib.sha256(text).hexdigest()):
        writes.append(partial(store.write, release_path(suite), text))
    given = beside[key_path(suite)]
    key = due_now(publisher, now, given)
    if given is None or given.data != key:
        writes.append(partial(_give_out, publisher, suite, key, _unchanged(given)))
    return writes + _page_lacking(publisher, now, beside, key.decode())


def _give_out(publisher: Publisher, suite: str, key: bytes, condition: Condition) -> None:
    publisher.store.write(key_path(suite), key, condition)
    publisher.say(
        f"{key_path(suite)} is written anew: give hosts the new .sources (fab bootstrap, or "
        "debship repo sources)"
    )


def due_now(publisher: Publisher, now: Snapshot, given: Found | None) -> bytes:
    """Say what a suite's key.asc shall hold; see ``due``."""
    return due(given, now.signers, publisher.ours, publisher.keys.run)


def _has(found: Found | None, sha256: str) -> bool:
    return found is not None and found.sha256 == sha256


def _copy(store: Store, source: str, target: str) -> None:
    found = store.read(source)
    if found is not None:
        store.write(target, found.data, same_as=source)


def _page_lacking(publisher: Publisher, now: Snapshot, beside: Beside, key: str) -> list[Job]:
    suite, old = now.release.settings.suite, beside[PAGE]
    page = parse(old.data) if old else None
    if page and suite in page:
        section = page[suite]
        if (section.publication, section.key.strip()) == (now.id, key.strip()):
            return []
    days = {
        entry.path: entry.modified.date().isoformat() for entry in publisher.store.list("pool/")
    }
    page = {
        **(page or _others(publisher, suite, days)),
        suite: _section(publisher, now, key, days, beside),
    }
    return [partial(publisher.store.write, PAGE, render(page), _unchanged(old))]


def _section(
    publisher: Publisher, now: Snapshot, key: str, days: Mapping[str, str], beside: Beside
) -> Section:
    indices = read_indices(publisher.store, now.release, now.release.settings.parts, beside)
    stanzas = (stanza for index in indices.values() for _, stanza in index.stanzas())
    return Section.of(now.release, now.id, key, stanzas, days)


def _others(publisher: Publisher, suite: str, days: Mapping[str, str]) -> Page:
    """Show the other suites anew, as far as they are whole and signed by a key of ours."""
    page = {}
    for other in set(suites(publisher.store)) - {suite}:
        with contextlib.suppress(DebshipError):
            now = publisher.snapshot(other, (key_path(other),))
            key = due_now(publisher, now, now.beside[key_path(other)])
            page[other] = _section(publisher, now, key.decode(), days, {})
    return page
