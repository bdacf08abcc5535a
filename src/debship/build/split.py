"""The split layout: what the lock names in a package of its own, named by its content.

Two such packages stand side by side on a host, and apt takes away what no application needs any
more. The application has the virtualenv: an interpreter, its own wheel, a line that leads to the
other package, and a link to each script and data file there.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

import zstandard

from debship.build.dists import Dist
from debship.build.layer_key import contents
from debship.build.parts import Part
from debship.build.plan import BuildPlan
from debship.build.virtualenv import Virtualenv
from debship.config.app import RunSettings
from debship.debian.archive_writer import Entry
from debship.errors import Refused
from debship.model import DebVersion, PackageName

_FORMAT = "1"  # raise it where the same content must become other bytes
_DIGITS = 8
_VERSION = DebVersion("1.0-1")  # always: another content has another name
UNNAMED = "0" * _DIGITS


def plan_dependencies(plan: BuildPlan, digest: str) -> BuildPlan:
    """Plan the package of an application's dependencies.

    Args:
        plan: the application's.
        digest: names the content.
    """
    app = plan.app
    own = replace(
        app,
        name=PackageName(f"{app.name}-deps-{digest}"),
        summary=f"Python dependencies of {app.name}",
        description="These distributions are named by their content, and never change.",
        version=str(_VERSION),
        layout="whole",
        changelog=None,
        run=RunSettings(),
        configs=(),
        files=(),
        scripts=(),
        services=(),
    )
    return replace(
        plan,
        app=own,
        units=(),
        version=_VERSION,
        date=plan.release.date,
        previous=None,
        serves=app.name,
    )


def digest_of(plan: BuildPlan, installed: Virtualenv, *, level: int, python: str) -> str:
    """Name what was installed, and all else that decides the package's bytes.

    Args:
        plan: the application's.
        installed: what its lock names.
        level: of the compressor.
        python: the version of the interpreter's package, which compiles.
    """
    what = [contents(dist, installed) for dist in installed.dists]
    words = json.dumps([*naming(plan, level=level, python=python), what])
    return hashlib.sha256(words.encode()).hexdigest()[:_DIGITS]


def naming(plan: BuildPlan, *, level: int, python: str) -> tuple[str, ...]:
    """Give what names the package of dependencies, besides what is in it."""
    app, release = plan.app, plan.release
    return (
        *(_FORMAT, app.name, app.maintainer, app.section, app.homepage or ""),
        *(release.codename, release.compression, plan.machine, python),
        *(str(level), zstandard.__version__, ".".join(map(str, zstandard.ZSTD_VERSION))),
    )


def check_apart(plan: BuildPlan, own: Dist, others: Sequence[Dist]) -> None:
    """See that an application does not reach into its dependencies: they lie in two folders.

    Raises:
        Refused: both bring a distribution of one name, or files of one package.
    """
    way_out = 'layout = "whole" lets them share a folder'
    if own.name in {dist.name for dist in others}:
        raise Refused(f"{plan.lock.path}: it names {own.name}, which is the application", way_out)
    theirs = {file: dist.name for dist in others for file in dist.files}
    packages = _packages(theirs)
    for file in own.files:
        for folder in map(str, PurePosixPath(file).parents):
            if folder in packages:
                raise Refused(
                    f"{own.name} brings {file}, into a package of {packages[folder]}", way_out
                )
    inside = tuple(f"{folder}/" for folder in _packages(dict.fromkeys(own.files, own.name)))
    for file, who in theirs.items():
        if file.startswith(inside):
            raise Refused(f"{who} brings {file}, into a package of {own.name}", way_out)


def joining_part(
    plan: BuildPlan, dependencies: BuildPlan, own: Dist | None, others: Sequence[Dist], date: int
) -> Part:
    """Make the part by which an application sees its dependencies.

    Args:
        plan: the application's.
        dependencies: the plan of their package.
        own: the application; its files go before theirs.
        others: its dependencies.
        date: seconds since 1970.
    """
    taken = frozenset(own.files if own else ())
    files = sorted(file for dist in others for file in dist.files if file not in taken)
    links = (_link(file, plan, dependencies) for file in files if not _is_imported(file))
    return Part("_joining", date, (*_path(plan, dependencies), *links))


def _path(plan: BuildPlan, dependencies: BuildPlan) -> Iterator[Entry]:
    # addsitedir reads the .pth files there as well, which a line with the path alone would not.
    line = f'import site; site.addsitedir("{dependencies.site}")\n'
    path = str(plan.site).removeprefix("/")
    yield Entry(f"{path}/_{plan.app.name}_dependencies.pth", 0o644, line.encode())


def _link(file: str, plan: BuildPlan, dependencies: BuildPlan) -> Entry:
    """A link for each file, and none for a folder: dpkg turns no folder into a link (Policy 6.6)."""
    up = "../" * (file.count("/") + 1)
    path = f"{plan.prefix}/{file}".removeprefix("/")
    return Entry(path, 0o777, target=f"{up}{dependencies.app.name}/{file}")


def _is_imported(file: str) -> bool:
    return file.startswith(("lib/", "lib64/", "include/"))


def _packages(files: Mapping[str, str]) -> dict[str, str]:
    """Give the folders that are packages, but for those that any number may share (PEP 420)."""
    ending = "/__init__.py"
    return {file.removesuffix(ending): who for file, who in files.items() if file.endswith(ending)}
