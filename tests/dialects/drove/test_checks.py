"""What is told of names that came from outside."""

from hypothesis import given
from hypothesis import strategies as st

from iceprod_tasks.dialects.drove.checks import plain


@given(st.text())
def test_a_name_is_told_on_one_line_and_in_a_hundred_characters(name: str) -> None:
    told = plain(name)

    assert len(told) <= 100
    assert told.isprintable()


def test_a_plain_name_is_told_as_it_is() -> None:
    assert plain('SOME_NAME') == 'SOME_NAME'


def test_what_grows_where_it_is_written_out_is_short_all_the_same() -> None:
    assert len(plain('\U0010ffff' * 100)) == 100
