"""When a publication may bear which Date, so that every host takes it for newer than the last."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from debship.errors import Refused

_SECOND = timedelta(seconds=1)
_ASTRAY = timedelta(seconds=8)  # apt refuses what is 10 s ahead (Acquire::Max-FutureTime)
_PATIENCE = timedelta(seconds=60)


class Last(NamedTuple):
    """The publication before: its Date, and when it was written as HTTP says it; UTC."""

    date: datetime
    modified: datetime


class Clock(NamedTuple):
    """This machine's time, waiting, and the Date that all publications shall bear instead.

    Attributes:
        epoch: what SOURCE_DATE_EPOCH says, UTC; None where it says nothing.
    """

    now: Callable[[], datetime]
    pause: Callable[[float], None]  # seconds
    epoch: datetime | None = None

    def check(self, theirs: datetime | None, last: Last | None) -> timedelta:
        """Say how long a publication must wait until its Date can be later than the last one's.

        apt refuses a Date that is ahead, keeps its old files without a message where it went back
        (VerifyVendor), and asks with If-Modified-Since, whose grain is a second: a host that came
        between two publications of one second would not see the later one until there is a third.

        Args:
            theirs: the store's clock, where it has one.
            last: None where there is none.

        Raises:
            Refused: this machine's clock is wrong.
        """
        now = self.now()
        check_now(
            now, theirs, "apt refuses a publication from the future and ignores one from the past"
        )
        if self.epoch is not None and self.epoch - now > _ASTRAY:
            raise Refused(
                f"SOURCE_DATE_EPOCH is {self.epoch:%Y-%m-%d %H:%M:%S} UTC, in the future",
                "apt refuses a publication from the future",
            )
        if last is None:
            return timedelta()
        wait = max(last.date, last.modified.replace(microsecond=0)) + _SECOND - now
        if wait > _PATIENCE:
            raise Refused(
                f"the last publication is of {last.date:%Y-%m-%d %H:%M:%S} UTC, "
                f"{wait.total_seconds():.0f} s ahead of this machine's clock",
                "set the clock (timedatectl): apt would refuse or ignore what is published now",
            )
        return max(wait, timedelta())

    def date(self, theirs: datetime | None, last: Last | None) -> datetime:
        """Wait as long as must be, and give the Date; UTC, whole seconds."""
        wait = self.check(theirs, last)
        due = self.now() + wait
        if wait:
            self.pause(wait.total_seconds())
        date = max(self.now(), due)
        if self.epoch is not None:
            date = max(self.epoch, last.date + _SECOND) if last else self.epoch
        return date.astimezone(UTC).replace(microsecond=0)


def check_now(now: datetime, theirs: datetime | None, why: str) -> None:
    """See that this machine's clock says what the store's does.

    Args:
        now: this machine's time, UTC.
        theirs: the store's; None where it has no clock of its own.
        why: it matters.

    Raises:
        Refused: it does not.
    """
    if theirs is not None and abs(theirs - now) > _ASTRAY:
        raise Refused(
            f"this machine's clock is {(now - theirs).total_seconds():+.0f} s off the store's",
            f"{why}: set the clock (timedatectl)",
        )
