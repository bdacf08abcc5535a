"""The control half of a package: its fields, its scripts, its conffiles, its md5sums."""

import io
import re
import textwrap
from collections.abc import Iterable, Sequence
from itertools import groupby

from debship.build.maintainer_scripts import maintainer_scripts
from debship.build.package import Package
from debship.build.parts import Packed
from debship.build.plan import BuildPlan
from debship.debian import control, relations
from debship.debian.archive_writer import END_OF_TAR, Entry, write_tar
from debship.debian.compression import compress_whole
from debship.errors import Misused
from debship.templates import render

_BLANK = re.compile(r"\n\s*\n")
_FILL = textwrap.TextWrapper(78, break_long_words=False, break_on_hyphens=False)


def control_tar(package: Package, packed: Sequence[Packed]) -> bytes:
    """Make the compressed control.tar.

    Args:
        package: what it is the control of.
        packed: all its parts.

    Raises:
        Misused: an application's own template for ``control`` says what no repository takes.
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
    _check(text, package)
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


def _check(text: str, package: Package) -> None:
    """See that it says what was planned, and what apt reads: the template may be the user's own."""
    here = "the template package/control"
    try:
        said = control.fields(text.encode())
    except control.Malformed as error:
        raise Misused(f"{here}: {error}") from error
    planned = {
        "Package": package.plan.app.name,
        "Version": str(package.version),
        "Architecture": package.architecture,
    }
    for name, value in planned.items():
        if said.get(name.lower()) != value:
            raise Misused(f'{here}: {name} is "{said.get(name.lower(), "")}", expected "{value}"')
    if complaint := relations.unreadable(said):
        raise Misused(f"{here}: {complaint}")


def _md5sums(packed: Sequence[Packed], conffiles: Sequence[str]) -> str:
    left_out = {path.removeprefix("/") for path in conffiles}
    sums = sorted(pair for part in packed for pair in part.md5s if pair[0] not in left_out)
    return "".join(f"{md5}  {path}\n" for path, md5 in sums)


def _description(plan: BuildPlan) -> Iterable[str]:
    """Give the lines of the extended description (Policy 5.6.13).

    A paragraph is filled to lines that a terminal shows whole; lines that begin with a space, as
    lists do, stay as they are.
    """
    paragraphs = [text for text in _BLANK.split(plan.app.description.strip("\n")) if text.strip()]
    for number, paragraph in enumerate((*paragraphs, _where(plan))):
        if number:
            yield " ."
        lines = groupby(paragraph.splitlines(), key=lambda line: line[:1].isspace())
        for verbatim, together in lines:
            if verbatim:
                yield from (f" {line.rstrip()}" for line in together)
            else:
                filled = _FILL.wrap(" ".join(together))
                yield from (f" {line}" for line in filled)


def _where(plan: BuildPlan) -> str:
    if plan.serves:
        return f"They lie in {plan.prefix}; {plan.serves} imports them from there."
    if plan.app.layout == "split":
        return f"The application lies in {plan.prefix}, its dependencies in a package of their own."
    return f"The application and its Python dependencies lie in {plan.prefix}."
