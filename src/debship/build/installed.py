"""The Debian packages of where a build runs."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from debship.run import Run

_FORMAT = (
    "${Package}\t${Architecture}\t${Version}\t${db:Status-Status}\t${Essential}\t"
    "${Pre-Depends}, ${Depends}\t${Provides}\n"
)
_RELATION = re.compile(r"\s*([a-z0-9][a-z0-9+.-]*)")


@dataclass(frozen=True, slots=True)
class Installed:
    """An installed package.

    Attributes:
        depends: its Pre-Depends and Depends.
        provides: names.
    """

    name: str
    architecture: str
    version: str
    essential: bool
    depends: str
    provides: tuple[str, ...]

    @property
    def needs(self) -> tuple[str, ...]:
        """The names in its relations, the alternatives included; read for those alone that count."""
        return _names(self.depends)


def installed_packages(run: Run) -> tuple[Installed, ...]:
    """Ask dpkg once for all that is installed."""
    return tuple(_parsed(run(["dpkg-query", "-W", "-f", _FORMAT]).text))


def of_every_host(packages: Iterable[Installed], python: str) -> tuple[str, ...]:
    """Name those of the installed packages that hosts cannot be without.

    Args:
        packages: what is installed.
        python: the package of the interpreter.
    """
    more = {"apt", "libc6", "systemd", "python3", "python3-minimal", python, f"{python}-minimal"}
    return tuple(package.name for package in packages if package.essential or package.name in more)


def files_of(names: Iterable[str], run: Run) -> frozenset[str]:
    """Ask dpkg for the files of packages."""
    return frozenset(run(["dpkg-query", "--listfiles", *names]).text.splitlines())


def relation_names(relation: str) -> tuple[str, ...]:
    """Give the names in ``a (>= 1) | b``."""
    found = (_RELATION.match(part) for part in relation.split("|"))
    return tuple(match[1] for match in found if match)


def _parsed(text: str) -> Iterator[Installed]:
    for line in text.splitlines():
        fields = line.split("\t")
        if len(fields) != 7 or fields[3] != "installed":
            continue
        name, architecture, version, _, essential, depends, provides = fields
        yield Installed(name, architecture, version, essential == "yes", depends, _names(provides))


def _names(relations: str) -> tuple[str, ...]:
    found: Iterable[str] = (
        n for relation in relations.split(",") for n in relation_names(relation)
    )
    return tuple(dict.fromkeys(found))
