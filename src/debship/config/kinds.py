"""The kinds of values that the files hold, each with what it expects."""

import ipaddress
import re
import shlex
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, PlainValidator, WithJsonSchema

from debship.config.fleet import Share
from debship.config.mistakes import quoted
from debship.debian.releases import release
from debship.errors import Misused
from debship.model import DebVersion, PackageName


class Sentence(ValueError):
    """A whole sentence about a value, which needs no "got ..." after it."""


def _matches(pattern: str, expected: str) -> AfterValidator:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError(expected)
        return value

    return AfterValidator(check)


def _checked(check: Callable[[str], object]) -> AfterValidator:
    """Take the words of the check: it raises Misused."""

    def validate(value: str) -> str:
        try:
            check(value)
        except Misused as error:
            hint = f": {error.hint}" if error.hint else ""
            raise Sentence(f"{error.message}{hint}") from error
        return value

    return AfterValidator(validate)


USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
_SIZE = {"s": 1, "m": 60, "h": 3600}
_OPERATORS = frozenset({"&&", "||", "|"})  # of a shell
_DEBIAN_NAME = r"[a-z0-9][a-z0-9+.-]+"
_DEBIAN_VERSION = r"(?:[0-9]{1,10}:)?[0-9][A-Za-z0-9.+~-]*(?<!-)"
# apt takes fewer than three characters in parentheses for an error: "(=2)".
_ALTERNATIVE = (
    rf"{_DEBIAN_NAME}(?::[a-z0-9-]+)?"
    rf"(?: *\((?=[^)]{{3}})(?:<<|<=|=|>=|>>) *{_DEBIAN_VERSION}\))?"
)
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")


def _duration(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str) and (match := re.fullmatch(r"(\d+(?:\.\d+)?) ?([smh])", value)):
        seconds = float(match[1]) * _SIZE[match[2]]
    else:
        raise ValueError('a number of seconds, or a duration such as "30s" or "5m"')
    if not 0 <= seconds < float("inf"):
        raise ValueError("a duration of 0 s or more")
    return seconds


def _share(value: Any) -> Share:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Share(count=value)
    if isinstance(value, str) and (match := re.fullmatch(r"([0-9]{1,3})%", value)):
        percent = int(match[1])
        if 1 <= percent <= 100:
            return Share(percent=percent)
        raise ValueError("a percentage from 1% to 100%")
    raise ValueError("a number or a percentage")


def _some_share(value: Any) -> Share:
    share = _share(value)
    if share.count == 0:
        raise ValueError("a number of at least 1, or a percentage")
    return share


def _plain(value: Any) -> str | int | float | bool:
    if not isinstance(value, str | int | float):
        raise ValueError("a string, a number, true or false")
    return value


def _host(value: str) -> str:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        labels = value.removesuffix(".").split(".")
        named = len(value) <= 253 and all(_LABEL.fullmatch(label) for label in labels)
        if not named or labels[-1].isdigit():
            raise ValueError("a host name or an address, without user or port") from None
    return value


def _etc_path(value: str) -> str:
    if not re.fullmatch(r"(?:/[A-Za-z0-9._+@-]+)+", value) or not value.startswith("/etc/"):
        raise ValueError("an absolute path below /etc, of letters, digits and . _ + @ -")
    if {".", ".."} & set(PurePosixPath(value).parts) or "/./" in value:
        raise ValueError('an absolute path below /etc, without "." or ".." in it')
    return value


def _url(value: str) -> str:
    expected = "a URL that starts with http:// or https://"
    if not re.fullmatch(r"https?://[\x21-\x7e]+", value):
        raise ValueError(expected)
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError as error:
        raise ValueError(expected) from error
    if not parts.hostname:
        raise ValueError(expected)
    if parts.username or parts.password:
        raise Sentence("holds a user or a password; hosts read those from apt_auth.conf(5)")
    return value.rstrip("/")


