"""The application's own wheel, unpacked by itself: it is what changes from build to build."""

import errno
import re
from collections.abc import Iterator, Mapping, Sequence
from configparser import ConfigParser
from pathlib import Path, PurePath
from shlex import quote
from typing import TYPE_CHECKING

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from debship.build.dists import Dist, needed_name, read_dists
from debship.build.plan import BuildPlan
from debship.build.virtualenv import Virtualenv
from debship.build.wheel import Wheel
from debship.errors import Misused, Refused

if TYPE_CHECKING:
    from installer.sources import WheelSource

_PYTHON = re.compile(r"[0-9.]+")
_OF_A_NAME = (None, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)
_ENTRY = re.compile(r"\s*[\w.]+\s*:\s*[\w.]+\s*(?:\[.*\])?\s*")
_RESERVED = re.compile(r"bin/python[0-9.]*|pyvenv\.cfg")


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
        Misused: this user may not read it.
    """
    prefix, site = (root / path.relative_to("/") for path in (plan.prefix, plan.site))
    schemes = {
        "purelib": site,
        "platlib": site,
        "headers": prefix / "include/site" / plan.python / wheel.name,
        "scripts": prefix / "bin",
        "data": prefix,
    }
    site.mkdir(parents=True)
    try:
        _install(wheel.path, schemes, plan.python_here)
    except Exception as error:  # whatever a wheel can hold, its reader can stumble over
        if isinstance(error, OSError) and error.filename == str(wheel.path):
            raise Misused(
                f"{wheel.path}: {error.strerror}", "it must be readable for who builds"
            ) from error
        if isinstance(error, OSError) and error.errno not in _OF_A_NAME:
            raise
        raise Refused(
            f"{wheel.path.name} cannot be unpacked: {_said(error).replace(f'{site}/', '')}",
            f"mend what makes the wheel; what is in it: unzip -l {quote(str(wheel.path))}",
        ) from error
    # As pip and uv do: wheels that are made on Windows say nothing of modes.
    for script in (prefix / "bin").rglob("*"):
        script.chmod(0o755)
    own = read_dists(prefix, site, plan.python_here)[0]
    for file in own.files:
        # As uv refuses a dependency that brings one.
        if _RESERVED.fullmatch(file):
            raise Refused(
                f"{wheel.path.name} brings {file}, which the virtualenv has of its own",
                "leave it out of the wheel, or name it otherwise",
            )
    return Virtualenv(root, prefix, own=own)


def _install(path: Path, schemes: Mapping[str, Path], python: PurePath) -> None:
    from installer import install
    from installer.destinations import SchemeDictionaryDestination
    from installer.sources import WheelFile

    places = {name: str(folder) for name, folder in schemes.items()}
    destination = SchemeDictionaryDestination(places, str(python), "posix")
    with WheelFile.open(path) as source:
        _check_entries(source)
        install(source, destination, additional_metadata={"INSTALLER": b"debship\n"})


def _check_entries(source: "WheelSource") -> None:
    """Read what installer asserts, in words of its own."""
    if "entry_points.txt" not in source.dist_info_filenames:
        return
    config = ConfigParser(delimiters="=", interpolation=None)
    config.optionxform = str  # type: ignore[assignment,method-assign]
    config.read_string(source.read_dist_info("entry_points.txt"))
    for section in ("console_scripts", "gui_scripts"):
        for name, value in config.items(section) if config.has_section(section) else ():
            if not _ENTRY.fullmatch(value):
                raise ValueError(
                    f'its script {name} is to start "{value}", which is no entry point'
                )


def _said(error: Exception) -> str:
    from installer.exceptions import InstallerError

    if isinstance(error, KeyError):  # of a member of the archive; it would quote itself
        return str(error.args[0])
    if isinstance(error, InstallerError) and error.args:  # the first is the wheel, as an object
        return str(error.args[-1])
    return str(error) or type(error).__name__


def check_has_all(plan: BuildPlan, own: Dist, others: Sequence[Dist], version: str) -> bool:
    """See that an application has what it needs in what was kept.

    Args:
        plan: what is built.
        own: the application.
        others: what the lock names.
        version: of the interpreter's package, such as 3.11.2-6+deb12u6.

    Returns:
        whether that could be told; where not, uv has to be asked.

    Raises:
        Refused: it has not.
    """
    return _judged(plan, [lacking(own, others, _PYTHON.findall(version)[0])])


def check_complete(plan: BuildPlan, own: Dist | None, others: Sequence[Dist], version: str) -> bool:
    """See that the application and all that the lock names have what they need.

    Args:
        plan: what is built.
        own: the application; None where the lock names it.
        others: what the lock names.
        version: of the interpreter's package.

    Returns:
        whether that could be told; where not, uv has to be asked.

    Raises:
        Refused: one of them has not.
    """
    python = _PYTHON.findall(version)[0]
    everyone = (*others, *([own] if own else []))
    return _judged(plan, [lacking(dist, everyone, python) for dist in everyone])


def _judged(plan: BuildPlan, found: Sequence[tuple[str, ...] | None]) -> bool:
    known = [lines for lines in found if lines is not None]
    if len(known) < len(found):
        return False
    _refuse(plan, tuple(dict.fromkeys(line for lines in known for line in lines)))
    return True


def _refuse(plan: BuildPlan, missing: Sequence[str]) -> None:
    if missing:
        raise Refused(
            "\n".join((f"{plan.lock.path}: it does not hold what the application needs", *missing)),
            plan.lock.hint,
        )


def lacking(own: Dist, others: Sequence[Dist], python: str) -> tuple[str, ...] | None:
    """Find what an application needs and others do not have, or they of it.

    That the others have what they need of one another was seen when they were installed.

    Args:
        own: the application.
        others: what the lock names.
        python: the version of the hosts' interpreter, such as 3.11.2.

    Returns:
        a sentence each, as ``uv pip check`` says it; None where old metadata say what no standard
        knows, such as ``pytz (>dev)``, which uv has an opinion of all the same.
    """
    try:
        return (*_wrong_python(own, python), *_missing(own, others, python))
    except ValueError:  # InvalidRequirement, UndefinedEnvironmentName and their kin
        return None


def _wrong_python(own: Dist, python: str) -> Iterator[str]:
    if own.needs_python and not SpecifierSet(own.needs_python).contains(python, prereleases=True):
        yield f"{own.name} requires Python {own.needs_python}, but {python} is installed"


def _missing(own: Dist, others: Sequence[Dist], python: str) -> Iterator[str]:
    environment = _environment(python)
    there = {dist.name: dist for dist in (*others, own)}
    for dist in there.values():
        for text in dist.needs:
            name = needed_name(text)
            # Before it is read: what others want of one another is no matter here.
            if own.name not in (dist.name, name):
                continue
            need = Requirement(text)
            if need.marker is not None and not need.marker.evaluate(environment):
                continue
            other = there.get(canonicalize_name(need.name))
            wants = f"{dist.name} requires {need.name}{need.specifier}"
            if other is None:
                yield f"{wants}, but it is not installed"
            elif not need.specifier.contains(other.version, prereleases=True):
                yield f"{wants}, but {other.version} is installed"


def _environment(python: str) -> dict[str, str]:
    """Give what markers ask for, on hosts with this Python."""
    return {
        **{name: str(value) for name, value in default_environment().items()},
        "python_version": ".".join(python.split(".")[:2]),
        "python_full_version": python,
        "implementation_version": python,
        "extra": "",
    }
