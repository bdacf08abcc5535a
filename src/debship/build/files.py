"""The files that debship writes for an application: units, the user, papers, configuration."""

import email.utils
import gzip
import io
import time
from collections.abc import Sequence
from pathlib import Path

from debship.build.package import Package
from debship.build.papers.sbom import sbom
from debship.build.parts import Part
from debship.build.plan import BuildPlan
from debship.build.units import render_unit
from debship.debian.archive_writer import Entry
from debship.errors import Misused
from debship.templates import render


def template_part(package: Package) -> Part:
    """Make the last part.

    Raises:
        Misused: a configuration file of the application cannot be read.
    """
    plan, name = package.plan, package.plan.app.name
    values = {
        "package": package,
        "plan": plan,
        "year": time.gmtime(package.date).tm_year,
        "prefix": str(plan.prefix).removeprefix("/"),
    }
    files: dict[str, str | bytes] = {
        f"usr/lib/systemd/system/{unit}": text for unit, text in _units(package)
    }
    if plan.units and plan.app.user != "root":
        files[f"usr/lib/sysusers.d/{name}.conf"] = render("package/sysusers", {"app": plan.app})
    files[f"usr/share/doc/{name}/changelog.Debian.gz"] = _gzip(changelog(package))
    files[f"usr/share/doc/{name}/copyright"] = render("package/copyright", values)
    files[f"usr/share/doc/{name}/sbom.cdx.json"] = sbom(package)
    files[f"usr/share/lintian/overrides/{name}"] = render("package/lintian-overrides", values)
    files |= dict(_conffiles(plan))
    entries = (
        Entry(path, 0o644, text.encode() if isinstance(text, str) else text)
        for path, text in sorted(files.items())
    )
    return Part("_templates", package.date, tuple(entries))


def changelog(package: Package) -> str:
    """Write the changelog (deb-changelog(5))."""
    date = email.utils.formatdate(package.date)
    return render("package/changelog", {"package": package, "plan": package.plan, "date": date})


def _units(package: Package) -> Sequence[tuple[str, str]]:
    plan, names = package.plan, frozenset(dist.name for dist in package.dists)
    return [
        file
        for unit in plan.units
        for file in render_unit(
            unit, plan.app, prefix=plan.prefix, version=package.version, dists=names
        )
    ]


def _conffiles(plan: BuildPlan) -> Sequence[tuple[str, bytes]]:
    return [
        (str(config.path).removeprefix("/"), _read(config.source))
        for config in plan.app.configs
        if config.source is not None and not config.managed
    ]


def _read(source: Path) -> bytes:
    try:
        return source.read_bytes()
    except OSError as error:
        raise Misused(f"config: {source}: {error.strerror}") from error


def _gzip(text: str) -> bytes:
    """Compress as ``gzip -9n`` does: no name, no date (Policy 12.7)."""
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=packed, mtime=0) as file:
        file.write(text.encode())
    return packed.getvalue()
