"""Where two packages that should be the same bytes differ, down to the file."""

from collections.abc import Iterator, Mapping

from debship.debian.tarball import Member
from debship.inspect.contents import Contents


def exact_differences(one: Contents, two: Contents) -> tuple[str, ...]:
    """Name everything that differs between two packages: contents, modes, owners, dates, order.

    Returns:
        a line each, empty only where the archives hold the same; then what differs is how they
        are compressed, or the dates in their frame.
    """
    return (
        *_members("control.tar", one.control, two.control),
        *_members("data.tar", one.files, two.files),
    )


def _members(where: str, one: Mapping[str, Member], two: Mapping[str, Member]) -> Iterator[str]:
    for path in sorted({*one, *two}):
        if path not in two:
            yield f"{where}: {path or '.'}: only in the first"
        elif path not in one:
            yield f"{where}: {path or '.'}: only in the second"
        else:
            what = tuple(_what(one[path], two[path]))
            if what:
                yield f"{where}: {path or '.'}: {', '.join(what)}"
    if set(one) == set(two) and list(one) != list(two):
        first = next(a for a, b in zip(one, two, strict=True) if a != b)
        yield f"{where}: the order, from {first or '.'} on"


def _what(one: Member, two: Member) -> Iterator[str]:
    if one.kind != two.kind:
        yield f"type {one.kind} and {two.kind}"
    if one.sha256 != two.sha256:
        yield "contents" + (f" ({one.size} and {two.size} bytes)" if one.size != two.size else "")
    if one.link != two.link:
        yield f"target {one.link} and {two.link}"
    if one.mode != two.mode:
        yield f"mode {one.mode:04o} and {two.mode:04o}"
    if one.owner != two.owner:
        yield f"owner {one.owner} and {two.owner}"
    if one.mtime != two.mtime:
        yield f"date {one.mtime} and {two.mtime}"
