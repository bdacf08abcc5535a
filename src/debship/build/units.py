"""Services become units of systemd: which, and by which names they are started."""

import difflib
import re
import shlex
from collections.abc import Collection
from dataclasses import dataclass

from debship.build.hardening import check_relaxed
from debship.config.app import App, Service
from debship.errors import Misused, Refused

_PLAIN = re.compile(r"[A-Za-z0-9_./:=,@+%~-]+")
_VARIABLE = re.compile(r"\$(?!\{[A-Za-z_][A-Za-z0-9_]*\})")

# How a server is told to take the port that systemd holds (sd_listen_fds(3): descriptor 3); a
# server that is not known here is trusted to know.
_TAKES_SOCKET = {
    "gunicorn": None,  # by itself
    "uvicorn": "--fd 3",
    "hypercorn": "--bind fd://3",
    "daphne": "--fd 3",
}
# What debship.toml says in another place.
_ELSEWHERE = {
    "ExecStart": "exec",
    "User": "run.user",
    "EnvironmentFile": "env_files",
}


@dataclass(frozen=True, slots=True)
class Unit:
    """What one service becomes: its .service, and a .timer or a .socket that starts it.

    Attributes:
        words: the command; the first is a script of the virtualenv.
    """

    service: Service
    words: tuple[str, ...]

    @property
    def service_file(self) -> str:
        """The .service; with a number of instances it is a template (systemd.unit(5))."""
        return f"{self.service.name}{'@' if self.service.instances else ''}.service"

    @property
    def services(self) -> tuple[str, ...]:
        """The .service units that run, by name: the instances of a template."""
        numbers = range(1, (self.service.instances or 0) + 1)
        return tuple(f"{self.service.name}@{n}.service" for n in numbers) or (self.service_file,)

    @property
    def links(self) -> tuple[tuple[str, str], ...]:
        """Links that make instances exist as files, each with its target.

        deb-systemd-helper(1p) enables what it finds a file of, and knows nothing of templates;
        systemd takes such a link for what it is.
        """
        names = self.services if self.service.instances else ()
        return tuple((name, self.service_file) for name in names)

    @property
    def socket(self) -> str | None:
        """The unit that holds the port."""
        return f"{self.service.name}.socket" if self.service.socket else None

    @property
    def is_timer(self) -> bool:
        """Whether a timer starts it."""
        return self.service.kind == "timer"

    @property
    def files(self) -> tuple[str, ...]:
        """The unit files, links aside; the .service comes first."""
        timer = f"{self.service.name}.timer" if self.is_timer else None
        return tuple(name for name in (self.service_file, timer, self.socket) if name)

    @property
    def names(self) -> tuple[str, ...]:
        """All that may run, by the names that systemctl takes; services come first."""
        return (*self.services, *self.files[1:])

    @property
    def started(self) -> tuple[str, ...]:
        """What is enabled, and started on installation; nothing of a oneshot: it is called for."""
        if self.service.kind == "oneshot":
            return ()
        return self.names[1:] if self.is_timer else self.names


def plan_units(app: App) -> tuple[Unit, ...]:
    """Give each service its unit.

    Raises:
        Misused: a command cannot be split into words, or two services have one name or port.
        Refused: the command would not take the socket, or the sandbox is changed without a word.
    """
    units = tuple(Unit(service, _words(service)) for service in app.services)
    names = [service.name for service in app.services]
    for name in names:
        if names.count(name) > 1:
            raise Misused(f'service: two services are named "{name}"', "give one of them a name")
    ports = [service.port for service in app.services if service.port is not None]
    for port in ports:
        if ports.count(port) > 1:
            raise Misused(f"service: two services listen on port {port}", "give one another port")
    for unit in units:
        _check_socket(unit)
        for name, _ in unit.service.unit:
            if name in _ELSEWHERE:
                raise Refused(
                    f"service {unit.service.name}: unit.{name} is debship's to write",
                    f"say it as {_ELSEWHERE[name]}",
                )
    check_relaxed(app.services)
    return units


def check_scripts(units: Collection[Unit], scripts: Collection[str]) -> None:
    """See that every command starts with a script that the virtualenv has.

    Raises:
        Refused: one does not; the message lists the scripts there are.
    """
    for unit in units:
        check_script(unit.words[0], scripts, where=f"service {unit.service.name}: exec")


def check_script(word: str, scripts: Collection[str], *, where: str) -> None:
    """See that the virtualenv has a script.

    Raises:
        Refused: it has not; the message lists the scripts there are.
    """
    if word in scripts:
        return
    near = difflib.get_close_matches(word, sorted(scripts), 1)
    known = ", ".join(sorted(scripts))
    raise Refused(
        f'{where}: the virtualenv has no script "{word}"',
        (f'did you mean "{near[0]}"? ' if near else "") + f"it has: {known}",
    )


def command_line(words: Collection[str]) -> str:
    """Write words as ExecStart= wants them (systemd.service(5), "Command lines").

    ``%`` is doubled, for it starts a specifier. ``${NAME}`` stays: systemd puts a variable of the
    unit's environment there; any other ``$`` is doubled. What is not plain is quoted.
    """
    return " ".join(_quoted(word) for word in words)


def escaped(text: str) -> str:
    """Keep systemd from taking a specifier for one (systemd.unit(5), "Specifiers")."""
    return text.replace("%", "%%")


def _check_socket(unit: Unit) -> None:
    option = _TAKES_SOCKET.get(unit.words[0])
    line = " ".join(unit.words).replace("=", " ") + " "
    if unit.service.socket and option and f" {option} " not in line:
        raise Refused(
            f"service {unit.service.name}: socket: {unit.words[0]} would open port "
            f"{unit.service.port} itself, which systemd holds",
            f"{unit.words[0]} {option}, and no other address",
        )


def _words(service: Service) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(service.exec))
    except ValueError as error:
        raise Misused(f"service {service.name}: exec: {str(error).lower()}") from error
    if not words:
        raise Misused(f"service {service.name}: exec: there is no command")
    return words


def _quoted(word: str) -> str:
    word = _VARIABLE.sub("$$", escaped(word))
    if _PLAIN.fullmatch(word):
        return word
    quotable = word.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else _hex(c) for c in quotable) + '"'


def _hex(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode())
