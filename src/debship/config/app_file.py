"""debship.toml, or [tool.debship] of pyproject.toml, read into an App."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from debship.config.app import App, BuildSettings, ConfigFile, ExtraFile, RunSettings, Service
from debship.config.mistakes import Loc, found, quoted, raise_all
from debship.config.toml import read_toml
from debship.errors import Misused
from debship.model import PackageName

if TYPE_CHECKING:
    from debship.config.app_form import AppForm, ServiceTable

FILE = "debship.toml"


def read_app(directory: Path) -> App:
    """Read what a folder says about its application.

    Args:
        directory: the application's folder, with debship.toml or [tool.debship] in its
            pyproject.toml. What [app] leaves out is taken from [project].

    Raises:
        Misused: there is no such file, or something is wrong in it; the message names every
            mistake, a line each.
    """
    return find_app(directory).read()


@dataclass(frozen=True, slots=True)
class Written:
    """What is written about an application, before anybody has checked it.

    Attributes:
        table: the tables of debship.toml, with what [project] answers of [app].
        path: the file they are from, absolute.
        inside: where in the file they stand.
    """

    table: Mapping[str, Any]
    path: Path
    inside: Loc

    def read(self) -> App:
        """Check it, and give what it says; as ``read_app``."""
        return app_of(self.table, self.path, inside=self.inside)


def find_app(directory: Path) -> Written:
    """Find what a folder says about its application, without checking it.

    Raises:
        Misused: there is no such file, or it is not TOML.
    """
    path, inside, table, project = _tables(directory.resolve())
    return Written(_with_defaults(table, project), path, inside)


def app_of(table: Mapping[str, Any], path: Path, *, inside: Loc = ()) -> App:
    """Turn what was read into an App.

    Args:
        table: the tables of debship.toml.
        path: the file they are from; relative paths are relative to its folder.
        inside: where in the file they stand.

    Raises:
        Misused: something is wrong; the message names every mistake, a line each.
    """
    from debship.config.app_checks import app_mistakes
    from debship.config.app_form import AppForm
    from debship.config.form import fill

    form, mistakes = fill(AppForm, table)
    mistakes += app_mistakes(table, path.parent)
    raise_all(path, mistakes, inside=inside)
    assert form is not None
    return _app(form, path.parent)


def _tables(directory: Path) -> tuple[Path, Loc, Mapping[str, Any], object]:
    own, pyproject = directory / FILE, directory / "pyproject.toml"
    project_file = read_toml(pyproject) if pyproject.is_file() else {}
    inner = next((table for _, table in found(project_file, "tool", "debship")), None)
    project = next((table for _, table in found(project_file, "project")), None)
    if own.is_file():
        if inner is not None:
            raise Misused(
                f"{directory} is described twice: in {FILE} and in [tool.debship] of pyproject.toml",
                "keep one of them",
            )
        return own, (), read_toml(own), project
    if inner is not None:
        if not isinstance(inner, Mapping):
            raise Misused("pyproject.toml: tool.debship: expected a table, got " + quoted(inner))
        return pyproject, ("tool", "debship"), inner, project
    raise Misused(f"{directory}: there is no {FILE}", f"debship init {directory}")


def _with_defaults(table: Mapping[str, Any], project: object) -> Mapping[str, Any]:
    own = table.get("app", {})
    if not isinstance(own, Mapping):
        return table
    return {**table, "app": {**dict(from_project(project)), **own}}


def from_project(project: object) -> Iterator[tuple[str, str]]:
    """Give the keys of [app] that a [project] table answers, as far as it does, valid or not."""
    for _, name in found(project, "name"):
        if isinstance(name, str):
            # PEP 503 spells a name with hyphens; Debian allows no underscore.
            yield "name", re.sub(r"[-_.]+", "-", name).lower()
    for _, summary in found(project, "description"):
        if isinstance(summary, str) and summary.strip():
            yield "summary", " ".join(summary.split())
    people = [who for key in ("maintainers", "authors") for _, who in found(project, key, "*")]
    for who in people:
        if isinstance(who, Mapping) and "name" in who and "email" in who:
            yield "maintainer", f"{who['name']} <{who['email']}>"
            break
    for (*_, label), page in found(project, "urls", "*"):
        if str(label).lower() == "homepage" and isinstance(page, str):
            yield "homepage", page


def _app(form: "AppForm", directory: Path) -> App:
    about, build = form.app, form.build
    return App(
        directory=directory,
        name=PackageName(about.name),
        summary=about.summary,
        maintainer=about.maintainer,
        version=about.version,
        description=about.description,
        homepage=about.homepage,
        section=about.section,
        layout=about.layout,
        changelog=directory / about.changelog if about.changelog else None,
        build=BuildSettings(
            needs=tuple(build.needs),
            command=build.command,
            wheel=build.wheel,
            test=build.test,
            lock=(directory / build.lock).resolve() if build.lock else None,
            backends=(directory / build.backends).resolve() if build.backends else None,
            releases=tuple(build.releases),
            extras=tuple(build.extras),
            groups=tuple(build.groups),
            requirement=build.requirement,
            templates=directory / build.templates if build.templates else None,
            ignore_libraries=tuple(build.ignore_libraries),
        ),
        run=RunSettings(tuple(form.run.depends), form.run.user, tuple(form.run.commands)),
        configs=tuple(
            ConfigFile(
                path=PurePosixPath(config.path),
                source=directory / config.source if config.source else None,
                managed=config.managed is not None,
                moved_from=PurePosixPath(config.moved_from) if config.moved_from else None,
            )
            for config in form.config
        ),
        files=tuple(
            ExtraFile(PurePosixPath(file.path), directory / file.source, int(file.mode, 8))
            for file in form.file
        ),
        scripts=tuple(
            (name, directory / source) for name, source in form.scripts if source is not None
        ),
        services=tuple(_service(service, about.name) for service in form.service),
    )


def _service(table: "ServiceTable", name: str) -> Service:
    return Service(
        name=table.name or name,
        exec=table.exec,
        kind=table.kind,
        port=table.port,
        health=table.health,
        schedule=table.schedule,
        env_files=tuple(PurePosixPath(path) for path in table.env_files),
        instances=table.instances,
        socket=table.socket,
        address=table.address,
        relax=tuple(table.relax.items()),
        unit=tuple(table.unit.items()),
    )
