"""The application's own wheel: built here, by its command, or lying there."""

import calendar
import hashlib
import re
import shlex
import shutil
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from debship.build.complaints import explained
from debship.build.plan import BuildPlan
from debship.build.uv import Uv
from debship.config.app import App
from debship.errors import Failed, Misused, Refused
from debship.model import Architecture

_DEFAULT_GLOB = "dist/*.whl"

# dpkg's words for machines, and Python's; and what the oldest of glibc's versions were called.
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64", "i386": "i686", "ppc64el": "ppc64le"}
_MACHINES |= {"riscv64": "riscv64", "s390x": "s390x", "armhf": "armv7l"}
_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_GLIBC = re.compile(r"2\.([0-9]+)")


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel that lies on this machine."""

    path: Path
    name: str  # normalised (PEP 503)
    version: str  # as PEP 440 has it
    tags: frozenset[Tag]

    @property
    def sha256(self) -> str:
        """Of the file, in lower-case hexadecimal."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @property
    def newest(self) -> int:
        """The date of its newest entry, in seconds since 1970, read as UTC."""
        with zipfile.ZipFile(self.path) as archive:
            return max((calendar.timegm(i.date_time) for i in archive.infolist()), default=0)


def makes_wheel(plan: BuildPlan) -> bool:
    """Tell whether debship itself makes the application's wheel, by its build backend."""
    settings = plan.app.build
    return not (settings.requirement or settings.command or settings.wheel)


def application_wheel(
    plan: BuildPlan, folder: Path, uv: Uv, root: Path = Path("/"), *, libc: str = ""
) -> Wheel | None:
    """Get the application's wheel; None where the lock names the application itself.

    Args:
        plan: what is built.
        folder: a new one, for a wheel that debship builds or that only a root holds.
        uv: how uv is run.
        root: what ``/`` is for what uv runs.
        libc: the version of libc6 there, such as 2.36-9+deb12u10.

    Raises:
        Failed: the build failed, or left no wheel.
        Refused: it cannot be told which wheel is meant, or it is for another Python or machine.
    """
    settings = plan.app.build
    if settings.requirement:
        return None
    if not makes_wheel(plan):
        path = _by_command(plan.app, uv, root)
        if root != Path("/"):
            folder.mkdir()
            path = Path(shutil.copy(path, folder))
    else:
        words = ("build", "--wheel", "--python", plan.interpreter, "--out-dir", folder)
        with explained(plan):
            uv(
                *(*words, *uv.constraints, plan.app.directory),
                cwd=plan.app.directory,
                env=_afresh(folder),
            )
        path = _only(folder.glob("*.whl"), f"building {plan.app.directory}")
    wheel = read_wheel(path)
    check_tags(wheel, plan.release.python, platforms(plan.machine, libc))
    return wheel


def run_command(line: str, app: App, uv: Uv, key: str) -> None:
    """Run a command of debship.toml in the application's folder; no shell takes part.

    Raises:
        Misused: it cannot be split into words.
        Failed: it failed.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise Misused(f"build.{key}: {str(error).lower()}: {line}") from error
    if not words:
        raise Misused(f"build.{key}: there is no command", "leave it out")
    try:
        uv.run(words, cwd=app.directory, env={"SOURCE_DATE_EPOCH": str(uv.date)})
    except Failed as error:
        hint = error.hint
        if error.message == f"{words[0]} is not installed on this machine":
            hint = f"install it; what the lock names, this calls: uv run --frozen {words[0]}"
        raise Failed(f"build.{key}: {error.message}", hint) from error


def read_wheel(path: Path) -> Wheel:
    """Read a wheel's name.

    Raises:
        Refused: it is not named as wheels are.
    """
    try:
        name, version, _, tags = parse_wheel_filename(path.name)
    except InvalidWheelFilename as error:
        raise Refused(
            f"{path}: {error}", "a wheel is named NAME-VERSION-PYTHON-ABI-PLATFORM.whl"
        ) from error
    return Wheel(path, name, str(version), tags)


def platforms(machine: Architecture, libc: str) -> tuple[str, ...] | None:
    """Name the platforms of wheels that a release can load, best first (PEP 600).

    Args:
        machine: in dpkg's words.
        libc: the version of its libc6.

    Returns:
        None where we do not know its names; this machine's are taken then.
    """
    known, found = _MACHINES.get(machine), _GLIBC.match(libc)
    if known is None or found is None:
        return None
    names = [f"linux_{known}"]
    for minor in range(int(found[1]), 4, -1):
        names.append(f"manylinux_2_{minor}_{known}")
        names += [f"{_LEGACY[minor]}_{known}"] if minor in _LEGACY else []
    return tuple(names)


def check_tags(wheel: Wheel, python: str, loading: Iterable[str] | None = None) -> None:
    """See that a wheel fits the interpreter that the hosts have.

    Args:
        wheel: of the application.
        python: the minor version, such as 3.11.
        loading: what platforms the hosts can load, best first; None: what this machine can.

    Raises:
        Refused: none of its tags fits; the message names them and the target.
    """
    major, minor = (int(part) for part in python.split("."))
    interpreter, wanted = f"cp{major}{minor}", None if loading is None else list(loading)
    fitting = {
        *cpython_tags((major, minor), platforms=wanted),
        *compatible_tags((major, minor), interpreter, wanted),
    }
    if wheel.tags & fitting:
        return
    best = next(cpython_tags((major, minor), platforms=wanted))
    tags = ", ".join(sorted(str(tag) for tag in wheel.tags))
    raise Refused(
        f"{wheel.path.name} is for {tags}; this package is for Python {python} ({best})",
        f"build the wheel with /usr/bin/python{python}",
    )


def _afresh(folder: Path) -> dict[str, str]:
    """Give setuptools an empty folder to work in.

    Its own is ``build`` in the project, and it packs whatever lies there: a module that the project
    has no more, too.
    """
    folder.mkdir()
    config = folder / "setuptools.cfg"
    config.write_text(f"[build]\nbuild_base = {folder / 'build'}\n")
    return {"DIST_EXTRA_CONFIG": str(config)}


def _by_command(app: App, uv: Uv, root: Path) -> Path:
    glob = app.build.wheel or _DEFAULT_GLOB
    directory = root / app.directory.relative_to("/")
    before = _stamps(directory, glob)
    if app.build.command:
        run_command(app.build.command, app, uv, key="command")
    after = _stamps(directory, glob)
    fresh = [path for path, stamp in after.items() if before.get(path) != stamp]
    return _only(fresh or after, f"build.wheel: {app.directory / glob}")


def _stamps(directory: Path, glob: str) -> dict[Path, tuple[int, int]]:
    try:
        found = sorted(path for path in directory.glob(glob) if path.is_file())
    except ValueError as error:  # "**x/": Python's words name no key
        raise Misused(f"build.wheel: {glob}: {str(error).lower()}") from error
    return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in found}


def _only(found: Iterable[Path], where: str) -> Path:
    wheels = list(found)
    if not wheels:
        raise Failed(
            f"{where}: there is no wheel", "[build] wheel says where the command leaves it"
        )
    if len(wheels) > 1:
        names = ", ".join(wheel.name for wheel in wheels)
        raise Refused(f"{where}: which of them? {names}", "remove the older ones before the build")
    return wheels[0]
