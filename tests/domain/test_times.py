"""Times as clients write them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iceprod_tasks.domain.errors import InvalidRequest
from iceprod_tasks.domain.times import read_time

zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
# A day from the ends of the calendar every zone has the time.
moments = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29))


@given(moments)
def test_a_time_without_a_zone_is_utc(moment: datetime) -> None:
    assert read_time(moment.isoformat(), 'from') == moment.replace(tzinfo=UTC)


@given(moments, zones)
def test_a_time_with_a_zone_is_the_same_moment(moment: datetime, zone: timezone) -> None:
    there = moment.replace(tzinfo=zone)

    assert read_time(there.isoformat(), 'from') == there
    assert read_time(there.isoformat(), 'from').tzinfo is UTC


def test_a_date_is_its_midnight() -> None:
    assert read_time('2024-03-01', 'from') == datetime(2024, 3, 1, tzinfo=UTC)


@given(st.text())
def test_what_is_no_time_is_refused(text: str) -> None:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        with pytest.raises(InvalidRequest, match='"to" is not a time'):
            read_time(text, 'to')


@pytest.mark.parametrize('text', ['0001-01-01T00:00:00+23:00', '9999-12-31T23:59:59-01:00', 'now', '5', ''])
def test_a_time_that_no_calendar_has_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match='"from" is not a time'):
        read_time(text, 'from')
