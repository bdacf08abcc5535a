"""What was found, as lines for a person. Whoever shows them makes them fit for a terminal."""

from collections.abc import Iterator, Sequence

from debship.debian.versions import from_pep440
from debship.errors import Misused
from debship.inspect.changes import Change, Changes
from debship.inspect.contents import Contents
from debship.inspect.difference import Difference
from debship.inspect.wheels import Distribution
from debship.model import Size

_MANY = 20  # files of one distribution that are named; --json has all
_WIDTH = 40


def contents_lines(contents: Contents) -> Iterator[str]:
    """Describe a package."""
    deb, fields = contents.deb, contents.fields
    summary = fields.get("description", "").partition("\n")[0]
    yield f"{deb.package} {deb.version} ({deb.architecture}){': ' if summary else ''}{summary}"
    yield from _row("maintainer", fields.get("maintainer"))
    yield from _row("depends", ", ".join(contents.depends))
    kib = fields.get("installed-size", "")
    installed = f", {Size(int(kib) * 1024)} installed" if _is_number(kib) else ""
    yield from _row("size", f"{Size(deb.size)}{installed}")
    yield from _row("sha256", deb.sha256)
    yield from _row("python", contents.python)
    yield from _units(contents)
    yield from _section("conffiles", contents.conffiles)
    scripts = [f"{name} ({Size(contents.control[name].size)})" for name in contents.scripts]
    yield from _section("maintainer scripts, run by root", scripts)
    total = Size(sum(dist.size for dist in contents.distributions))
    yield from _section(f"distributions ({total})", list(_distributions(contents.distributions)))


def difference_lines(found: Difference) -> Iterator[str]:
    """Describe what differs between two packages."""
    one, two = found.before.deb, found.after.deb
    if found.same:
        yield f"{one.package} {one.version}: the same bytes"
        return
    if not found:
        yield f"{one.package} {one.version}: the same contents, packed another way"
        return
    if one.package != two.package:
        yield f"{one.package} -> {two.package}: these are two packages"
    versions = str(one.version) if one.version == two.version else f"{one.version} -> {two.version}"
    grown = two.size - one.size
    sizes = f"{Size(one.size)} -> {Size(two.size)}, {'+' if grown >= 0 else '-'}{Size(abs(grown))}"
    yield f"{two.package} {versions} ({sizes})"
    yield from _changes("fields", found.fields)
    yield from _changes("depends", found.depends)
    yield from _wheels(found)
    app = application(found.after)
    for name, changes in found.modules.items():
        moved = any(change.name == name for change in found.distributions.changed)
        if not moved or (app is not None and app.name == name):
            yield from _changes(f"files of {name}", changes, _MANY)
    yield from _changes("units", found.units)
    yield from _changes("conffiles", found.conffiles)
    yield from _changes("maintainer scripts", found.scripts)
    yield from _changes("other files", found.files, _MANY)


def application(contents: Contents) -> Distribution | None:
    """Guess which distribution the package is about: that of its name, or of its version."""
    named = [dist for dist in contents.distributions if dist.name == contents.deb.package]
    upstream = contents.deb.version.upstream
    same = [dist for dist in contents.distributions if _upstream(dist.version) == upstream]
    return next(iter(named or (same if len(same) == 1 else [])), None)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 16


def _upstream(version: str) -> str:
    try:
        return from_pep440(version)
    except Misused:
        return ""


def _row(name: str, value: str | None) -> Iterator[str]:
    if value:
        yield f"  {name:<11} {value}"


def _section(name: str, rows: Sequence[str]) -> Iterator[str]:
    if rows:
        yield ""
        yield name
        yield from (f"  {row}" for row in rows)


def _units(contents: Contents) -> Iterator[str]:
    rows = []
    for unit in contents.units:
        where = f", port {', '.join(map(str, unit.ports))}" if unit.ports else ""
        when = f"at {', '.join(unit.schedule)}" if unit.schedule else ""
        rows.append(
            f"{unit.name}: {f'runs as {unit.user}' if unit.user else when}{where}".rstrip(": ")
        )
        rows.extend(f"    {command}" for command in unit.commands)
    yield from _section("units", rows)


def _distributions(dists: Sequence[Distribution]) -> Iterator[str]:
    width = min(_WIDTH, max((len(dist.name) for dist in dists), default=0))
    versions = min(_WIDTH, max((len(dist.version) for dist in dists), default=0))
    for dist in sorted(dists, key=lambda dist: (-dist.size, dist.name)):
        yield (
            f"{dist.name:<{width}}  {dist.version:<{versions}}  {Size(dist.size):>9}  "
            f"{dist.license or 'no licence named'}"
        )


def _wheels(found: Difference) -> Iterator[str]:
    before = {dist.name: dist for dist in found.before.distributions}
    after = {dist.name: dist for dist in found.after.distributions}
    changes = found.distributions
    rows = []
    for change in changes.changed:
        files = found.modules.get(change.name, Changes())
        counted = (
            f"files: {len(files.changed)} changed, {len(files.added)} added, "
            f"{len(files.removed)} removed"
        )
        rows.append(f"~ {change.name} {change.before} -> {change.after} ({counted})")
    rows += [f"+ {name} {after[name].version} ({Size(after[name].size)})" for name in changes.added]
    rows += [f"- {name} {before[name].version}" for name in changes.removed]
    yield from _section("distributions", rows)


def _changes(name: str, changes: Changes, many: int | None = None) -> Iterator[str]:
    rows = [row for change in changes.changed for row in _change(change)]
    rows += [f"+ {added}" for added in changes.added]
    rows += [f"- {removed}" for removed in changes.removed]
    if many is not None and len(rows) > many:
        rows[many:] = [f"and {len(rows) - many} more: --json names all"]
    yield from _section(name, rows)


def _change(change: Change) -> Iterator[str]:
    sides = f": {change.before} -> {change.after}" if change.before or change.after else ""
    yield f"~ {change.name}{sides}"
    yield from (f"    {line}" for line in change.lines)
