"""Time, as an argument."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What a roll knows of time."""

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        ...

    def now(self) -> str:
        """The wall clock, as ISO 8601 in UTC; for people and records, never for deadlines."""
        ...


class SystemClock:
    """This machine's clock."""

    def monotonic(self) -> float:
        """Seconds since some moment; those that a laptop slept through count too."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)

    def now(self) -> str:
        """The wall clock."""
        return datetime.now(UTC).isoformat(timespec="seconds")


def length(seconds: float) -> str:
    """A length of time for people: 0.5 s, 40 s, 5 min, 1 h 10 min."""
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{seconds:.2g} s" if seconds < 1 else f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (rest if not hours else 0, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number)
