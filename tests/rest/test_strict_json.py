"""What no body may have, whatever its schema says. Issue 5, section 3."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iceprod_tasks.domain.errors import InvalidRequest
from iceprod_tasks.rest.strict_json import DEEPEST, parse

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters='\0', codec='utf-8')),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(st.characters(exclude_characters='\0', codec='utf-8')), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def nested(levels: int) -> bytes:
    return b'{"a":' + b'[' * (levels - 1) + b'1' + b']' * (levels - 1) + b'}'


@pytest.mark.parametrize(
    'text',
    [b'{"a": 9223372036854775807}', b'{"a": -9223372036854775808}', b'{"a": 1e308}', b' {} ', b'{"a": 1e19}',
     b'{"a": 99999999999999999999.5}', b'{"a": 18446744073709551616.0, "b": 1234567890123456789}',
     b'{"a": 1e20, "b": "99999999999999999999"}', b'{"a": 1e20, "b": 0.11111111111111111111}'],
)  # fmt: skip
def test_numbers_that_fit_are_read(text: bytes) -> None:
    assert parse(text) == json.loads(text)


@pytest.mark.parametrize(
    'number',
    ['9223372036854775808', '-9223372036854775809', '18446744073709551616', '-99999999999999999999', '1' + '0' * 400,
     '1' + '0' * 30, '1e400', '-1e400', 'NaN', 'Infinity', '-Infinity', '01', '+1', '0x10', '1_0', '1.', '.5'],
)  # fmt: skip
@pytest.mark.parametrize('frame', ['{"a": %s}', '{"a": [[%s]]}', '{"a":1.5,"b":{"c":%s},"d":2}'])
def test_numbers_that_do_not_fit_are_refused_at_any_depth(frame: str, number: str) -> None:
    with pytest.raises(InvalidRequest):
        parse((frame % number).encode())


@pytest.mark.parametrize(
    'text',
    ['{"a":1,"a":1}', '{"a":{"b":1,"b":2}}', '[{"a":1}]', '{"x":[{"a":1},{"a":1,"\\u0061":2}]}',
     '{"a:":1,"b":"::","a:":2}', '{"a" : 1,\n"a"\t:1}', '{"\\"":":","\\"":1}', '{"a\\\\":":","a\\\\":1}'],
)  # fmt: skip
def test_a_key_that_comes_twice_in_one_object_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse(text.encode())


@pytest.mark.parametrize(
    'text',
    ['{"a":{"a":1},"b":{"a":1}}', '{"a":":","b":"\\":\\":"}', '{"a:b":"12:30:00","c\\\\":": {\\"a\\":1}"}', '{"":1}'],
)
def test_colons_in_strings_are_no_keys(text: str) -> None:
    assert parse(text.encode()) == json.loads(text)


@pytest.mark.parametrize(
    'text',
    [b'{"a":"\\u0000"}', b'{"\\u0000":1}', b'{"a":[{"b":"x\\\\\\u0000"}]}', b'{"a":"\0"}', b'{"a":"\\ud800"}',
     b'{"a":"\\udc00\\ud800"}', b'{"\\ud83d":1}', b'{"a":"\xff"}', b'{"a":"\xc0\xaf"}', b'{"a":"\xed\xa0\x80"}',
     b'\xef\xbb\xbf{}', '{"a":1}'.encode('utf-16'), '{"a":1}'.encode('utf-16-le'), b'{"a":"\n"}', b'{"a":"\x1f"}'],
)  # fmt: skip
def test_text_that_is_no_clean_utf_8_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parse(text)


@pytest.mark.parametrize('text', [b'{"a":"\\\\u0000"}', b'{"a":"\\ud83d\\ude00"}', b'{"a":"\\u0001\\t"}'])
def test_what_only_looks_like_unclean_text_is_read(text: bytes) -> None:
    assert parse(text) == json.loads(text)


@pytest.mark.parametrize('text', [b'', b' ', b'[]', b'"a"', b'1', b'null', b'{"a":1}{', b'{"a":1} x', b"{'a':1}",
                                  b'{"a":1,}', b'{a:1}', b'// \n{}', b'{}\0', b'{"a"'])  # fmt: skip
def test_what_is_no_object_alone_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parse(text)


def test_a_body_has_so_many_levels_and_no_more() -> None:
    assert parse(nested(DEEPEST))

    for levels in (DEEPEST + 1, 1000, 100_000):
        with pytest.raises(InvalidRequest):
            parse(nested(levels))


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.dictionaries(st.text(st.characters(exclude_characters='\0', codec='utf-8')), VALUES, max_size=5),
       st.booleans(), st.sampled_from([None, 1]))  # fmt: skip
def test_whatever_json_writes_is_read_as_it_was(value: dict[str, object], ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)

    assert parse(text.encode()) == value
