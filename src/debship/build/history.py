"""What git tells of the versions of an application: its tags, and what was done between them."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from debship.debian.versions import from_tag
from debship.errors import Misused
from debship.run import Run

_COMMITS = 500  # at most that are looked at
_VERSIONS = 10  # at most that are told of
_FORMAT = "%H%x1f%ct%x1f%P%x1f%D%x1f%s%x1e"


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
    if (directory / ".git").exists():
        read = commits = _commits(directory, run)
    else:
        touched = {commit.name: commit for commit in _commits(directory, run, "--", ".")}
        # Below a path git leaves out what did not touch it; a tag may stand there: on the merge of a
        # branch, on a release of all. Those that a tag stands on are asked for, too.
        read = _commits(directory, run, "--simplify-by-decoration", "--", ".") if touched else ()
        commits = tuple(_of_folder(read, touched, names))
    changes = tuple(_changes(commits, names))
    if len(read) == _COMMITS:  # some of what belongs to the oldest was not read
        changes = changes[:-1]
    return changes[:_VERSIONS] if any(change.upstream for change in changes) else ()


class _Commit(NamedTuple):
    name: str
    seconds: str
    parents: str
    refs: str
    subject: str

    @property
    def does(self) -> bool:
        """Whether it does something by itself; a merge does not."""
        return " " not in self.parents


def _commits(directory: Path, run: Run, *which: str) -> tuple[_Commit, ...]:
    asked = run(
        [
            *("git", "log", f"--max-count={_COMMITS}", f"--format={_FORMAT}"),
            *("--decorate=short", "--decorate-refs=refs/tags", *which),
        ],
        cwd=directory,
        check=False,
    )
    commits = asked.text.split("\x1e")[:-1] if asked.returncode == 0 else []
    return tuple(_Commit(*commit.strip("\n").split("\x1f")) for commit in commits)


def _of_folder(
    tagged: Iterable[_Commit], touched: Mapping[str, _Commit], names: Collection[str]
) -> Iterator[_Commit]:
    """Choose what touched a folder, and what only a version of ours stands on: as a merge."""
    for commit in tagged:
        if commit.name in touched:
            yield touched[commit.name]
        elif next(_versions(commit.refs, names), None) is not None:
            yield commit._replace(parents="none of ours")


def _changes(commits: Iterable[_Commit], names: Collection[str]) -> Iterator[Change]:
    upstream: str | None = None
    subjects: list[str] = []
    date, known = 0, False
    for commit in commits:
        tagged = next(_versions(commit.refs, names), None)
        if tagged is not None and known:
            yield Change(upstream, date, tuple(subjects))
            date, subjects = 0, []
        if tagged is not None or not known:
            upstream, known = tagged, True
        date = date or int(commit.seconds)
        if commit.does:
            told = re.sub(r"[^\x20-\U0010ffff]", " ", commit.subject)
            subjects.append(" ".join(told.split()))
    if known:
        yield Change(upstream, date, tuple(subjects))


def _versions(refs: str, names: Collection[str]) -> Iterator[str]:
    for ref in refs.split(", "):
        if ref.startswith("tag: "):
            try:
                yield from_tag(ref.removeprefix("tag: "), names)
            except Misused:
                continue
