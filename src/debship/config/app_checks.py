"""What is wrong in a debship.toml between values that are each well by themselves."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from debship.config.kinds import USER
from debship.config.mistakes import Loc, Mistake, found, quoted, repeated

_LONGEST_NAME = 100


def app_mistakes(table: Mapping[str, Any], directory: Path) -> Iterator[Mistake]:
    """Look at what was read, valid or not.

    Args:
        table: the whole file.
        directory: what relative paths are relative to.
    """
    yield from repeated(found(table, "config", "*", "path"))
    yield from repeated(found(table, "file", "*", "path"))
    yield from repeated(found(table, "run", "commands", "*"))
    yield from _names(table)
    yield from _swallowing(table)
    yield from _sources(table, directory)
    yield from _moves(table)
    yield from _services(table)
    yield from _build(table, directory)


def _build(table: Mapping[str, Any], directory: Path) -> Iterator[Mistake]:
    build = {str(loc[-1]): value for loc, value in found(table, "build", "*")}
    for key in ("command", "wheel"):
        if key in build and "requirement" in build:
            says = "an application that is taken from the lock is not built; leave this out"
            yield Mistake(("build", key), says)
    for key in ("lock", "backends"):
        yield from _absent(found(table, "build", key), directory)
    templates = build.get("templates")
    if isinstance(templates, str) and not (directory / templates).is_dir():
        yield Mistake(("build", "templates"), f"there is no folder {quoted(templates)}")


def _swallowing(table: Mapping[str, Any]) -> Iterator[Mistake]:
    """What ends in a backslash takes the next line of a unit with it (systemd.syntax(7))."""
    for path in (
        ("app", "summary"),
        ("app", "homepage"),
        ("service", "*", "schedule"),
        ("service", "*", "unit", "*"),
        ("service", "*", "unit", "*", "*"),
    ):
        for loc, value in found(table, *path):
            if isinstance(value, str) and value.rstrip().endswith("\\"):
                yield Mistake(loc, "ends in a backslash: systemd would read on in the next line")


def _names(table: Mapping[str, Any]) -> Iterator[Mistake]:
    """Names become files, with more beside them (NAME_MAX is 255, systemd's UNIT_NAME_MAX too)."""
    for path in (("app", "name"), ("app", "version"), ("service", "*", "name")):
        for loc, value in found(table, *path):
            if isinstance(value, str) and len(value) > _LONGEST_NAME:
                says = f"is too long for names of files: at most {_LONGEST_NAME} characters"
                yield Mistake(loc, says)


def _sources(table: Mapping[str, Any], directory: Path) -> Iterator[Mistake]:
    for loc, config in found(table, "config", "*"):
        if not isinstance(config, Mapping):
            continue
        if ("source" in config) == ("managed" in config):
            yield Mistake(loc, 'expected either source, or managed = "deploy"')
    for path in (
        ("config", "*", "source"),
        ("file", "*", "source"),
        ("scripts", "*"),
        ("app", "changelog"),
    ):
        yield from _absent(found(table, *path), directory)


def _absent(sources: Iterable[tuple[Loc, Any]], directory: Path) -> Iterator[Mistake]:
    for loc, source in sources:
        if isinstance(source, str) and not (directory / source).is_file():
            yield Mistake(loc, f"there is no file {quoted(source)}")


def _moves(table: Mapping[str, Any]) -> Iterator[Mistake]:
    paths = {path for _, path in found(table, "config", "*", "path") if isinstance(path, str)}
    moves = list(found(table, "config", "*", "moved_from"))
    for loc, old in moves:
        if old in paths:
            yield Mistake(loc, f"{quoted(old)} is the path of a [[config]]: it has not moved")
    for loc, config in found(table, "config", "*"):
        if isinstance(config, Mapping) and "moved_from" in config and "source" not in config:
            yield Mistake((*loc, "moved_from"), "only a file with a source was a conffile")
    yield from repeated(moves)


def _services(table: Mapping[str, Any]) -> Iterator[Mistake]:
    name = next((value for _, value in found(table, "app", "name")), None)
    configs = [path for _, path in found(table, "config", "*", "path")]
    services = [(loc, s) for loc, s in found(table, "service", "*") if isinstance(s, Mapping)]
    for loc, service in services:
        timer, scheduled = service.get("kind") == "timer", "schedule" in service
        if timer and not scheduled:
            yield Mistake((*loc, "schedule"), "is missing: a timer needs one")
        if scheduled and not timer:
            yield Mistake((*loc, "schedule"), 'only a service of kind "timer" has one')
        for key, needs in (("health", "port"), ("socket", "port"), ("address", "socket")):
            if service.get(key) not in (None, False) and not service.get(needs):
                yield Mistake((*loc, key), f"needs a {needs}")
        if service.get("socket") and service.get("kind", "web") != "web":
            yield Mistake((*loc, "socket"), 'only a service of kind "web" has one')
        if "instances" in service and service.get("kind") != "worker":
            yield Mistake((*loc, "instances"), 'only a service of kind "worker" has some')
        if "instances" in service and "port" in service:
            yield Mistake((*loc, "instances"), "several cannot listen on one port")
        for inner, path in found(service, "env_files", "*"):
            if path not in configs:
                yield Mistake((*loc, *inner), f"{quoted(path)} is the path of no [[config]]")
    ports = [((*loc, "port"), service.get("port")) for loc, service in services]
    yield from _shared(ports)
    named = [((*loc, "name"), service.get("name", name)) for loc, service in services]
    yield from repeated(named)
    if services and not list(found(table, "run", "user")):
        yield from _user(name)


def _shared(ports: Iterable[tuple[Loc, Any]]) -> Iterator[Mistake]:
    seen: set[int] = set()
    for loc, port in ports:
        if isinstance(port, int) and port in seen:
            yield Mistake(loc, f"{port} is another service's port")
        elif isinstance(port, int):
            seen.add(port)


def _user(name: object) -> Iterator[Mistake]:
    user = f"_{name}"
    if isinstance(name, str) and not USER.fullmatch(user):
        yield Mistake(("run", "user"), f'is missing: "{user}" cannot be the name of a user')
