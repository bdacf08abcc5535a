"""What is wrong in a debship.toml between values that are each well by themselves."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from debship.config.kinds import USER
from debship.config.mistakes import Mistake, found, quoted, repeated


def app_mistakes(table: Mapping[str, Any], directory: Path) -> Iterator[Mistake]:
    """Look at what was read, valid or not.

    Args:
        table: the whole file.
        directory: what relative paths are relative to.
    """
    yield from repeated(found(table, "config", "*", "path"))
    yield from _sources(table, directory)
    yield from _services(table)
    yield from _build(table, directory)


def _build(table: Mapping[str, Any], directory: Path) -> Iterator[Mistake]:
    build = {str(loc[-1]): value for loc, value in found(table, "build", "*")}
    for key in ("command", "wheel"):
        if key in build and "requirement" in build:
            says = "an application that is taken from the lock is not built; leave this out"
            yield Mistake(("build", key), says)
    for key in ("lock", "backends"):
        file = build.get(key)
        if isinstance(file, str) and not (directory / file).is_file():
            yield Mistake(("build", key), f"there is no file {quoted(file)}")


def _sources(table: Mapping[str, Any], directory: Path) -> Iterator[Mistake]:
    for loc, config in found(table, "config", "*"):
        if not isinstance(config, Mapping):
            continue
        if ("source" in config) == ("managed" in config):
            yield Mistake(loc, 'expected either source, or managed = "deploy"')
        source = config.get("source")
        if isinstance(source, str) and not (directory / source).is_file():
            yield Mistake((*loc, "source"), f"there is no file {quoted(source)}")


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
        if "health" in service and "port" not in service:
            yield Mistake((*loc, "health"), "needs a port")
        for inner, path in found(service, "env_files", "*"):
            if path not in configs:
                yield Mistake((*loc, *inner), f"{quoted(path)} is the path of no [[config]]")
    named = [((*loc, "name"), service.get("name", name)) for loc, service in services]
    yield from repeated(named)
    if services and not list(found(table, "run", "user")):
        yield from _user(name)


def _user(name: object) -> Iterator[Mistake]:
    user = f"_{name}"
    if isinstance(name, str) and not USER.fullmatch(user):
        yield Mistake(("run", "user"), f'is missing: "{user}" cannot be the name of a user')
