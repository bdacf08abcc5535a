"""Reading a TOML file that a user wrote."""

import re
import tomllib
from pathlib import Path
from typing import Any

from debship.errors import Misused

_PLACE = re.compile(
    r"(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)"
)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a file.

    Raises:
        Misused: it is not there, cannot be read, or is not TOML; the message says the line and
            the column.
    """
    try:
        return parse_toml(path.read_bytes().decode(), path)
    except FileNotFoundError as error:
        raise Misused(f"{path}: there is no such file") from error
    except OSError as error:
        raise Misused(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise Misused(f"{path.name}: line {line}: not UTF-8", f"the file is {path}") from error


def parse_toml(text: str, path: Path) -> dict[str, Any]:
    """Read a text that is or will be a file; see ``read_toml``."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # The error itself quotes nothing of the file: what stands there may be a secret.
        raise Misused(f"{path.name}: {_where(str(error))}", f"the file is {path}") from error


def _where(said: str) -> str:
    match = _PLACE.fullmatch(said)
    if match is None:
        return said
    what = match["what"][:1].lower() + match["what"][1:]
    if match["line"] is None:
        return f"at its end: {what}"
    return f"line {match['line']}, column {match['column']}: {what}"


def place(folder: Path, written: str) -> Path:
    """Find a path that a file names: absolute, below the user's home (~), or beside the file."""
    return (folder / Path(written).expanduser()).resolve()
