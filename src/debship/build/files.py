"""The files that debship writes for an application: units, the user, papers, configuration."""

import gzip
import io
import time
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from debship.build.changelog import changelog, upstream_changelog
from debship.build.conffiles import read_source
from debship.build.package import Package
from debship.build.papers.sbom import sbom
from debship.build.parts import Part
from debship.build.unit_files import render_unit
from debship.config.app import App
from debship.debian.archive_writer import Entry
from debship.errors import Misused
from debship.templates import render

_UNITS = "usr/lib/systemd/system"


def template_part(package: Package) -> Part:
    """Make the last part.

    Raises:
        Misused: a file of the application cannot be read.
    """
    entries = (*_written(package), *_links(package), *_shipped(package))
    return Part("_templates", package.date, tuple(sorted(entries, key=lambda it: it.path)))


def unit_texts(package: Package) -> tuple[tuple[str, str], ...]:
    """Render all unit files: pairs of a file's name and its text."""
    plan = package.plan
    return tuple(
        file
        for unit in plan.units
        for file in render_unit(
            unit,
            plan.app,
            prefix=plan.prefix,
            version=package.version,
            release=plan.release,
            dists=package.importable,
        )
    )


def _written(package: Package) -> Iterator[Entry]:
    """What is rendered."""
    plan, name = package.plan, package.plan.app.name
    texts: dict[str, str] = {f"{_UNITS}/{file}": text for file, text in unit_texts(package)}
    if plan.units and plan.app.user != "root":
        texts[f"usr/lib/sysusers.d/{name}.conf"] = _render(package, "sysusers", {"app": plan.app})
    values = {
        "package": package,
        "plan": plan,
        "year": time.gmtime(package.date).tm_year,
        "prefix": _inner(plan.prefix),
        "commands_without_page": _without_page(plan.app),
    }
    texts[f"usr/share/doc/{name}/copyright"] = _render(package, "copyright", values)
    texts[f"usr/share/lintian/overrides/{name}"] = _render(package, "lintian-overrides", values)
    for path, text in texts.items():
        yield Entry(path, 0o644, text.encode())
    yield Entry(f"usr/share/doc/{name}/changelog.Debian.gz", 0o644, _gzip(changelog(package)))
    if own := upstream_changelog(package):
        yield Entry(f"usr/share/doc/{name}/changelog.gz", 0o644, _gzip(own))
    yield Entry(f"usr/share/doc/{name}/sbom.cdx.json", 0o644, sbom(package).encode())


def _without_page(app: App) -> tuple[str, ...]:
    """Give the commands that no manual page is shipped for."""
    pages = {file.path.name.partition(".")[0] for file in app.files if "man" in file.path.parts}
    return tuple(command for command in app.run.commands if command not in pages)


def _links(package: Package) -> Iterator[Entry]:
    """Links, relative as Policy 10.5 wants those within one top-level directory."""
    for unit in package.plan.units:
        for name, target in unit.links:
            yield Entry(f"{_UNITS}/{name}", 0o777, target=target)
    for command in package.plan.app.run.commands:
        target = f"..{str(package.plan.prefix).removeprefix('/usr')}/bin/{command}"
        yield Entry(f"usr/bin/{command}", 0o777, target=target)


def _shipped(package: Package) -> Iterator[Entry]:
    """What the application brings as it is."""
    for config in package.plan.app.configs:
        if config.source is not None and not config.managed:
            yield Entry(_inner(config.path), 0o644, read_source(config.source))
    for file in package.plan.app.files:
        if not file.source.is_file():
            raise Misused(f"file: {file.source}: there is no such file")
        yield Entry(_inner(file.path), file.mode, file.source)


def _render(package: Package, name: str, values: Mapping[str, Any]) -> str:
    return render(f"package/{name}", values, overrides=package.plan.app.build.templates)


def _inner(path: PurePosixPath) -> str:
    return str(path).removeprefix("/")


def _gzip(text: str) -> bytes:
    """Compress as ``gzip -9n`` does: no name, no date (Policy 12.7)."""
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=packed, mtime=0) as file:
        file.write(text.encode())
    return packed.getvalue()
