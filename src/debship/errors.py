"""What can go wrong, as one flat family; each member knows its exit code."""

from typing import ClassVar


class DebshipError(Exception):
    """An error that a user can read and act on.

    Args:
        message: what is wrong and where, without a final period: ``fleet.toml: apps.auth.batch:
            expected a number or a percentage, got "ten"``.
        hint: the way out, or None where the message says it all.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Failed(DebshipError):
    """It was tried, and it failed."""

    exit_code = 1


class Misused(DebshipError):
    """The command, or a file that the user writes, says something that cannot be meant."""

    exit_code = 2


class Refused(DebshipError):
    """Doing it would break a promise, so nothing was changed."""

    exit_code = 3


class Uncertain(DebshipError):
    """Neither success nor failure could be established; the report says what to look at."""

    exit_code = 4
