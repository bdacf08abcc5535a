"""Dates as apt reads and others write them."""

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime, parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debship.publish import date

zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(datetime(1971, 1, 1), datetime(9998, 1, 1), timezones=zones))
def test_it_is_written_as_the_standard_library_would(moment) -> None:
    moment = moment.replace(microsecond=0)
    text = date.written(moment)
    assert text == format_datetime(moment.astimezone(UTC))
    assert date.read(text) == parsedate_to_datetime(text) == moment


def test_others_ways_of_utc_are_read() -> None:
    for text in ("Sat, 01 May 2027 12:00:00 UTC", "Sat, 1 May 2027 12:00:00 GMT"):
        assert date.read(text) == datetime(2027, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2027-05-01",
        "Sat, 31 Feb 2027 12:00:00 UTC",
        "Sat, 01 May 2027 12:00:00 +0200",
        "Sat, 01 May 2027 12:00:00 UTC\n",
    ],
)
def test_what_is_no_date_is_refused(text) -> None:
    with pytest.raises(ValueError, match=r"day is out|no Date"):
        date.read(text)
