"""What a build will do, decided before it touches anything."""

import os
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from shlex import quote

from debship.build.backends import find_backends
from debship.build.conffiles import Previous, check_version
from debship.build.history import Change, read_history
from debship.build.lock import Lock, find_lock
from debship.build.units import Unit, plan_units
from debship.config.app import App
from debship.debian.releases import Release
from debship.debian.versions import from_git_describe, from_tag
from debship.errors import Misused, Refused
from debship.model import Architecture, DebVersion, PackageName
from debship.run import Run

_MAINTAINER = re.compile(r"[^<>\n]*[^<>\s][^<>\n]* <[^<>@\s]+@[^<>\s]+>")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}")  # what systemd takes without a warning
_ETC = re.compile(r"/etc(/[^\s/%'\"\\]+)+")

REVISION = "-1"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What planning must know of the world: seen once, before it.

    Attributes:
        architecture: of this machine, in dpkg's words.
        files: names of the files in the application's folder.
        source_date_epoch: of the environment, in seconds.
        committed: when git last saw the folder change, in seconds.
        described: what ``git describe`` says, where the version is git's.
        project: what pyproject.toml calls it.
        history: what git tells of the versions before.
        uv: the settings of uv in the environment, some of which choose what is installed.
        previous: the package that hosts have.
        allow_older: whether the version may sort below that of ``previous``.
    """

    architecture: Architecture
    files: frozenset[str] = frozenset()
    source_date_epoch: int | None = None
    committed: int | None = None
    described: str | None = None
    project: str = ""
    history: tuple[Change, ...] = ()
    uv: tuple[str, ...] = ()
    previous: Previous | None = None
    allow_older: bool = False


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """One package of one application for one release.

    Attributes:
        machine: the architecture that compiled wheels would be for; a package of pure ones is
            for ``all``.
        backends: a requirements.txt with the hashes of what builds wheels; None: the lock.
        version: None where the wheel's own is to be translated.
        date: seconds since 1970; the mtime of what the application wrote. None: the newest entry
            of its wheel, or the release's date where there is no wheel of its own.
        serves: the package of the application whose dependencies this one is.
    """

    app: App
    release: Release
    machine: Architecture
    lock: Lock
    backends: Path | None
    units: tuple[Unit, ...]
    version: DebVersion | None
    date: int | None
    history: tuple[Change, ...] = ()
    uv: tuple[str, ...] = ()
    previous: Previous | None = None
    allow_older: bool = False
    serves: PackageName | None = None

    @property
    def prefix(self) -> PurePosixPath:
        """Where the virtualenv lives on the hosts."""
        return PurePosixPath("/usr/lib") / self.app.name

    @property
    def python_here(self) -> PurePosixPath:
        """The interpreter that runs scripts: the application's, which sees all there is."""
        return PurePosixPath("/usr/lib") / (self.serves or self.app.name) / "bin/python"

    @property
    def interpreter(self) -> Path:
        """The release's own Python, here and on the hosts."""
        return Path("/usr/bin") / self.python

    @property
    def python(self) -> str:
        """The package of the interpreter, which bears its program's name."""
        return f"python{self.release.python}"

    @property
    def site(self) -> PurePosixPath:
        """Where the wheels are unpacked."""
        return self.prefix / "lib" / self.python / "site-packages"


def look_around(app: App, *, environment: Mapping[str, str], run: Run) -> Surroundings:
    """See what planning must know: the machine, the folder, its git history.

    Raises:
        Misused: the application's version is git's and git has none, or SOURCE_DATE_EPOCH is not
            a number of seconds.
        Refused: git does not trust the folder, so neither version, date nor history is known.
    """
    commit = run(["git", "log", "-1", "--format=%ct", "--", "."], cwd=app.directory, check=False)
    if b"safe.directory" in commit.stderr:  # git-config(1): in a container, mostly
        raise Refused(
            f"{app.directory}: it belongs to another user, so git does not look at it",
            f"git config --global --add safe.directory {quote(str(app.directory))}",
        )
    project = _project(app.directory / "pyproject.toml")
    names = _names(app, project)
    described = _described(app.directory, names, run) if app.version == "git" else None
    return Surroundings(
        architecture=Architecture(run(["dpkg", "--print-architecture"]).text),
        files=frozenset(entry.name for entry in os.scandir(app.directory) if entry.is_file()),
        source_date_epoch=_epoch(environment.get("SOURCE_DATE_EPOCH", "")),
        committed=int(commit.text) if commit.returncode == 0 and commit.text else None,
        described=described,
        project=project,
        history=() if app.changelog else read_history(app.directory, run, names),
        uv=tuple(f"{n}={v}" for n, v in sorted(environment.items()) if n.startswith("UV_")),
    )