def _command(value: str) -> str:
    try:
        words = shlex.split(value)
    except ValueError as error:
        raise ValueError("a command whose quotes are closed") from error
    if not words or any(ord(c) < 32 or ord(c) == 127 for c in value):
        raise ValueError("a command on one line")
    if operators := _OPERATORS.intersection(_as_written(value)):
        raise ValueError(
            f'a command without {min(operators)}: no shell reads it; one does in sh -c "..."'
        )
    return value


def _as_written(value: str) -> list[str]:
    """The words with their quotes: what is quoted is no operator."""
    try:
        return shlex.split(value, posix=False)
    except ValueError:  # a quote that is escaped
        return []


def _exec(value: str) -> str:
    first = shlex.split(_command(value))[0]
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*", first):
        raise ValueError("a command whose first word is a script of the virtualenv, by its name")
    return value


def _address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError('an address, such as "127.0.0.1"') from None


def _file_path(value: str) -> str:
    """Take a place that a package may fill (Policy 9.1, the FHS)."""
    if re.fullmatch(r"/etc(?:/.*)?", value):
        raise Sentence(f"{quoted(value)} is configuration: it belongs into [[config]]")
    if not re.fullmatch(r"(?:/[A-Za-z0-9._+@-]+)+", value):
        raise ValueError("an absolute path of letters, digits and . _ + @ -")
    if {".", ".."} & set(value.split("/")):
        raise ValueError('an absolute path, without "." or ".." in it')
    if value.startswith("/usr/local/"):
        raise Sentence(f"{quoted(value)} is the administrator's to fill (Policy 9.1.2)")
    if not value.startswith(("/usr/", "/var/lib/")) or value.count("/") < 3:
        raise ValueError("a path of a file below /usr or /var/lib")
    return value


def _setting(value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    said = tuple(
        ("yes" if item else "no") if isinstance(item, bool) else str(item)
        for item in values
        if isinstance(item, str | int)
    )
    if len(said) != len(values) or not all(text.isprintable() for text in said):
        raise ValueError("a string, a number, true or false, or a list of strings")
    return said


def _store(value: str) -> str:
    if value.startswith("s3://"):
        if not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/[A-Za-z0-9._/-]*)?", value):
            raise ValueError("s3://bucket/prefix")
        return value.rstrip("/")
    if not value.strip() or "://" in value:
        raise ValueError("a directory or s3://bucket/prefix")
    return value


def _inner_path(value: str) -> str:
    path = PurePosixPath(value)
    if not value or path.is_absolute() or ".." in path.parts or "\0" in value:
        raise ValueError("a path relative to this file's folder, and inside it")
    return value


def _whole(low: int, high: int | None = None) -> AfterValidator:
    def check(value: int) -> int:
        if value < low or (high is not None and value > high):
            words = f"from {low} to {high}" if high is not None else f"of at least {low}"
            raise ValueError(f"a number {words}")
        return value

    return AfterValidator(check)


def _text(expected: str) -> AfterValidator:
    return _matches(r"[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*", expected)


# Words of a person.
Line = Annotated[str, _text("words on one line")]
Summary = Annotated[
    str, _matches(r"(?=.{1,80}\Z)[^\s][^\x00-\x1f\x7f]*", "one line of 1 to 80 characters")
]
Maintainer = Annotated[
    str, _matches(r"[^\x00-\x1f\x7f<>@]*[^\s<>@] <[^\s<>@]+@[^\s<>@]+>", '"Name <address>"')
]

