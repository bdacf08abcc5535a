"""Services become units of systemd: what runs, and what it may do."""

import difflib
import re
import shlex
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import PurePosixPath

from debship.config.app import App, Service
from debship.errors import Misused, Refused
from debship.model import DebVersion
from debship.templates import render

_PLAIN = re.compile(r"[A-Za-z0-9_./:=,@+%~-]+")
_VARIABLE = re.compile(r"\$(?!\{[A-Za-z_][A-Za-z0-9_]*\})")


@dataclass(frozen=True, slots=True)
class Unit:
    """What one service becomes: its .service, and for a timer the .timer that starts it.

    Attributes:
        words: the command; the first is a script of the virtualenv.
    """

    service: Service
    words: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The unit files, as systemd names them."""
        service = f"{self.service.name}.service"
        return (service, f"{self.service.name}.timer") if self.is_timer else (service,)

    @property
    def is_timer(self) -> bool:
        """Whether a timer starts it."""
        return self.service.kind == "timer"

    @property
    def started(self) -> str | None:
        """What is enabled, and started on installation; None for a oneshot: it is called for."""
        return None if self.service.kind == "oneshot" else self.names[-1]


def plan_units(app: App) -> tuple[Unit, ...]:
    """Give each service its unit.

    Raises:
        Misused: a command cannot be split into words, or two services have one name.
    """
    units = tuple(Unit(service, _words(service)) for service in app.services)
    names = [service.name for service in app.services]
    for name in names:
        if names.count(name) > 1:
            raise Misused(f'service: two services are named "{name}"', "give one of them a name")
    return units


def check_scripts(units: Collection[Unit], scripts: Collection[str]) -> None:
    """See that every command starts with a script that the virtualenv has.

    Raises:
        Refused: one does not; the message lists the scripts there are.
    """
    for unit in units:
        word = unit.words[0]
        if word in scripts:
            continue
        near = difflib.get_close_matches(word, sorted(scripts), 1)
        known = ", ".join(sorted(scripts))
        raise Refused(
            f'service {unit.service.name}: exec: the virtualenv has no script "{word}"',
            (f'did you mean "{near[0]}"? ' if near else "") + f"it has: {known}",
        )


def command_line(words: Collection[str]) -> str:
    """Write words as ExecStart= wants them (systemd.service(5), "Command lines").

    ``%`` is doubled, for it starts a specifier. ``${NAME}`` stays: systemd puts a variable of the
    unit's environment there; any other ``$`` is doubled. What is not plain is quoted.
    """
    return " ".join(_quoted(word) for word in words)


def render_unit(
    unit: Unit, app: App, *, prefix: PurePosixPath, version: DebVersion, dists: Collection[str]
) -> tuple[tuple[str, str], ...]:
    """Render the unit files of one service.

    Args:
        unit: the service and its words.
        app: the application it belongs to.
        prefix: where the virtualenv lives.
        version: what the process shows in its environment as DEBSHIP_VERSION.
        dists: normalised names of what is installed beside it; some need more than others.

    Returns:
        pairs of a file's name and its text.
    """
    service = unit.service
    values = {
        "app": app,
        "service": service,
        "summary": _escaped(" ".join(app.summary.split())),
        "command": command_line((str(prefix / "bin" / unit.words[0]), *unit.words[1:])),
        "type": _type(unit),
        "version": version,
        "env_files": [_escaped(str(path)) for path in service.env_files],
        "schedule": _escaped(service.schedule or ""),
        "low_port": service.port is not None and service.port < 1024,
        "psutil": "psutil" in dists,
    }
    templates = ("package/service", "package/timer")
    return tuple(
        (name, render(template, values))
        for name, template in zip(unit.names, templates, strict=False)
    )


def _type(unit: Unit) -> str:
    if unit.service.kind in ("timer", "oneshot"):
        return "oneshot"
    # gunicorn tells systemd when its sockets are open; others are not known to.
    return "notify" if unit.words[0] == "gunicorn" else "exec"


def _words(service: Service) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(service.exec))
    except ValueError as error:
        raise Misused(f"service {service.name}: exec: {str(error).lower()}") from error
    if not words:
        raise Misused(f"service {service.name}: exec: there is no command")
    return words


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    word = _VARIABLE.sub("$$", _escaped(word))
    if _PLAIN.fullmatch(word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else _hex(c) for c in escaped) + '"'


def _hex(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode())
