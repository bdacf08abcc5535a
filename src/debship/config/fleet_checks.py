"""What is wrong in a fleet.toml between values that are each well by themselves."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from debship.config.fleet import NEW_FILE
from debship.config.mistakes import Loc, Mistake, found, quoted, repeated
from debship.config.toml import place
from debship.errors import Misused
from debship.model import PackageName

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")  # journals lie in folders of these names
_SOURCES = ("env", "file", "command", "ssm", "secretsmanager")


def fleet_mistakes(table: Mapping[str, Any], folder: Path) -> Iterator[Mistake]:
    """Look at what was read, valid or not.

    Args:
        table: the whole file.
        folder: what relative paths are relative to.
    """
    for loc, app in found(table, "apps", "*"):
        if isinstance(app, Mapping):
            for mistake in _app(str(loc[-1]), app, folder):
                yield Mistake((*loc, *mistake.loc), mistake.says)
    yield from _together(table)


def _together(table: Mapping[str, Any]) -> Iterator[Mistake]:
    """Look at applications of the same hosts: what one rolls is no other's.

    A package of two would be restarted where the balancers of the other still send requests.
    """
    apps = [(loc, app) for loc, app in found(table, "apps", "*") if isinstance(app, Mapping)]
    for number, (loc, app) in enumerate(apps):
        for (_, name), before in apps[:number]:
            if not _meet(app.get("hosts"), before.get("hosts")):
                continue
            if app.get("package", loc[-1]) == before.get("package", name):
                says = f"apps.{name} has this package on the same hosts"
                yield Mistake(loc, f"{says}; give it the balancers of both")
            lies = [file for _, file in found(before, "files", "*") if isinstance(file, Mapping)]
            for at, path in found(app, "files", "*", "path"):
                template = app["files"][at[1]].get("template")
                if any(one.get("path") == path and one.get("template") != template for one in lies):
                    says = f"apps.{name} writes {quoted(path)} on the same hosts"
                    yield Mistake((*loc, *at), f"{says}, from another template")


def _meet(hosts: object, others: object) -> bool:
    if isinstance(hosts, list) and isinstance(others, list):
        return any(host in others for host in hosts)
    return isinstance(hosts, Mapping) and hosts == others


def _app(name: str, app: Mapping[str, Any], folder: Path) -> Iterator[Mistake]:
    if not _NAME.fullmatch(name):
        yield Mistake((), "expected a name of letters, digits and . _ + -")
    elif "package" not in app:
        yield from _package(name)
    yield from _hosts(app.get("hosts"))
    yield from _balancers(app)
    yield from repeated(found(app, "files", "*", "path"))
    for loc, template in found(app, "files", "*", "template"):
        if isinstance(template, str) and not place(folder, template).is_file():
            yield Mistake(loc, f"there is no file {quoted(template)}")
    yield from repeated(found(app, "hooks", "*", "name"))
    for loc, hook in found(app, "hooks", "*"):
        if isinstance(hook, Mapping) and hook.get("command") == []:
            yield Mistake((*loc, "command"), "expected at least one word, got an empty list")
    for loc, check in found(app, "files", "*", "check"):
        if isinstance(check, list) and check and NEW_FILE not in check:
            yield Mistake(loc, f'expected "{NEW_FILE}" as one of its words: the file to judge')
    yield from _values(app)


def _package(name: str) -> Iterator[Mistake]:
    try:
        PackageName(name)
    except Misused as error:
        yield Mistake((), f"{error.message}; give the table another, or a package")


def _hosts(hosts: object) -> Iterator[Mistake]:
    if hosts == []:
        yield Mistake(("hosts",), "expected at least one host, got an empty list")
    yield from repeated(found({"hosts": hosts}, "hosts", "*"))
    if isinstance(hosts, Mapping) and (hosts.get("ec2") == {} or len(hosts) != 1):
        yield Mistake(("hosts",), 'expected either ec2 = { "tag:app" = "..." }, or asg = "..."')


def _balancers(app: Mapping[str, Any]) -> Iterator[Mistake]:
    kinds = list(found(app, "balancers", "*", "kind"))
    for loc, balancer in found(app, "balancers", "*"):
        if not isinstance(balancer, Mapping):
            continue
        if balancer.get("kind") == "haproxy":
            sockets = "sockets" in balancer and balancer["sockets"] != []
            if ("socket" in balancer) == sockets:
                yield Mistake(loc, "expected either socket, or sockets with at least one")
            yield from repeated(((*loc, *at), s) for at, s in found(balancer, "sockets", "*"))
        yield from _twice(loc, balancer, [b for _, b in found(app, "balancers", "*")])
        if balancer.get("kind") == "none" and len(kinds) > 1:
            yield Mistake((*loc, "kind"), '"none" stands beside another load balancer')


def _twice(loc: Loc, balancer: Mapping[str, Any], all_: list[Any]) -> Iterator[Mistake]:
    """A target group may stand there once a port, or once for all ports; a balancer once."""
    for before in all_[: int(loc[-1])]:
        if not isinstance(before, Mapping) or before.get("kind") != balancer.get("kind"):
            continue
        if balancer.get("kind") == "target-group" and before.get("arn") == balancer.get("arn"):
            ports = before.get("port"), balancer.get("port")
            if None in ports or ports[0] == ports[1]:
                yield Mistake(loc, "the same targets were given before")
        if balancer.get("kind") == "classic-elb" and before.get("name") == balancer.get("name"):
            yield Mistake(loc, "the same load balancer was given before")
        if balancer.get("kind") == "haproxy" and before.get("backend") == balancer.get("backend"):
            yield Mistake(loc, "the same backend was given before; give its nodes as sockets")


def _values(app: Mapping[str, Any]) -> Iterator[Mistake]:
    variables = dict(found(app, "variables", "*"))
    for loc, source in found(app, "secrets", "*"):
        if ("variables", *loc[1:]) in variables:
            yield Mistake(loc, "there is a variable of that name")
        if isinstance(source, Mapping) and len(set(source) & set(_SOURCES)) != 1:
            yield Mistake(loc, f"expected exactly one of {', '.join(_SOURCES)}")
        if isinstance(source, Mapping) and source.get("command") == []:
            yield Mistake((*loc, "command"), "expected at least one word, got an empty list")
    for loc, _ in (*found(app, "variables", "*"), *found(app, "secrets", "*")):
        if not str(loc[-1]).isidentifier():
            yield Mistake(loc, "a template can name only what is of letters, digits and _")
