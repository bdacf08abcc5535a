"""What git tells of the versions of an application: its tags, and what was done between them."""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from debship.debian.versions import from_tag
from debship.errors import Misused
from debship.run import Run

_COMMITS = 500  # at most that are looked at
_VERSIONS = 10  # at most that are told of
_FORMAT = "%ct%x1f%P%x1f%D%x1f%s%x1e"


@dataclass(frozen=True, slots=True)
class Change:
    """What was done for one version.

    Attributes:
        upstream: the version as Debian spells it, without a revision; None: what no tag has yet.
        date: of its last commit, in seconds since 1970.
        subjects: of its commits, newest first.
    """

    upstream: str | None
    date: int
    subjects: tuple[str, ...]


def read_history(directory: Path, run: Run, names: Collection[str] = ()) -> tuple[Change, ...]:
    """Read the history of an application's folder.

    Args:
        directory: the folder; in a repository of several applications, only what touched it counts.
        run: the door to git.
        names: what may stand before the number in a tag.

    Returns:
        newest first; empty where git knows no tag that is a version.
    """
    # Commits that change nothing are left out below a path, and tags may stand on them.
    where = () if (directory / ".git").exists() else ("--", ".")
    asked = run(
        [
            *("git", "log", f"--max-count={_COMMITS}", f"--format={_FORMAT}"),
            *("--decorate=short", "--decorate-refs=refs/tags", *where),
        ],
        cwd=directory,
        check=False,
    )
    commits = asked.text.split("\x1e")[:-1] if asked.returncode == 0 else []
    changes = tuple(_changes(commits, names))
    if len(commits) == _COMMITS:  # some of what belongs to the oldest was not read
        changes = changes[:-1]
    return changes[:_VERSIONS] if any(change.upstream for change in changes) else ()


def _changes(commits: Iterable[str], names: Collection[str]) -> Iterator[Change]:
    upstream: str | None = None
    subjects: list[str] = []
    date, known = 0, False
    for commit in commits:
        seconds, parents, refs, subject = commit.strip("\n").split("\x1f")
        tagged = next(_versions(refs, names), None)
        if tagged is not None and known:
            yield Change(upstream, date, tuple(subjects))
            date, subjects = 0, []
        if tagged is not None or not known:
            upstream, known = tagged, True
        date = date or int(seconds)
        if " " not in parents:  # a merge does nothing by itself
            subjects.append(" ".join(re.sub(r"[^\x20-\U0010ffff]", " ", subject).split()))
    if known:
        yield Change(upstream, date, tuple(subjects))


def _versions(refs: str, names: Collection[str]) -> Iterator[str]:
    for ref in refs.split(", "):
        if ref.startswith("tag: "):
            try:
                yield from_tag(ref.removeprefix("tag: "), names)
            except Misused:
                continue
