"""Names of tasks as dialects show them: TYPE-NUMBER, which stay the same for ever and need no index.

TYPE is the task's own name, which never changes. NUMBER is made of the 12 bytes of the document's id, its *stamp*. Four
are the seconds since 1970 at which it was made. The other eight, as a number of 2**64ths, stand behind the point, in
the fewest digits that tell them from all others. So numbers read like times, and are in the order of the stamps.
"""

import re

STAMP_BYTES = 12

_SECONDS_BYTES = 4
_PARTS = 2**64
_MOST_DIGITS = 20
"""10**20 is more than 2**64, so with so many digits every part has one number at least."""
_NUMBER = re.compile(r'(0|[1-9][0-9]{0,9})\.([0-9]{1,20})')


def shown_name(task_type: str, stamp: bytes) -> str:
    """The name of a task.

    Args:
        task_type: the task's own name.
        stamp: the bytes of its document's id.
    """
    return f'{task_type}-{_number(stamp)}'


def read_name(text: str) -> tuple[str, bytes] | None:
    """What a name says.

    Args:
        text: anything.

    Returns:
        TYPE and stamp; None where `shown_name` makes no such name.
    """
    task_type, dash, number = text.rpartition('-')
    found = _NUMBER.fullmatch(number)
    if not dash or found is None or int(found[1]) >= 2 ** (8 * _SECONDS_BYTES):
        return None
    part = _nearest(int(found[2]) * _PARTS, 10 ** len(found[2]))
    if part >= _PARTS:
        return None
    stamp = int(found[1]).to_bytes(_SECONDS_BYTES) + part.to_bytes(STAMP_BYTES - _SECONDS_BYTES)
    # Of all numbers that lead to a part, one is its name.
    return (task_type, stamp) if _number(stamp) == number else None


def _number(stamp: bytes) -> str:
    seconds, part = int.from_bytes(stamp[:_SECONDS_BYTES]), int.from_bytes(stamp[_SECONDS_BYTES:])
    return f'{seconds}.{_fraction(part)}'


def _fraction(part: int) -> str:
    """The shortest decimals that are nearer to so many parts than to any other number of them."""
    return next(
        f'{decimal:0{digits}}'
        for digits in range(1, _MOST_DIGITS + 1)
        if 2 * abs((decimal := _nearest(part * 10**digits, _PARTS)) * _PARTS - part * 10**digits) < 10**digits
    )


def _nearest(numerator: int, denominator: int) -> int:
    """The whole number nearest to a quotient."""
    return (2 * numerator + denominator) // (2 * denominator)
