"""Outputs as text: however bytes are cut, each is in front of as many characters as it says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iceprod_tasks.domain.outputs import characters, text_of, whole_characters

cut_off = st.text(max_size=20).map(str.encode).map(lambda data: data[1:] + b'\xe2\x82')
printed = st.binary(max_size=60) | st.text(max_size=30).map(str.encode) | cut_off


@given(printed)
def test_text_has_a_character_for_each_byte_that_begins_one(data: bytes) -> None:
    assert len(text_of(data)) == characters(data)


@given(printed, st.integers(0, 60))
def test_characters_of_parts_add_up_wherever_they_are_cut(data: bytes, place: int) -> None:
    assert characters(data[:place]) + characters(data[place:]) == characters(data)


@given(st.text())
def test_what_is_utf_8_is_read_as_it_is(text: str) -> None:
    data = text.encode('utf-8', 'replace')

    assert text_of(data) == data.decode()


@given(printed, st.integers(0, 60))
def test_what_is_cut_between_characters_is_the_same_together(data: bytes, place: int) -> None:
    front = whole_characters(data[:place])

    assert text_of(front) + text_of(data[len(front) :]) == text_of(data)


@pytest.mark.parametrize(
    ('data', 'text'),
    [
        (b'caf\xe9 ol\xe9', 'caf\ufffd ol\ufffd'), (b'a\xa0b', 'ab'), (b'\x80\x80a', 'a'), (b'\xed\xa0\x80', '\ufffd'),
        (b'\xff\xffa\x00', '\ufffd\ufffda\0'), (b'a\r\nb', 'a\r\nb'), (b'', ''), (b'\xbf', ''),
    ],
)  # fmt: skip
def test_what_is_no_utf_8_is_marked_and_what_is_around_it_is_read(data: bytes, text: str) -> None:
    assert text_of(data) == text


@pytest.mark.parametrize(
    ('data', 'kept'),
    [
        ('a€'.encode()[:-1], b'a'), ('a€'.encode(), 'a€'.encode()), ('😀'.encode()[:-1], b''), (b'a\xc3', b'a'),
        (b'a', b'a'), (b'', b''), (b'\x80' * 9, b'\x80' * 9), ('ä'.encode() + b'\x80', 'ä'.encode() + b'\x80'),
    ],
)  # fmt: skip
def test_a_character_of_which_more_may_come_is_left_out(data: bytes, kept: bytes) -> None:
    assert whole_characters(data) == kept
