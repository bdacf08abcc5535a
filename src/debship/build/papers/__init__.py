"""The papers of a build: what lies beside the .deb and tells what is in it and where it is from.

Pure: each is made from small values that the build has anyway, never by reading the package back.
All of them are the same bytes for the same input.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from debship.build.installed import Installed
from debship.build.package import Package
from debship.build.papers.changes import buildinfo, changes
from debship.build.papers.installed import took_part
from debship.build.papers.provenance import statement
from debship.build.papers.sbom import sbom
from debship.debian.checksums import Checksums, checksums_of
from debship.model import Deb

SUFFIXES = (".cdx.json", ".buildinfo", ".provenance.json", ".changes")


@dataclass(frozen=True, slots=True)
class Paper:
    """A file that appears beside the package, or with it not at all."""

    name: str
    content: bytes


def papers_of(
    packages: Sequence[Package],
    debs: Sequence[Checksums],
    *,
    changelog: str,
    installed: Sequence[Installed],
    tools: Mapping[str, str],
    lock_sha256: str,
) -> tuple[Paper, ...]:
    """Write the papers of one build.

    Args:
        packages: what was built; the application's first, its name is the build's.
        debs: the .deb of each.
        changelog: of the application; its newest entry is what changed.
        installed: the Debian packages of where it was built.
        tools: what built it, by name, with its version.
        lock_sha256: of the lock file.

    Returns:
        a bill of materials for each .deb; then .buildinfo, provenance and, as what names the
        others should, .changes last.
    """
    main = packages[0]
    environment = took_part(installed, packages)
    bills = tuple(
        Paper(f"{stem(package)}.cdx.json", sbom(package).encode()) for package in packages
    )
    info = Paper(
        f"{stem(main)}.buildinfo", buildinfo(packages, debs, environment=environment).encode()
    )
    proven = statement(
        packages, debs, environment=environment, tools=tools, lock_sha256=lock_sha256
    )
    upload = changes(
        packages, debs, changelog=changelog, buildinfo=checksums_of(info.name, info.content)
    )
    return (
        *bills,
        info,
        Paper(f"{stem(main)}.provenance.json", proven.encode()),
        Paper(f"{stem(main)}.changes", upload.encode()),
    )


def stem(package: Package) -> str:
    """Give the name that the .deb and its papers have before their suffix."""
    return f"{package.plan.app.name}_{package.version.without_epoch}_{package.architecture}"


def papers_beside(deb: Deb) -> tuple[Path, ...]:
    """Find the papers of a package that was built here; one that is missing is left out."""
    candidates = (deb.path.with_suffix(suffix) for suffix in SUFFIXES)
    return tuple(path for path in candidates if path.is_file())
