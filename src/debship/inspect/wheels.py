"""The Python distributions in a package: which there are, and which file is whose."""

import csv
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from debship.debian.tarball import Member
from debship.inspect.metadata import headers, license_line

_INFO = r"(?P<site>(?:[^/]+/)*(?:site|dist)-packages)/(?P<info>[^/]+\.(?:dist-info|egg-info))"
_METADATA = re.compile(rf"{_INFO}(?:/(?:METADATA|PKG-INFO))?")
PAPERS = re.compile(rf"{_INFO}(?:/(?:METADATA|PKG-INFO|WHEEL|RECORD))?")
_PYTHON = re.compile(r"(?:^|/)python(3\.[0-9]+)/(?:site|dist)-packages/")
_BYTECODE = re.compile(
    r"(?P<folder>.*)__pycache__/(?P<stem>[^/]+?)\.[a-z]+-[0-9]+(?:\.opt-[12])?\.pyc"
)


@dataclass(frozen=True, slots=True)
class Distribution:
    """A distribution that is installed in a package.

    Attributes:
        name: normalised (PEP 503).
        license: on one line; empty where the metadata name none.
        tags: of its wheel; empty where it came from none.
        files: paths without a leading slash, its bytecode included; sorted.
        size: bytes of all of them.
    """

    name: str
    version: str
    license: str
    tags: tuple[str, ...]
    files: tuple[str, ...]
    size: int


def read_distributions(files: Mapping[str, Member]) -> tuple[Distribution, ...]:
    """Find the distributions among a package's files, by name.

    Where two claim one file, it is the first one's by name: sizes are to add up.

    Args:
        files: by path; those that ``PAPERS`` matches with their content.
    """
    infos = {match["info"]: (match["site"], path) for match, path in _metadata(files)}
    bytecode = _bytecode(files)
    claimed: set[str] = set()
    found = []
    for info, (site, path) in sorted(infos.items(), key=lambda pair: pair[0].lower()):
        folder = f"{site}/{info}"
        mine = [name for name in _files(files, site, folder) if name not in claimed]
        claimed.update(mine)
        mine += [name for source in mine for name in bytecode.get(source, ())]
        found.append(_distribution(files, folder, path, mine))
    return tuple(sorted(found, key=lambda dist: dist.name))


def python_of(files: Iterable[str]) -> str | None:
    """Tell for which minor version of Python a package's modules lie there."""
    return next((match[1] for path in files if (match := _PYTHON.search(path))), None)


def source_of(path: str) -> str | None:
    """Give the source that bytecode was compiled from; None where it is no bytecode."""
    match = _BYTECODE.fullmatch(path)
    return f"{match['folder']}{match['stem']}.py" if match else None


def _metadata(files: Mapping[str, Member]) -> Iterator[tuple[re.Match[str], str]]:
    for path, member in files.items():
        match = _METADATA.fullmatch(path)
        if match is not None and member.kind == "0":
            yield match, path


def _distribution(
    files: Mapping[str, Member], folder: str, path: str, mine: Sequence[str]
) -> Distribution:
    fields = headers(files[path].content)
    wheel = headers(files[f"{folder}/WHEEL"].content) if f"{folder}/WHEEL" in files else {}
    named = folder.rpartition("/")[2].partition("-")

    def first(key: str, otherwise: str = "") -> str:
        return fields.get(key, [otherwise])[0]

    return Distribution(
        name=canonicalize_name(first("name", named[0])),
        version=first("version", "unknown"),
        license=license_line(
            first("license-expression"), first("license"), fields.get("classifier", ())
        ),
        tags=tuple(sorted(wheel.get("tag", ()))),
        files=tuple(sorted(set(mine))),
        size=sum(files[name].size for name in set(mine)),
    )


def _files(files: Mapping[str, Member], site: str, folder: str) -> Iterator[str]:
    record = files.get(f"{folder}/RECORD")
    if record is None:
        yield from (path for path in files if path.startswith(f"{folder}/") or path == folder)
        return
    lines = record.content.decode(errors="replace").replace("\0", "").splitlines()
    try:
        for row in csv.reader(lines):
            path = posixpath.normpath(posixpath.join(site, row[0])) if row else ""
            if path in files and files[path].kind != "5":
                yield path
    except csv.Error:  # a field of more than 128 KiB: no path
        return


def _bytecode(files: Iterable[str]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in files:
        source = source_of(path)
        if source is not None:
            found.setdefault(source, []).append(path)
    return found
