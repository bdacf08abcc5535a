"""Control paragraphs as bytes: looked at, never parsed into objects and rendered again."""

import re
from collections.abc import Iterator

# A field's name and value: the lines that follow and start with a blank belong to it (Policy 5.1).
_FIELD = re.compile(rb"([!-9;-~]+):[ \t]*((?:[^\n]*)(?:\n[ \t][^\n]*)*)(?:\n|\Z)")


class Malformed(ValueError):
    """The bytes are not one control paragraph; the text says why."""


def fields(paragraph: bytes) -> dict[str, str]:
    """Read one paragraph strictly (Policy 5.1).

    Args:
        paragraph: its bytes; one newline at the end or none.

    Returns:
        Field names in lower case, in order, with their values; inner newlines are kept.

    Raises:
        Malformed: a blank line, a doubled field, a line that is neither field nor continuation,
            a control character, or bytes that are not UTF-8. A second paragraph smuggled into an
            index would be a package that nobody published.
    """
    try:
        text = paragraph.decode()
    except UnicodeDecodeError as error:
        raise Malformed("it is not UTF-8") from error
    if any(character in text for character in "\0\r\v\f"):
        raise Malformed("it holds a control character")
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        if not line.strip():
            raise Malformed(f"line {number} is blank")
    found: dict[str, str] = {}
    position = 0
    while position < len(paragraph):
        match = _FIELD.match(paragraph, position)
        if match is None or match[1][:1] in (b"#", b"-"):
            number = paragraph.count(b"\n", 0, position) + 1
            raise Malformed(f"line {number} is no field")
        name = match[1].decode().lower()
        if name in found:
            raise Malformed(f"it has {match[1].decode()} twice")
        found[name] = match[2].decode().strip()
        position = match.end()
    return found


def paragraphs(data: bytes) -> Iterator[bytes]:
    """Split a file of paragraphs, such as Packages; each keeps its bytes and ends in one newline.

    Separators are blank lines, as apt and dpkg write them (no spaces in them).
    """
    start, length = 0, len(data)
    while start < length:
        end = data.find(b"\n\n", start)
        end = length if end < 0 else end + 1
        piece = data[start:end].strip(b"\n")
        if piece:
            yield piece + b"\n"
        start = end
