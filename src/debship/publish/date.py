"""The Date of a Release, as apt reads it (RFC 5322 section 3.3, in UTC).

By hand: email.utils loads sockets and character sets, which takes longer than reading an index.
"""

import re
from datetime import UTC, datetime

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DATE = re.compile(
    rf"(?:{'|'.join(_DAYS)}), ([0-9]{{1,2}}) ({'|'.join(_MONTHS)}) ([0-9]{{4}})"
    r" ([0-9]{2}):([0-9]{2}):([0-9]{2}) (?:\+0000|UTC|GMT)"
)


def written(moment: datetime) -> str:
    """Write a moment: ``Sat, 01 May 2027 12:00:00 +0000``."""
    at = moment.astimezone(UTC)
    day, month = _DAYS[at.weekday()], _MONTHS[at.month - 1]
    return f"{day}, {at.day:02} {month} {at.year:04} {at:%H:%M:%S} +0000"


def read(text: str) -> datetime:
    """Read a Date; gives UTC.

    Raises:
        ValueError: it is none, or not in UTC.
    """
    found = _DATE.fullmatch(text)
    if found is None:
        raise ValueError(f'"{text}" is no Date')
    day, month, year, hour, minute, second = found.groups()
    date = int(year), _MONTHS.index(month) + 1, int(day)
    return datetime(*date, int(hour), int(minute), int(second), tzinfo=UTC)
