"""What the metadata of a Python distribution say (core metadata specification)."""

import re
from collections.abc import Sequence

_HEADER = re.compile(r"([A-Za-z-]+):[ \t]*([^\r\n]*)")
_LONG = 100  # characters: beyond them the field holds the text of the licence, not its name


def headers(content: bytes) -> dict[str, list[str]]:
    """Read the headers of a METADATA, PKG-INFO or WHEEL file, each value's first line.

    Returns:
        values by lower-case name; what is no header is passed over.
    """
    found: dict[str, list[str]] = {}
    for line in content.decode(errors="replace").split("\n"):
        if not line.strip():
            break
        match = _HEADER.match(line)
        if match is not None:
            found.setdefault(match[1].lower(), []).append(match[2].strip())
    return found


def license_line(expression: str, text: str, classifiers: Sequence[str]) -> str:
    """Name a licence on one line, from the three fields that may name it; empty where none does."""
    if expression:
        return " ".join(expression.split())
    short = " ".join(text.split()) if len(text) < _LONG else ""
    named = (c.rpartition(" :: ")[2] for c in classifiers if c.startswith("License :: "))
    return short or ", ".join(named)
