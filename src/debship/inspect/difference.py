"""What differs between two packages, at the level of wheels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from debship.inspect.changes import (
    Change,
    Changes,
    changed_files,
    changed_lines,
    changed_names,
)
from debship.inspect.contents import SCRIPTS, Contents
from debship.inspect.wheels import Distribution, source_of

# What differs with every build, or is told in words elsewhere.
_FIELDS_TOLD = frozenset({"version", "installed-size", "depends", "pre-depends"})
_CONTROL_TOLD = frozenset({"control", "md5sums"})


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs.

    Attributes:
        same: the two are the same bytes.
        fields: of the control file, dependencies and size aside.
        depends: relations.
        distributions: by name; ``before`` and ``after`` are versions.
        modules: of each distribution that is in both, by name, what changed of its files;
            bytecode is left out where its source changed too.
        units, conffiles, scripts: by path or name; scripts with triggers and what else lies in
            control.tar.
        files: what belongs to none of them.
    """

    before: Contents
    after: Contents
    same: bool
    fields: Changes
    depends: Changes
    distributions: Changes
    modules: Mapping[str, Changes]
    units: Changes
    conffiles: Changes
    scripts: Changes
    files: Changes

    def __bool__(self) -> bool:
        """Whether anything but how they are packed differs."""
        parts = (self.fields, self.depends, self.distributions, self.units, self.conffiles)
        more = (self.scripts, self.files, *self.modules.values())
        versions = self.before.deb.version != self.after.deb.version
        return versions or any(parts) or any(more)

    def as_dict(self) -> dict[str, Any]:
        """Give it for machines."""
        sides = {"before": self.before.deb, "after": self.after.deb}
        return {
            "same_bytes": self.same,
            "differ": bool(self),
            **{
                side: {
                    "package": str(deb.package),
                    "version": str(deb.version),
                    "architecture": str(deb.architecture),
                    "size": deb.size,
                    "sha256": deb.sha256,
                    "installed_size": contents.fields.get("installed-size"),
                }
                for (side, deb), contents in zip(
                    sides.items(), (self.before, self.after), strict=True
                )
            },
            "fields": self.fields.as_dict(),
            "depends": self.depends.as_dict(),
            "distributions": self.distributions.as_dict(),
            "modules": {name: found.as_dict() for name, found in self.modules.items()},
            "units": self.units.as_dict(),
            "conffiles": self.conffiles.as_dict(),
            "scripts": self.scripts.as_dict(),
            "files": self.files.as_dict(),
        }


def difference(before: Contents, after: Contents) -> Difference:
    """Compare two packages; dates and the order in which things are packed do not count."""
    return Difference(
        before=before,
        after=after,
        same=before.deb.sha256 == after.deb.sha256,
        fields=_fields(before, after),
        depends=changed_names(before.depends, after.depends),
        distributions=_distributions(before, after),
        modules=_modules(before, after),
        units=changed_files(before, after, _units(before), _units(after), texts=_unit_texts),
        conffiles=changed_files(before, after, _conffiles(before), _conffiles(after)),
        scripts=_scripts(before, after),
        files=changed_files(before, after, _others(before), _others(after)),
    )


def _fields(before: Contents, after: Contents) -> Changes:
    one, two = before.fields, after.fields
    both = sorted({*one, *two} - _FIELDS_TOLD)
    return Changes(
        added=tuple(name for name in both if name not in one),
        removed=tuple(name for name in both if name not in two),
        changed=tuple(
            Change(name, one[name], two[name])
            for name in both
            if name in one and name in two and one[name] != two[name]
        ),
    )


def _distributions(before: Contents, after: Contents) -> Changes:
    one = {dist.name: dist.version for dist in before.distributions}
    two = {dist.name: dist.version for dist in after.distributions}
    names = changed_names(one, two)
    changed = (
        Change(name, one[name], two[name])
        for name in sorted(one.keys() & two.keys())
        if one[name] != two[name]
    )
    return Changes(names.added, names.removed, tuple(changed))


def _modules(before: Contents, after: Contents) -> Mapping[str, Changes]:
    one = {dist.name: dist for dist in before.distributions}
    two = {dist.name: dist for dist in after.distributions}
    found = {
        name: changed_files(before, after, *_compared(one[name], two[name]))
        for name in sorted(one.keys() & two.keys())
    }
    return {
        name: _named_shorter(changes, one[name], two[name])
        for name, changes in found.items()
        if changes
    }


def _compared(one: Distribution, two: Distribution) -> tuple[Sequence[str], Sequence[str]]:
    """Give whose files to compare; metadata lie in a folder that bears the version."""
    if one.version == two.version:
        return one.files, two.files
    mine, theirs = (
        [path for path in dist.files if ".dist-info/" not in path] for dist in (one, two)
    )
    return mine, theirs


def _named_shorter(changes: Changes, one: Distribution, two: Distribution) -> Changes:
    """Leave away the folders that all files of a distribution lie in, and needless bytecode."""
    paths = [*one.files, *two.files]
    sites = {
        path.partition("-packages/")[0] + "-packages/" for path in paths if "-packages/" in path
    }
    named = {*changes.added, *changes.removed, *(change.name for change in changes.changed)}

    def shorter(path: str) -> str:
        site = next((site for site in sites if path.startswith(site)), "")
        return path.removeprefix(site)

    def told(path: str) -> bool:
        return source_of(path) not in named

    return Changes(
        tuple(shorter(path) for path in changes.added if told(path)),
        tuple(shorter(path) for path in changes.removed if told(path)),
        tuple(
            Change(shorter(change.name), change.before, change.after)
            for change in changes.changed
            if told(change.name)
        ),
    )


def _units(contents: Contents) -> tuple[str, ...]:
    return tuple(unit.path for unit in contents.units)


def _unit_texts(contents: Contents) -> Mapping[str, str]:
    return {unit.path: unit.text for unit in contents.units}


def _conffiles(contents: Contents) -> tuple[str, ...]:
    return tuple(path.removeprefix("/") for path in contents.conffiles)


def _others(contents: Contents) -> tuple[str, ...]:
    """Give what belongs to no distribution and is neither unit nor conffile nor directory."""
    taken = {path for dist in contents.distributions for path in dist.files}
    taken.update(_units(contents), _conffiles(contents))
    return tuple(
        path for path, member in contents.files.items() if path not in taken and member.kind != "5"
    )


def _scripts(before: Contents, after: Contents) -> Changes:
    one, two = before.control, after.control
    names = sorted({*one, *two} - _CONTROL_TOLD - {"conffiles"})
    changed = []
    for name in names:
        if name not in one or name not in two or one[name].sha256 == two[name].sha256:
            continue
        texts = [members[name].content.decode(errors="replace") for members in (one, two)]
        changed.append(Change(name, lines=changed_lines(*texts) if name in SCRIPTS else ()))
    return Changes(
        tuple(name for name in names if name not in one),
        tuple(name for name in names if name not in two),
        tuple(changed),
    )
