"""Outputs that come in pieces: lines, bounds and digests, whatever the pieces are."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from iceprod_tasks.fanout.output import Lines, Output

# The last two are the halves of an é, which come in one piece, in two, or alone.
halves = st.sampled_from([b'a', b'b', b'\r', b'\n', b'\xc3\xa9', b'\xc3', b'\xa9'])
pieces = st.lists(st.lists(halves, max_size=8).map(b''.join), max_size=12)


def model_lines(data: bytes) -> list[bytes]:
    *whole, rest = data.split(b'\n')
    return [line[:-1] if line.endswith(b'\r') else line for line in whole] + ([rest] if rest else [])


def filled(given: list[bytes], limit: int = 1000) -> Output:
    output = Output(limit)
    for each in given:
        if each:
            output.add(each)
    output.close()
    return output


@given(pieces)
def test_an_output_is_its_lines_with_newlines_between(given: list[bytes]) -> None:
    output = filled(given)

    expected = b'\n'.join(model_lines(b''.join(given)))
    assert output.data == output.kept == expected
    assert (output.size, output.truncated) == (len(expected), False)
    assert output.digest == hashlib.sha256(expected).digest()
    assert output.said == bool(b''.join(given))
    assert output.text == expected.decode(errors='replace')


@given(pieces, st.integers(0, 20))
def test_a_bounded_output_is_the_beginning_and_says_so(given: list[bytes], limit: int) -> None:
    whole, output = filled(given), filled(given, limit)

    assert output.kept == whole.kept[:limit]
    assert output.truncated == (len(whole.kept) > limit)
    assert output.digest == whole.digest
    if output.truncated:
        mark = f'[truncated: {limit} of {whole.size} bytes are kept]'
        assert output.data == output.kept + (b'\n' if limit else b'') + mark.encode()
        assert output.text.endswith(mark)
    else:
        assert output.data == whole.data


@given(pieces)
def test_lines_are_cut_the_same_in_any_pieces(given: list[bytes]) -> None:
    lines = Lines()
    found = [line for each in given for line in lines.feed(each)]
    rest = lines.rest()

    assert found + ([] if rest is None else [rest]) == model_lines(b''.join(given))
    assert lines.rest() is None


@given(pieces, st.integers(1, 10))
def test_long_lines_lose_their_ends(given: list[bytes], longest: int) -> None:
    lines = Lines(longest)
    found = [line for each in given for line in lines.feed(each)]
    rest = lines.rest()

    assert found + ([] if rest is None else [rest]) == [line[:longest] for line in model_lines(b''.join(given))]


@given(st.text(alphabet='aé', max_size=20), st.integers(0, 20))
def test_a_bound_leaves_no_half_character(text: str, limit: int) -> None:
    output = filled([text.encode()], limit)

    assert '\ufffd' not in output.text
    assert text.startswith(output.text.partition('\n')[0]) or limit == 0


def test_a_cleared_output_begins_anew() -> None:
    output = Output(3)
    output.add(b'abcdef')

    output.clear()
    output.add(b'xy')

    assert (output.data, output.truncated, output.size) == (b'xy', False, 2)
