"""What a unit file says of its service, as far as a container can do it too."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from debship.errors import Refused

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_FOLDER = re.compile(r"(?!\.\.?(/|$))[A-Za-z0-9._+-]+(/(?!\.\.?(/|$))[A-Za-z0-9._+-]+)*")
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|[0-7]{3}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)")
_STREAM = re.compile(r"(?:[0-9.]+:|\[[^\]]+\]:)?(?P<port>[0-9]{1,5})")
_PLAIN = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "s": " "}
# systemd.exec(5), "Sandboxing": where each of these lies.
_FOLDERS = {
    "StateDirectory": "/var/lib",
    "CacheDirectory": "/var/cache",
    "LogsDirectory": "/var/log",
    "RuntimeDirectory": "/run",
}


@dataclass(frozen=True, slots=True)
class Unit:
    """A service.

    Attributes:
        words: the command; ``${NAME}`` in a word stands for a variable of its environment.
        folders: what systemd would make for its user, absolute.
        port: what systemd would hold for it, and hand it (sd_listen_fds(3)).
        env_files: files of NAME=value lines that systemd would read, absolute.
    """

    name: str
    words: tuple[str, ...]
    user: str | None = None
    group: str | None = None
    environment: tuple[tuple[str, str], ...] = ()
    env_files: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    workdir: str | None = None
    stop_signal: str = "SIGTERM"
    port: int | None = None


@dataclass
class _Settings:
    name: str
    values: dict[str, list[str]] = field(default_factory=dict)

    def last(self, key: str) -> str | None:
        values = self.values.get(key)
        return values[-1] if values else None

    def words(self, key: str) -> tuple[str, ...]:
        return tuple(w for value in self.values.get(key, ()) for w in split(value, self.name))


def parse(name: str, text: str, socket: str | None = None) -> Unit:
    """Read a .service file (systemd.syntax(7), systemd.service(5)).

    Args:
        name: the unit's name, without its suffix.
        text: the file.
        socket: the .socket file of that name; None where there is none.

    Raises:
        Refused: the unit needs systemd: it has no command or several, or specifiers of systemd,
            or its socket is not one port.
    """
    settings = _settings(name, text, "[Service]")
    return Unit(
        name=name,
        words=_command(settings),
        user=_account(settings, "User"),
        group=_account(settings, "Group"),
        environment=tuple(_environment(settings)),
        env_files=tuple(word.removeprefix("-") for word in settings.words("EnvironmentFile")),
        folders=tuple(_folders(settings)),
        workdir=_workdir(settings),
        stop_signal=settings.last("KillSignal") or "SIGTERM",
        port=None if socket is None else _port(_settings(name, socket, "[Socket]")),
    )


def split(text: str, unit: str) -> list[str]:
    """Split a value into words, quotes and escapes undone (systemd.syntax(7), "Quoting").

    ``%%`` and ``$$`` are left for whoever knows what they stand for.

    Raises:
        Refused: a quote is not closed.
    """
    words: list[str] = []
    word: str | None = None
    quote, position = "", 0
    while position < len(text):
        character = text[position]
        if character == "\\" and (match := _ESCAPE.match(text, position)):
            word = (word or "") + _unescaped(match[1])
            position = match.end()
            continue
        if quote and character == quote:
            quote = ""
        elif not quote and character in "\"'" and word is None:
            quote, word = character, ""
        elif not quote and character in " \t":
            words += [word] if word is not None else []
            word = None
        else:
            word = (word or "") + character
        position += 1
    if quote:
        raise Refused(f"{unit}.service: a quote is not closed: {text}")
    return words + ([word] if word is not None else [])


def _settings(name: str, text: str, section: str) -> _Settings:
    settings = _Settings(name)
    for key, value in _assignments(text, section):
        if value:
            settings.values.setdefault(key, []).append(value)
        else:
            settings.values.pop(key, None)  # an empty assignment takes back those before it
    return settings


def _assignments(text: str, wanted: str) -> Iterator[tuple[str, str]]:
    """Give the keys of a section and their values, in order; comments do not break a value."""
    section, pending = "", ""
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith(("#", ";")) or (not line and not pending):
            continue
        pending += line
        if pending.endswith("\\"):
            pending = pending[:-1] + " "
            continue
        line, pending = pending, ""
        if line.startswith("["):
            section = line
        elif section == wanted:
            key, _, value = line.partition("=")
            yield key.strip(), value.strip()


def _command(settings: _Settings) -> tuple[str, ...]:
    commands = settings.values.get("ExecStart", [])
    if len(commands) != 1:
        raise Refused(
            f"{settings.name}.service has {len(commands) or 'no'} ExecStart=; a container has one"
        )
    return tuple(_without_specifiers(word, settings) for word in settings.words("ExecStart"))


def _without_specifiers(word: str, settings: _Settings) -> str:
    if match := re.search(r"%[^%]", word.replace("%%", "")):
        raise Refused(
            f"{settings.name}.service holds {match[0]}, which systemd alone can fill in",
            "write the value itself",
        )
    return word.replace("%%", "%")


def _account(settings: _Settings, key: str) -> str | None:
    account = settings.last(key)
    if account is not None and not _USER.fullmatch(account):
        raise Refused(f'{settings.name}.service: {key}= is no name: "{account}"')
    return account


def _environment(settings: _Settings) -> Iterator[tuple[str, str]]:
    for word in settings.words("Environment"):
        name, _, value = _without_specifiers(word, settings).partition("=")
        if not _NAME.fullmatch(name):
            raise Refused(f'{settings.name}.service: Environment= names no variable: "{name}"')
        yield name, value


def _folders(settings: _Settings) -> Iterator[str]:
    for key, parent in _FOLDERS.items():
        for word in settings.words(key):
            if not _FOLDER.fullmatch(word):
                raise Refused(f'{settings.name}.service: {key}= is no folder: "{word}"')
            yield f"{parent}/{word}"


def _workdir(settings: _Settings) -> str | None:
    folder = settings.last("WorkingDirectory")
    return folder if folder and folder.startswith("/") else None


def _port(settings: _Settings) -> int:
    """Say which port a socket holds; a container has addresses of its own, so listens at all."""
    streams = settings.values.get("ListenStream", [])
    match = _STREAM.fullmatch(streams[0]) if len(streams) == 1 else None
    if match is None:
        raise Refused(
            f"{settings.name}.socket listens at {' and '.join(streams) or 'no stream'}; a "
            "container can be given one port"
        )
    return int(match["port"])


def _unescaped(code: str) -> str:
    if code[0] in "xuU" and len(code) > 1:
        return chr(int(code[1:], 16))
    if code.isdigit() and len(code) == 3:
        return chr(int(code, 8))
    return _PLAIN.get(code, code)
