"""The control half of a package: its fields, its scripts, its conffiles, its md5sums."""

import io
import shlex
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from debship.build.package import Package
from debship.build.parts import Packed
from debship.build.plan import BuildPlan
from debship.debian.archive_writer import END_OF_TAR, Entry, write_tar
from debship.debian.compression import compress_whole
from debship.templates import render


def control_tar(package: Package, packed: Sequence[Packed]) -> bytes:
    """Make the compressed control.tar.

    Args:
        package: what it is the control of.
        packed: all its parts.
    """
    plan = package.plan
    fields = {
        "package": package,
        "plan": plan,
        "size": sum(part.kib for part in packed),
        "description": tuple(_description(plan)),
    }
    conffiles = sorted(str(c.path) for c in plan.app.configs if c.source and not c.managed)
    files = {"control": (render("package/control", fields), 0o644)}
    files["md5sums"] = (_md5sums(packed, conffiles), 0o644)
    if conffiles:
        files["conffiles"] = ("".join(f"{path}\n" for path in conffiles), 0o644)
    for script, text in maintainer_scripts(plan).items():
        files[script] = (text, 0o755)
    entries = [Entry(name, mode, text.encode()) for name, (text, mode) in sorted(files.items())]
    tar = io.BytesIO()
    write_tar([Entry("."), *entries], mtime=package.date, sink=tar)
    return compress_whole(tar.getvalue() + END_OF_TAR, plan.release.compression)


def maintainer_scripts(plan: BuildPlan) -> dict[str, str]:
    """Render the scripts that the package needs, by their names."""
    started = tuple(unit.started for unit in plan.units if unit.started)
    managed = tuple(config.path for config in plan.app.configs if config.managed)
    values = {
        "plan": plan,
        "started": started,
        "all": tuple(name for unit in plan.units for name in unit.names),
        "managed": tuple(shlex.quote(str(path)) for path in managed),
        "folders": tuple(shlex.quote(str(path)) for path in reversed(config_folders(plan))),
    }
    names = ("postinst", "prerm", "postrm") if plan.units else ("postrm",)
    return {name: render(f"package/{name}", values) for name in names}


def config_folders(plan: BuildPlan) -> tuple[PurePosixPath, ...]:
    """Give the directories below /etc that configuration files lie in, parents first."""
    parents = (parent for config in plan.app.configs for parent in config.path.parents)
    return tuple(sorted({parent for parent in parents if len(parent.parts) > 2}))


def _md5sums(packed: Sequence[Packed], conffiles: Sequence[str]) -> str:
    left_out = {path.removeprefix("/") for path in conffiles}
    sums = sorted(pair for part in packed for pair in part.md5s if pair[0] not in left_out)
    return "".join(f"{md5}  {path}\n" for path, md5 in sums)


def _description(plan: BuildPlan) -> Iterable[str]:
    """Give the lines of the extended description (Policy 5.6.13)."""
    for line in plan.app.description.strip().splitlines():
        yield f" {line.rstrip()}" if line.strip() else " ."
    if plan.app.description.strip():
        yield " ."
    yield f" The application and its Python dependencies lie in {plan.prefix}."
