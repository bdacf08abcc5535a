"""The application's own wheel, unpacked by itself: it is what changes from build to build."""

import re
from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from debship.build.dists import Dist, read_dists
from debship.build.plan import BuildPlan
from debship.build.virtualenv import Virtualenv
from debship.build.wheel import Wheel
from debship.errors import Refused

_PYTHON = re.compile(r"[0-9.]+")


def unpack(plan: BuildPlan, wheel: Wheel, root: Path) -> Virtualenv:
    """Unpack the application's wheel where it will lie on the hosts.

    Args:
        plan: what is built.
        wheel: the application's.
        root: what will be ``/`` on the hosts; made here.

    Returns:
        a virtualenv of nothing else, without an interpreter.

    Raises:
        Refused: it is no wheel as it should be.
    """
    from installer import install
    from installer.destinations import SchemeDictionaryDestination
    from installer.exceptions import InstallerError
    from installer.sources import WheelFile

    prefix, site = (root / path.relative_to("/") for path in (plan.prefix, plan.site))
    destination = SchemeDictionaryDestination(
        {
            "purelib": str(site),
            "platlib": str(site),
            "headers": str(prefix / "include/site" / plan.python / wheel.name),
            "scripts": str(prefix / "bin"),
            "data": str(prefix),
        },
        interpreter=str(plan.python_here),
        script_kind="posix",
    )
    site.mkdir(parents=True)
    try:
        with WheelFile.open(wheel.path) as source:
            install(source, destination, additional_metadata={"INSTALLER": b"debship\n"})
    except (InstallerError, ValueError, BadZipFile) as error:
        raise Refused(f"{wheel.path.name} cannot be unpacked: {error}") from error
    own = read_dists(prefix, site, plan.python_here)[0]
    return Virtualenv(root, prefix, own=own)


def check_has_all(plan: BuildPlan, own: Dist, others: Sequence[Dist], version: str) -> None:
    """See that an application has what it needs in what was kept.

    Args:
        plan: what is built.
        own: the application.
        others: what the lock names.
        version: of the interpreter's package, such as 3.11.2-6+deb12u6.

    Raises:
        Refused: it has not.
    """
    _refuse(plan, lacking(own, others, _PYTHON.findall(version)[0]))


def check_complete(plan: BuildPlan, own: Dist | None, others: Sequence[Dist], version: str) -> None:
    """See that the application and all that the lock names have what they need.

    Args:
        plan: what is built.
        own: the application; None where the lock names it.
        others: what the lock names.
        version: of the interpreter's package.

    Raises:
        Refused: one of them has not.
    """
    python = _PYTHON.findall(version)[0]
    everyone = (*others, *([own] if own else []))
    found = (line for dist in everyone for line in lacking(dist, everyone, python))
    _refuse(plan, tuple(dict.fromkeys(found)))


def _refuse(plan: BuildPlan, missing: Sequence[str]) -> None:
    if missing:
        raise Refused(
            "\n".join((f"{plan.lock.path}: it does not hold what the application needs", *missing)),
            plan.lock.hint,
        )


def lacking(own: Dist, others: Sequence[Dist], python: str) -> tuple[str, ...]:
    """Find what an application needs and others do not have, or they of it.

    That the others have what they need of one another was seen when they were installed.

    Args:
        own: the application.
        others: what the lock names.
        python: the version of the hosts' interpreter, such as 3.11.2.

    Returns:
        a sentence each, as ``uv pip check`` says it.
    """
    minor = ".".join(python.split(".")[:2])
    environment = {
        **{name: str(value) for name, value in default_environment().items()},
        "python_version": minor,
        "python_full_version": python,
        "implementation_version": python,
        "extra": "",
    }
    there = {dist.name: dist for dist in (*others, own)}
    found = []
    if own.needs_python and not SpecifierSet(own.needs_python).contains(python, prereleases=True):
        found.append(f"{own.name} requires Python {own.needs_python}, but {python} is installed")
    for dist in there.values():
        for text in dist.needs:
            need = Requirement(text)
            name = canonicalize_name(need.name)
            if own.name not in (dist.name, name):
                continue
            if need.marker is not None and not need.marker.evaluate(environment):
                continue
            other = there.get(name)
            if other is None:
                found.append(
                    f"{dist.name} requires {need.name}{need.specifier}, but it is not installed"
                )
            elif not need.specifier.contains(other.version, prereleases=True):
                found.append(
                    f"{dist.name} requires {need.name}{need.specifier}, but {other.version} is installed"
                )
    return tuple(found)
