"""What a unit file says: what it runs, as whom, and where it listens (systemd.syntax(7))."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

UNIT = re.compile(
    r"(?:usr/lib|lib|etc)/systemd/system/[A-Za-z0-9:_.\\@-]+\.(?:service|timer|socket|path)"
)
_ASSIGNMENT = re.compile(r"([A-Za-z0-9]+)[ \t]*=[ \t]*(.*)")
# What servers of Python call it: gunicorn, uvicorn, hypercorn, waitress, daphne, Django, Flask.
_LISTENS = re.compile(
    r"(?:^|\s)(?:--?(?:port|bind|listen|host|http|endpoint)|-[pb])[= ]\"?"
    r"(?:[^\s\"]*[:=])?(?P<port>[0-9]{2,5})(?=[\s\"]|$)"
)
_STREAM = re.compile(r"(?:.*:)?(?P<port>[0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of systemd.

    Attributes:
        path: of its file, without a leading slash.
        commands: each ExecStart.
        user: None where it runs nothing.
        ports: where it is seen to listen: by its command's options, or as a socket says.
        schedule: of a timer.
        sha256: of the file.
        text: the file.
    """

    path: str
    commands: tuple[str, ...]
    user: str | None
    ports: tuple[int, ...]
    schedule: tuple[str, ...]
    sha256: str
    text: str

    @property
    def name(self) -> str:
        """As systemd calls it."""
        return PurePosixPath(self.path).name


def read_unit(path: str, content: bytes, sha256: str) -> Unit:
    """Read a unit file; what does not hold in it is passed over, as systemd does."""
    text = content.decode(errors="replace")
    values = _assignments(text)
    commands = tuple(values.get("ExecStart", ()))
    dynamic = values.get("DynamicUser", ["no"])[-1].lower() in ("1", "yes", "true", "on")
    user = values.get("User", ["a user of the moment" if dynamic else "root"])[-1]
    listens = [match["port"] for command in commands for match in _LISTENS.finditer(command)]
    streams = (_STREAM.fullmatch(stream) for stream in values.get("ListenStream", ()))
    listens += [match["port"] for match in streams if match]
    return Unit(
        path=path,
        commands=commands,
        user=user if path.endswith(".service") else None,
        ports=tuple(sorted({int(port) for port in listens if 0 < int(port) < 65536})),
        schedule=tuple(values.get("OnCalendar", ())),
        sha256=sha256,
        text=text,
    )


def _assignments(text: str) -> dict[str, list[str]]:
    """Give values by key; an empty one takes back those before it."""
    values: dict[str, list[str]] = {}
    held = ""
    for raw in text.split("\n"):
        line = raw.strip()
        if line.startswith(("#", ";")):
            continue
        if line.endswith("\\"):
            held += line[:-1] + " "
            continue
        match = _ASSIGNMENT.fullmatch((held + line).strip())
        held = ""
        if match is None:
            continue
        if match[2]:
            values.setdefault(match[1], []).append(match[2])
        else:
            values.pop(match[1], None)
    return values
