"""Lengths of time as Drove writes them: a whole number and a unit, `5m` or `300 seconds`."""

import re

LONGEST_SECONDS = 30 * 86400.0

_UNITS = {
    1e-9: ('ns', 'nanosecond', 'nanoseconds'),
    1e-6: ('us', 'microsecond', 'microseconds'),
    1e-3: ('ms', 'millisecond', 'milliseconds'),
    1.0: ('s', 'second', 'seconds'),
    60.0: ('m', 'min', 'mins', 'minute', 'minutes'),
    3600.0: ('h', 'hour', 'hours'),
    86400.0: ('d', 'day', 'days'),
}
_SECONDS = {name: seconds for seconds, names in _UNITS.items() for name in names}
# No more digits than the longest time has nanoseconds.
_DURATION = re.compile(r'([0-9]{1,16})[ \t]{0,16}([a-z]+)')


def read_duration(text: str) -> float:
    """The seconds of a length of time.

    Args:
        text: digits, blanks or none, and a unit from `ns` to `days`.

    Raises:
        ValueError: it is none, it is 0, or it is longer than 30 days.
    """
    match = _DURATION.fullmatch(text)
    if match is None or match[2] not in _SECONDS:
        raise ValueError(f'Invalid duration: {text[:50]!r} is no number with a unit, like 5m or 300 seconds')
    seconds = int(match[1]) * _SECONDS[match[2]]
    if not 0 < seconds <= LONGEST_SECONDS:
        raise ValueError(f'Invalid duration: {text[:50]!r} is not between 0 and 30 days')
    return seconds
