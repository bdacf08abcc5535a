"""The five answers about an application, as debship.toml gives them: frozen values."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from debship.model import PackageName

ServiceKind = Literal["web", "worker", "timer", "oneshot"]
Layout = Literal["whole", "split"]


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """What the application needs to be built, and the command that builds it."""

    needs: tuple[str, ...] = ()  # Debian packages
    command: str | None = None  # None: debship builds the wheel
    wheel: str | None = None  # a glob relative to the application's folder; None: what was built
    test: str | None = None
    lock: Path | None = None  # absolute; None: the first of uv.lock, pylock.toml, requirements.txt
    backends: Path | None = None  # absolute; the hashes of what builds wheels
    releases: tuple[str, ...] = ()  # codenames; empty: this machine's
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    requirement: str | None = None  # "radicale==3.5.4": taken from the lock; there is no project
    templates: Path | None = None  # absolute; its files go before those of debian-templates
    ignore_libraries: tuple[str, ...] = ()  # sonames that no Debian package on this machine holds


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What the application needs to run."""

    depends: tuple[str, ...] = ()  # Debian relations, as in Depends:
    user: str | None = None  # None: "_" and the application's name
    commands: tuple[str, ...] = ()  # scripts of the virtualenv that /usr/bin has too


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A configuration file below /etc."""

    path: PurePosixPath
    source: Path | None  # absolute; shipped as a conffile; None where the deploy writes it
    managed: bool  # written by the deploy, never in the package
    moved_from: PurePosixPath | None = None  # where versions before shipped it


@dataclass(frozen=True, slots=True)
class ExtraFile:
    """A file that the package ships as it is."""

    path: PurePosixPath
    source: Path  # absolute
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class Service:
    """A command that systemd starts and stops."""

    name: str  # the unit's name without its suffix; the application's by default
    exec: str  # the first word is a script of the virtualenv
    kind: ServiceKind = "web"
    port: int | None = None
    health: str | None = None  # path that answers 200 where the service is well
    schedule: str | None = None  # OnCalendar= of systemd.time(7), for timers
    env_files: tuple[PurePosixPath, ...] = ()  # of [[config]]; a file that is absent is no error
    instances: int | None = None  # of a worker: NAME@1 to NAME@N; None: one, without a number
    socket: bool = False  # systemd holds the port, and hands it to the command
    address: str | None = None  # that the socket listens at; None: every one
    relax: tuple[tuple[str, str], ...] = ()  # directives of the profile to leave out, and why
    unit: tuple[tuple[str, tuple[str, ...]], ...] = ()  # further directives of [Service]


@dataclass(frozen=True, slots=True)
class App:
    """One application, as its debship.toml (or [tool.debship]) describes it."""

    directory: Path  # absolute: what relative paths are relative to
    name: PackageName
    summary: str
    maintainer: str  # Name <address>
    version: str = "wheel"  # "wheel", "git", or a literal Debian version
    description: str = ""
    homepage: str | None = None
    section: str = "net"
    layout: Layout = "whole"
    changelog: Path | None = None  # absolute; None: git's tags
    build: BuildSettings = BuildSettings()
    run: RunSettings = RunSettings()
    configs: tuple[ConfigFile, ...] = ()
    files: tuple[ExtraFile, ...] = ()
    scripts: tuple[tuple[str, Path], ...] = ()  # a maintainer script, and what is added to it
    services: tuple[Service, ...] = ()

    @property
    def user(self) -> str:
        """The system user that the services run as."""
        return self.run.user or f"_{self.name}"