# What Debian names.
Package = Annotated[str, _checked(PackageName)]
Version = Annotated[str, _checked(lambda text: text in ("wheel", "git") or DebVersion(text))]
Codename = Annotated[str, _checked(release)]
Relation = Annotated[
    str,
    _matches(
        rf"{_ALTERNATIVE}(?: *\| *{_ALTERNATIVE})*",
        'one Debian relation, such as "libpq5 (>= 15) | libpq6"',
    ),
]
Section = Annotated[str, _matches(r"[a-z]+(?:/[a-z-]+)?", 'a section, such as "net"')]
Soname = Annotated[
    str, _matches(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*", 'the name of a shared library: "libcuda.so.1"')
]
SuiteName = Annotated[str, _matches(r"[A-Za-z0-9][A-Za-z0-9._-]*", "letters, digits and . _ -")]

# What systemd and the system name.
User = Annotated[
    str,
    _matches(USER.pattern, "a user name: up to 31 lower-case letters, digits, _ and -"),
]
Unit = Annotated[
    str, _matches(r"[A-Za-z0-9][A-Za-z0-9_.-]*", "a unit's name: letters, digits and . _ -")
]
Exec = Annotated[str, AfterValidator(_exec)]
Script = Annotated[
    str,
    _matches(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*", "a script of the virtualenv, by its name"),
]
Directive = Annotated[
    str, _matches(r"[A-Z][A-Za-z0-9]+", "a directive of systemd, such as PrivateTmp")
]
Setting = Annotated[
    tuple[str, ...],
    PlainValidator(_setting),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "integer"},
                {"type": "boolean"},
                {"type": "array", "items": {"type": "string"}},
            ]
        }
    ),
]
Command = Annotated[str, AfterValidator(_command)]
Mode = Annotated[
    str, _matches(r"0?[0-7][0-7][0145]", 'a mode such as "0640", not writable for all')
]
HookName = Annotated[
    str, _matches(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", "a name of letters, digits and . _ -")
]
Variable = Annotated[str, _matches(r"[A-Za-z_][A-Za-z0-9_]*", "a name of letters, digits and _")]

# Where things are.
EtcPath = Annotated[str, AfterValidator(_etc_path)]
FilePath = Annotated[str, AfterValidator(_file_path)]
Address = Annotated[str, AfterValidator(_address)]
InnerPath = Annotated[str, AfterValidator(_inner_path)]
AnyPath = Annotated[str, _text("a path")]
Url = Annotated[str, AfterValidator(_url)]
UrlPath = Annotated[str, _matches(r"/[\x21-\x7e]*", 'a path that starts with "/"')]
StorePlace = Annotated[str, AfterValidator(_store)]
Host = Annotated[str, AfterValidator(_host)]
Port = Annotated[int, _whole(1, 65535)]
Socket = Annotated[
    str,
    _matches(
        r"/[^\x00-\x20\x7f]+|tcp://[^\s/:]+:[0-9]{1,5}",
        "the path of a socket, or tcp://address:port",
    ),
]
Arn = Annotated[
    str,
    _matches(
        r"arn:[^:\s]+:elasticloadbalancing:[^:\s]*:[^:\s]*:targetgroup/[^\s]+",
        "the ARN of a target group",
    ),
]
ElbName = Annotated[str, _matches(r"[A-Za-z0-9-]{1,32}", "the name of a classic load balancer")]

# What templates name.
Plain = Annotated[
    str | int | float | bool,
    PlainValidator(_plain),
    WithJsonSchema({"type": ["string", "number", "boolean"]}),
]

# How much.
Natural = Annotated[int, _whole(0)]
Positive = Annotated[int, _whole(1)]
Instances = Annotated[int, _whole(1, 100)]
Duration = Annotated[
    float,
    PlainValidator(_duration),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0},
                {"type": "string", "pattern": r"^\d+(\.\d+)? ?[smh]$"},
            ]
        }
    ),
]
_SHARE_SCHEMA = {
    "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^[0-9]{1,3}%$"}]
}
AnyShare = Annotated[Share, PlainValidator(_share), WithJsonSchema(_SHARE_SCHEMA)]
SomeShare = Annotated[Share, PlainValidator(_some_share), WithJsonSchema(_SHARE_SCHEMA)]
