"""`debship repo log | rollback | promote | gc`."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from debship.cli.output import Say, progress, show_json
from debship.cli.repository import Target, on_repository

if TYPE_CHECKING:
    from debship.publish.gc import GcPlan
    from debship.publish.history import LogEntry
    from debship.publish.index import Key


@click.command("log")
@on_repository
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(1), help="How many at most."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result for machines.")
def log_(*, where: Target, limit: int, as_json: bool) -> None:
    """Show the publications of a suite and what each changed, the newest first."""
    from debship.publish.history import log

    where.read()  # the newest must be signed; a rollback checks the one that it goes to
    entries = log(where.store, where.suite, limit)
    if as_json:
        show_json("repo log", {"publications": [_entry(entry) for entry in entries]})
        return
    for entry in entries:
        print(entry.id[:12], f"{entry.date:%Y-%m-%dT%H:%M:%SZ}", *_changes(entry))


def _changes(entry: "LogEntry") -> list[str]:
    if entry.added is None or entry.removed is None:
        return ["(what it changed is no longer known)"]
    added = [f"+{key.package}={key.version}:{key.architecture}" for key in entry.added]
    return added + [f"-{key.package}={key.version}:{key.architecture}" for key in entry.removed]


def _entry(entry: "LogEntry") -> dict[str, Any]:
    return {
        "publication": entry.id,
        "date": entry.date.isoformat(),
        "added": None if entry.added is None else [key._asdict() for key in entry.added],
        "removed": None if entry.removed is None else [key._asdict() for key in entry.removed],
    }


@click.command("rollback")
@on_repository
@click.option("--to", required=True, metavar="ID", help="A publication that `repo log` shows.")
def rollback_(*, where: Target, to: str) -> None:
    """Publish again what a suite held before. Hosts do not downgrade by themselves."""
    from debship.publish.history import rollback

    with progress() as say, where.publisher(say) as publisher:
        publication = rollback(publisher, where.suite, to)
    print(publication.id if publication.changed else "unchanged")


@click.command("promote")
@on_repository
@click.option("--from", "source", required=True, metavar="SUITE", help="Where it was tested.")
@click.option("--to", "to", metavar="SUITE", help="Where it goes. Left out: --suite.")
@click.option("--allow-older", is_flag=True, help="Take versions below the published one.")
@click.argument("wishes", nargs=-1, required=True, metavar="APP[=VERSION]...")
def promote_(
    *, where: Target, source: str, to: str | None, allow_older: bool, wishes: tuple[str, ...]
) -> None:
    """List what one suite has in another: the same bytes, in one commit."""
    from debship.publish.promotion import Wish, promote

    wanted = [
        Wish(name, version or None) for name, _, version in (it.partition("=") for it in wishes)
    ]
    target = to or where.suite
    with progress() as say, where.publisher(say) as publisher:
        done = promote(publisher, wanted, source=source, target=target, allow_older=allow_older)
    for key in done.new:
        print(*key, target)
    print(done.publication.id if done.publication.changed else "unchanged")


@click.command("gc")
@on_repository
@click.option(
    "--keep",
    default=10,
    show_default=True,
    type=click.IntRange(1),
    metavar="N",
    help="How many versions of a package stay whatever their age.",
)
@click.option(
    "--days",
    default=30,
    show_default=True,
    type=click.IntRange(0),
    metavar="D",
    help="How long every version stays.",
)
@click.option("--plan", "plan_only", is_flag=True, help="Print what would go, and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print the result for machines.")
def gc_(*, where: Target, keep: int, days: int, plan_only: bool, as_json: bool) -> None:
    """Take away old versions and what no host can still ask for.

    Of each package the newest N versions stay listed and all that are younger than D days. What
    an InRelease of the last 14 days names stays in any case, of every suite of the store.
    """
    from debship.publish.gc import Policy, collect, plan_gc

    policy = Policy(keep, timedelta(days=days))

    def looked(say: Say) -> "GcPlan":
        say("looking at what is reached")
        return plan_gc(where.store, policy, datetime.now(UTC), [where.suite])

    if plan_only:
        where.read()
        with progress() as say:
            planned = looked(say)
    else:
        with progress() as say, where.publisher(say) as publisher:
            publisher.snapshot(where.suite)
            planned = looked(say)
            collect(publisher, planned)
    if as_json:
        show_json("repo gc --plan" if plan_only else "repo gc", _gc(planned))
    else:
        _show_gc(planned)


def _show_gc(planned: "GcPlan") -> None:
    for suite, keys in planned.unlisted.items():
        for key in keys:
            print("unlist", *key, suite)
    for entry in planned.deleted:
        print(f"delete {entry.path} ({entry.size} bytes)")
    print(f"{planned.size} bytes")


def _gc(planned: "GcPlan") -> dict[str, Any]:
    def rows(keys: "tuple[Key, ...]") -> list[dict[str, str]]:
        return [key._asdict() for key in keys]

    return {
        "unlisted": {suite: rows(keys) for suite, keys in planned.unlisted.items()},
        "deleted": [{"path": entry.path, "size": entry.size} for entry in planned.deleted],
        "bytes": planned.size,
    }
