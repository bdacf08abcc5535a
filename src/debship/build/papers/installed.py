"""Which Debian packages took part in a build."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from debship.build.package import Package
from debship.run import Run

_FORMAT = (
    "${Package}\t${Architecture}\t${Version}\t${db:Status-Status}\t${Essential}\t"
    "${Pre-Depends}, ${Depends}\t${Provides}\n"
)
_RELATION = re.compile(r"\s*([a-z0-9][a-z0-9+.-]*)")
# What finds shared libraries; nothing else of Debian's is run but the interpreter.
_SHLIBDEPS = ("dpkg-dev", "binutils")


@dataclass(frozen=True, slots=True)
class Installed:
    """An installed package.

    Attributes:
        needs: names in its Depends and Pre-Depends, the alternatives included.
        provides: names.
    """

    name: str
    architecture: str
    version: str
    essential: bool
    needs: tuple[str, ...]
    provides: tuple[str, ...]


def installed_packages(run: Run) -> tuple[Installed, ...]:
    """Ask dpkg once for all that is installed."""
    return tuple(_parsed(run(["dpkg-query", "-W", "-f", _FORMAT]).text))


def took_part(installed: Sequence[Installed], packages: Sequence[Package]) -> tuple[Installed, ...]:
    """Pick the packages that might have had a part in a build, as deb-buildinfo(5) wants them.

    All essential ones, what the build needs and runs, the packages of the libraries that were
    found, and whatever these depend on; sorted by name.
    """
    providers: dict[str, list[Installed]] = {}
    for candidate in installed:
        for name in (candidate.name, *candidate.provides):
            providers.setdefault(name, []).append(candidate)
    plan = packages[0].plan
    wanted = [candidate.name for candidate in installed if candidate.essential]
    wanted += [plan.python, *(need.partition(":")[0] for need in plan.app.build.needs)]
    for relation in (relation for package in packages for relation in package.depends):
        wanted += relation_names(relation)
    if any(package.compiled for package in packages):
        wanted += _SHLIBDEPS
    found: set[Installed] = set()
    while wanted:
        for provider in providers.get(wanted.pop(), ()):
            if provider not in found:
                found.add(provider)
                wanted += provider.needs
    return tuple(sorted(found, key=lambda package: (package.name, package.architecture)))


def relation_names(relation: str) -> tuple[str, ...]:
    """Give the names in ``a (>= 1) | b``."""
    found = (_RELATION.match(part) for part in relation.split("|"))
    return tuple(match[1] for match in found if match)


def _parsed(text: str) -> Iterator[Installed]:
    for line in text.splitlines():
        fields = line.split("\t")
        if len(fields) != 7 or fields[3] != "installed":
            continue
        name, architecture, version, _, essential, needs, provides = fields
        yield Installed(
            name, architecture, version, essential == "yes", _names(needs), _names(provides)
        )


def _names(relations: str) -> tuple[str, ...]:
    found: Iterable[str] = (
        n for relation in relations.split(",") for n in relation_names(relation)
    )
    return tuple(dict.fromkeys(found))
