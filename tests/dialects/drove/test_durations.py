"""Lengths of time as clients of Drove write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iceprod_tasks.dialects.drove.durations import LONGEST_SECONDS, read_duration
from iceprod_tasks.dialects.drove.translate import duration

SECONDS = {
    'ns': 1e-9, 'nanosecond': 1e-9, 'nanoseconds': 1e-9, 'us': 1e-6, 'microsecond': 1e-6, 'microseconds': 1e-6,
    'ms': 1e-3, 'millisecond': 1e-3, 'milliseconds': 1e-3, 's': 1, 'second': 1, 'seconds': 1, 'm': 60, 'min': 60,
    'mins': 60, 'minute': 60, 'minutes': 60, 'h': 3600, 'hour': 3600, 'hours': 3600, 'd': 86400, 'day': 86400,
    'days': 86400,
}  # fmt: skip


@given(st.sampled_from(sorted(SECONDS)), st.integers(1, 30), st.text(' \t', max_size=16))
def test_a_number_and_any_unit_in_its_long_or_short_form_are_seconds(unit: str, number: int, blanks: str) -> None:
    assert read_duration(f'{number}{blanks}{unit}') == pytest.approx(number * SECONDS[unit], rel=1e-12)


@pytest.mark.parametrize('text', ['2592000000000000ns', '2592000000000us', '2592000s', '43200m', '720 hours', '30d'])
def test_thirty_days_are_taken_in_every_unit(text: str) -> None:
    assert read_duration(text) == LONGEST_SECONDS


@pytest.mark.parametrize('text', ['2592000000000001ns', '2592001s', '43201m', '721 hours', '31d', '9' * 5000 + 'd'])
def test_more_than_thirty_days_are_refused_in_every_unit(text: str) -> None:
    with pytest.raises(ValueError, match='Invalid duration') as caught:
        read_duration(text)

    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    'text',
    ['', '5', '0s', '0 days', '-1s', '+1s', '1.5h', '1e3s', 's', '5 M', '5M', '5Minutes', '5 fortnights', ' 5m', '5m ',
     '5m\n', '5m 3s', '5\u00a0m', '\u0665m', '5\uff4d', '0x5s', '5\0s',
     f'5{" " * 17}m'],
)  # fmt: skip
def test_what_the_grammar_does_not_have_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match='Invalid duration'):
        read_duration(text)


@given(st.text())
def test_any_text_is_a_time_within_bounds_or_refused_in_one_line(text: str) -> None:
    try:
        seconds = read_duration(text)
    except ValueError as error:
        assert str(error).startswith('Invalid duration') and len(str(error).splitlines()) == 1
    else:
        assert 0 < seconds <= LONGEST_SECONDS


@given(st.sampled_from(['ns', 'us', 'ms', 's', 'm', 'h', 'd']), st.integers(1, 30))
def test_what_we_write_is_read_as_the_same_time(unit: str, number: int) -> None:
    seconds = read_duration(f'{number}{unit}')

    assert read_duration(duration(seconds)) == pytest.approx(seconds, rel=1e-12)