def plan_build(app: App, release: Release, seen: Surroundings) -> BuildPlan:
    """Decide what a package will be.

    Raises:
        Misused: the application's description cannot be meant.
        Refused: there is no lock, or building it would break a promise.
    """
    _check(app)
    _check_buildable(app, seen.files)
    version = _version(app, release, seen)
    if version is not None and not seen.allow_older:
        check_version(version, seen.previous)
    epoch = seen.source_date_epoch
    return BuildPlan(
        app=app,
        release=release,
        machine=seen.architecture,
        lock=find_lock(app, seen.files),
        backends=find_backends(app, seen.files),
        units=plan_units(app),
        version=version,
        date=epoch if epoch is not None else seen.committed,
        history=seen.history,
        uv=seen.uv,
        previous=seen.previous,
        allow_older=seen.allow_older,
    )


def with_revision(upstream: str, app: App, release: Release) -> DebVersion:
    """Add the revision, and the release's suffix where packages of several releases meet."""
    return DebVersion(f"{upstream}{REVISION}{_suffix(app, release)}")


def _version(app: App, release: Release, seen: Surroundings) -> DebVersion | None:
    if app.version == "wheel":
        return None
    if app.version == "git":
        assert seen.described is not None
        upstream = from_git_describe(seen.described, _names(app, seen.project))
        return with_revision(upstream, app, release)
    return DebVersion(f"{app.version}{_suffix(app, release)}")


def _names(app: App, project: str) -> tuple[str, ...]:
    """Give what may stand before the number in a tag."""
    return tuple(filter(None, (app.name, project)))


def _project(path: Path) -> str:
    """Read what a project calls itself; whoever builds it says what is amiss with the file."""
    try:
        named = tomllib.loads(path.read_text("utf-8"))["project"]["name"]
    except (OSError, ValueError, LookupError, TypeError):
        return ""
    return named if isinstance(named, str) else ""


def _suffix(app: App, release: Release) -> str:
    return release.suffix if app.build.releases else ""


def _described(directory: Path, names: Sequence[str], run: Run) -> str:
    """Ask git what it describes the commit by: the nearest of the tags that are versions of ours."""
    # A configuration may have git print tags in columns (column.ui), several on a line.
    tags = ("git", "tag", "--no-column", "--merged", "HEAD")
    merged = run(tags, cwd=directory, check=False).text.splitlines()
    matches = [word for tag in merged if _is_version(tag, names) for word in ("--match", tag)]
    words = ("git", "describe", "--tags", "--long", "--dirty", *matches)
    described = run(words, cwd=directory, check=False) if matches else None
    if described is not None and described.returncode == 0:
        return described.text
    of_others = f" that is a version of {names[0]}" if merged else ""
    first = f"{names[0]}/v0.1.0" if merged else "v0.1.0"  # v0.1.0 would be of all applications
    raise Misused(
        f'{directory}: [app] version is "git", and git knows no tag before this commit{of_others}',
        f"git tag {first} (a shallow clone has no tags: git fetch --tags --unshallow)",
    )


def _is_version(tag: str, names: Collection[str]) -> bool:
    try:
        from_tag(tag, names)
    except Misused:
        return False
    return True


def _epoch(text: str) -> int | None:
    if text and not text.isdecimal():
        raise Misused(
            f'SOURCE_DATE_EPOCH: expected seconds since 1970, got "{text}"',
            "such as: git log -1 --format=%ct",
        )
    return int(text) if text else None


def _check(app: App) -> None:
    if not _MAINTAINER.fullmatch(app.maintainer):
        raise Refused(
            f'app.maintainer: expected "Name <address>", got "{app.maintainer}"',
            "for example: Platform Team <platform@example.com>",
        )
    if app.services and not _USER.fullmatch(app.user):
        raise Refused(
            f'run.user: "{app.user}" cannot be the name of a system user',
            "lower-case letters, digits, - and _, at most 31",
        )
    if app.user in ("nobody", "nogroup"):
        raise Refused("run.user: nobody owns files of others (Policy 9.2)", "leave it out")
    for config in app.configs:
        if not _ETC.fullmatch(str(config.path)) or ".." in config.path.parts:
            raise Refused(
                f"config: {config.path} is not a plain path below /etc",
                "configuration lies below /etc (Policy 10.7.2)",
            )
    for file in app.files:
        if file.path.is_relative_to(f"/usr/lib/{app.name}"):
            raise Refused(
                f"file: {file.path} lies in the virtualenv",
                "ship it in the wheel, or elsewhere, such as "
                f"/usr/share/{app.name}/{file.path.name}",
            )


def _check_buildable(app: App, files: frozenset[str]) -> None:
    settings = app.build
    if settings.command or settings.wheel or settings.requirement:
        return
    if not files & {"pyproject.toml", "setup.py"}:
        raise Refused(
            f"{app.directory}: there is nothing to build: no pyproject.toml, no setup.py",
            '[build] requirement = "NAME==VERSION" packages an application that the lock names',
        )
