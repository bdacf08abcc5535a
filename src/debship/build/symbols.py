"""Which packages hold the libraries that machine code needs: as dpkg-shlibdeps finds out.

It asks objdump about every file, and takes a second for each ten MB. What nearly all wheels need is
in a few libraries whose packages list their symbols (deb-symbols(5)); that is read here. Whatever
is not so plain is left to dpkg-shlibdeps itself: a library that is not found, or in no package, or
in one without such a list, or a list with more than names and versions in it.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath

from debship.build.elf import Needs, Unreadable, identity, read_needs
from debship.model import DebVersion
from debship.run import Run

_SPELT = re.compile(
    r" (?P<symbol>[^\s\"(]+@[^\s\"]+) (?P<version>[0-9][^\s]*)(?: (?P<number>[0-9]+))?"
)
_FIRST, _LAST = ("/lib", "/usr/lib"), ("/lib32", "/usr/lib32", "/lib64", "/usr/lib64")
_INFO = "var/lib/dpkg/info"
_ELSEWHERE = "etc/dpkg/symbols"  # where an administrator's lists would go before the packages'
_LINKS = 100  # steps of a path, so that a ring of links ends
_PLAIN_MACHINES = (3, 62, 183, 243)  # i386, amd64, arm64, riscv64: those of which one ABI is in use


class NotPlain(Exception):
    """It is for dpkg-shlibdeps to answer."""


@dataclass(frozen=True, slots=True)
class _Symbols:
    """What a package says of one library.

    Attributes:
        parts: the relations of each template; a symbol names a template by its number.
        least: the lowest version of a symbol under the first.
        versions: of each symbol, the version that brought it and the number of its relation.
    """

    parts: tuple[tuple[str, ...], ...]
    least: str
    versions: dict[str, tuple[str, int]]


@dataclass(slots=True)
class SystemLibraries:
    """The libraries of a release, as they lie below a root.

    Args:
        root: of the release.
        run: the door, to that root.
    """

    root: Path
    run: Run
    _owners: dict[str, str] = field(default_factory=dict)
    _known: dict[tuple[str, str], _Symbols] = field(default_factory=dict)

    def needed_by(
        self, files: Sequence[Path], tree: Path
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Say what machine code needs.

        Args:
            files: ELF files below ``tree``.
            tree: what will be ``/`` on the hosts.

        Returns:
            relations as in Depends, and the sonames that were asked for; both sorted.

        Raises:
            NotPlain: dpkg-shlibdeps must be asked.
        """
        if (self.root / _ELSEWHERE).exists():
            raise NotPlain("the administrator has lists of his own")
        if os.environ.get("LD_LIBRARY_PATH") or os.environ.get("DEB_HOST_ARCH"):
            raise NotPlain("libraries are looked for in other places")
        everywhere = self._paths()
        asked: list[tuple[Needs, dict[str, str]]] = []
        for file in files:
            try:
                needs = read_needs(file)
            except Unreadable as error:
                raise NotPlain(str(error)) from error
            asked.append((needs, self._outside(file, needs, tree, everywhere)))
        self._learn({library for _, libraries in asked for library in libraries.values()})
        least = dict[str, str]()
        for needs, libraries in asked:
            for template, version in self._relations(needs, libraries):
                if template not in least or _is_below(least[template], version):
                    least[template] = version
        sonames = {soname for needs, _ in asked for soname in needs.libraries}
        return tuple(sorted(_written(*pair) for pair in least.items())), tuple(sorted(sonames))

    def _outside(
        self, file: Path, needs: Needs, tree: Path, everywhere: Sequence[str]
    ) -> dict[str, str]:
        """Give the libraries of a file that are not in the package itself: where they lie."""
        own = identity(file)
        if own is None or int.from_bytes(own[1], "little" if own[0][1] == 1 else "big") not in (
            _PLAIN_MACHINES
        ):
            raise NotPlain(str(file))
        origin = str(file.parent).removeprefix(str(tree))
        paths = [
            path.replace("${ORIGIN}", origin).replace("$ORIGIN", origin) for path in needs.paths
        ]
        found = {}
        for soname in needs.libraries:
            if _find(soname, (*paths, *everywhere), tree, own):
                continue
            library = _find(soname, (*paths, *everywhere), self.root, own)
            if library is None:
                raise NotPlain(f"{soname} is not here")
            found[soname] = library
        return found

    def _relations(self, needs: Needs, libraries: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """Give templates of relations, with the versions that are wanted of them at least."""
        lists = [self._symbols(name, self._owners[path]) for name, path in libraries.items()]
        for known in lists:
            yield from ((part, known.least) for part in known.parts[0])
        for symbol in needs.symbols:
            found = next((known for known in lists if symbol in known.versions), None)
            if found is not None:
                version, number = found.versions[symbol]
                yield from ((part, version) for part in found.parts[number])

    def _paths(self) -> tuple[str, ...]:
        """Give where the loader looks (ld.so.conf), in the order of dpkg-shlibdeps."""
        found = list(_FIRST)
        for name in self._read("etc/ld.so.conf"):
            if name.startswith("include"):
                pattern = name.removeprefix("include").strip()
                files = sorted(self.root.glob(pattern.lstrip("/")))
                lines = (line for file in files for line in self._read(file.relative_to(self.root)))
                found += (line for line in lines if line.startswith("/"))
            elif name.startswith("/"):
                found.append(name)
        return tuple(dict.fromkeys((*found, *_LAST)))

    def _read(self, path: str | Path) -> list[str]:
        try:
            return [
                line.strip()
                for line in (self.root / path).read_text("utf-8", "replace").splitlines()
            ]
        except FileNotFoundError:
            return []

    def _learn(self, libraries: Iterable[str]) -> None:
        """Ask dpkg once for the packages of files, as its own files are named after them."""
        new = sorted(set(libraries) - set(self._owners))
        real = {library: resolved(library, self.root) for library in new}
        if not new:
            return
        done = self.run(["dpkg-query", "--search", *new, *real.values()], check=False)
        lines = (line.rpartition(": ") for line in done.text.splitlines())
        owners = {path: names for names, _, path in lines}
        for library in new:
            names = owners.get(library) or owners.get(real[library]) or ""
            if not names or "," in names or " " in names:
                raise NotPlain(f"{library} is in no package, or in several")
            self._owners[library] = names

    def _symbols(self, soname: str, package: str) -> _Symbols:
        if (package, soname) not in self._known:
            lines = self._read_list(package)
            self._known[package, soname] = _parsed(lines, soname)
        return self._known[package, soname]

    def _read_list(self, package: str) -> list[str]:
        for name in (package, package.partition(":")[0]):
            path = self.root / _INFO / f"{name}.symbols"
            if path.is_file():
                return path.read_text("utf-8", "replace").splitlines()
        raise NotPlain(f"{package} does not list its symbols")


def _parsed(lines: Iterable[str], soname: str) -> _Symbols:
    """Read what a list says of one library.

    Raises:
        NotPlain: nothing, or what is not read here.
    """
    templates: list[str] = []
    versions: dict[str, tuple[str, int]] = {}
    inside = False
    for line in lines:
        if not line or line.startswith("*"):
            continue
        if line.startswith("#"):
            raise NotPlain(line)
        if line.startswith("|"):
            templates += [line[1:].strip()] if inside else []
        elif not line.startswith(" "):
            name, _, template = line.partition(" ")
            inside = name == soname
            if inside and templates:
                raise NotPlain(line)
            templates += [template.strip()] if inside else []
        elif inside:
            match = _SPELT.fullmatch(line)
            if match is None:
                raise NotPlain(line)
            versions[match["symbol"]] = match["version"], int(match["number"] or 0)
    first = {DebVersion(version) for version, number in set(versions.values()) if number == 0}
    if not templates or not first or any(n >= len(templates) for _, n in versions.values()):
        raise NotPlain(soname)
    return _Symbols(tuple(map(_parts, templates)), str(min(first)), versions)


def _parts(template: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in template.split(","))


@cache
def _is_below(one: str, other: str) -> bool:
    return DebVersion(one) < DebVersion(other)


def resolved(path: str, root: Path) -> str:
    """Follow the links of an absolute path as a process whose ``/`` is the root would."""
    done, rest = PurePosixPath("/"), list(PurePosixPath(path).parts[1:])
    for _ in range(_LINKS):
        if not rest:
            return str(done)
        part = rest.pop(0)
        here = done.parent if part == ".." else done / part
        try:
            target = PurePosixPath((root / here.relative_to("/")).readlink())
        except OSError:  # it is no link
            done = here
            continue
        rest = [*(part for part in target.parts if part != "/"), *rest]
        done = PurePosixPath("/") if target.is_absolute() else done
    return path


def _find(soname: str, paths: Sequence[str], root: Path, own: tuple[bytes, bytes]) -> str | None:
    for path in paths:
        candidate = f"{path.rstrip('/')}/{soname}"
        try:
            if identity(root / resolved(candidate, root).lstrip("/")) == own:
                return candidate
        except OSError:
            continue
    return None


def _written(template: str, version: str) -> str:
    """Fill in a template; a version of 0 is none."""
    bound = "" if version == "0" else f"(>= {version})"
    return " ".join(template.replace("#MINVER#", bound).split())
