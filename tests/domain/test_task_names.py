"""Names of tasks in dialects: unique, reversible, and in the order of the stamps."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iceprod_tasks.domain.task_names import STAMP_BYTES, read_name, shown_name

STAMPS = st.binary(min_size=STAMP_BYTES, max_size=STAMP_BYTES)
TYPES = st.text() | st.sampled_from(['gen', 'tag-Data', 'a.b', '-', 'x-1291329692.91', ''])
PARTS = 2**64


def stamp(seconds: int, part: int) -> bytes:
    return seconds.to_bytes(4) + part.to_bytes(8)


@pytest.mark.parametrize(
    ('made_of', 'name'),
    [
        (stamp(1291329692, round(Fraction('0.91') * PARTS)), 'tagData-1291329692.91'),
        (stamp(1291215268, round(Fraction('0.4') * PARTS)), 'tagData-1291215268.4'),
        (stamp(0, 0), 'tagData-0.0'),
        (stamp(2**32 - 1, PARTS - 1), 'tagData-4294967295.99999999999999999995'),
        (stamp(5, 1), 'tagData-5.00000000000000000005'),
    ],
)
def test_a_name_has_the_seconds_and_the_fewest_digits_that_tell_the_rest(made_of: bytes, name: str) -> None:
    assert shown_name('tagData', made_of) == name


@given(TYPES, STAMPS)
def test_a_name_leads_back_to_its_type_and_stamp(task_type: str, made_of: bytes) -> None:
    assert read_name(shown_name(task_type, made_of)) == (task_type, made_of)


@given(st.integers(0, 2**32 - 1), st.integers(0, PARTS - 2))
def test_neighbours_have_names_of_their_own(seconds: int, part: int) -> None:
    first, second = shown_name('a', stamp(seconds, part)), shown_name('a', stamp(seconds, part + 1))

    assert first != second


@given(STAMPS, STAMPS)
def test_numbers_are_in_the_order_of_the_stamps(first: bytes, second: bytes) -> None:
    numbers = [shown_name('', each)[1:].split('.') for each in sorted((first, second))]

    values = [(int(seconds), fraction.ljust(20, '0')) for seconds, fraction in numbers]
    assert values == sorted(values)
    assert (values[0] == values[1]) == (first == second)


@given(STAMPS)
def test_no_fewer_digits_lead_to_the_same_stamp(made_of: bytes) -> None:
    fraction = shown_name('', made_of).partition('.')[2]
    part = int.from_bytes(made_of[4:])

    scale = 10 ** (len(fraction) - 1)
    near = part * scale // PARTS
    nearest = min(abs(decimal * PARTS - part * scale) for decimal in (near, near + 1))

    assert len(fraction) == 1 or 2 * nearest >= scale


@given(st.text() | st.from_regex(r'.*-[0-9]{0,12}\.[0-9]{0,22}', fullmatch=True))
def test_any_text_is_a_name_that_is_made_or_none(text: str) -> None:
    read = read_name(text)

    assert read is None or shown_name(*read) == text


@pytest.mark.parametrize(
    'text',
    ['', 'gen', 'gen-', 'gen-5', 'gen-5.', 'gen-.5', 'gen-05.5', 'gen-5.50', 'gen-5.00', 'gen-4294967296.5', '5.5',
     'gen-5.5 ', 'gen-٣.5', 'gen-5.000000000000000000000', 'gen-5.99999999999999999999', 'gen--5.5x',
     'gen-99999999999.5', 'gen-5.5\n'],
)  # fmt: skip
def test_what_is_no_name_is_not_read_as_one(text: str) -> None:
    assert read_name(text) is None
