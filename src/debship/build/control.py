"""The control half of a package: its fields, its scripts, its conffiles, its md5sums."""

import io
from collections.abc import Iterable, Sequence

from debship.build.maintainer_scripts import maintainer_scripts
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
    conffiles = package.conffiles
    text = render("package/control", fields, overrides=plan.app.build.templates)
    files = {"control": (text, 0o644)}
    files["md5sums"] = (_md5sums(packed, tuple(map(str, conffiles.shipped))), 0o644)
    lines = conffiles.lines_for(plan.release)
    if lines:
        files["conffiles"] = ("".join(f"{line}\n" for line in lines), 0o644)
    for script, text in maintainer_scripts(package).items():
        files[script] = (text, 0o755)
    entries = [Entry(name, mode, text.encode()) for name, (text, mode) in sorted(files.items())]
    tar = io.BytesIO()
    write_tar([Entry("."), *entries], mtime=package.date, sink=tar)
    return compress_whole(tar.getvalue() + END_OF_TAR, plan.release.compression)


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
    if plan.serves:
        yield f" They lie in {plan.prefix}; {plan.serves} imports them from there."
    elif plan.app.layout == "split":
        yield f" The application lies in {plan.prefix}, its dependencies in a package of their own."
    else:
        yield f" The application and its Python dependencies lie in {plan.prefix}."
