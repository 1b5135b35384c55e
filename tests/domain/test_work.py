"""Work that tasks carry: what is taken, and what no pilot could run."""

import base64
import os
import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iceprod_tasks.domain.errors import InvalidRequest
from iceprod_tasks.domain.work import FILES_BYTES_AT_MOST, TEXT_AT_MOST, checked, for_readers

VOLUME = {'source': '/data/in', 'target': '/in', 'read_only': True}
WHOLE: dict[str, Any] = {
    'command': ['run', ''],
    'image': 'docker://alpine:3',
    'env': {'A': 'b'},
    'files': [{'name': 'a/b', 'data': 'aGk=', 'target': '/etc/b'}],
    'entry_point': True,
    'pull_timeout_seconds': 60.0,
    'volumes': [VOLUME],
    'timeout_seconds': 5.0,
    'kill_grace_seconds': 0.0,
}
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*WHOLE, 'name', 'data', 'target']), inner)
    ),
    max_leaves=8,
)


def file(name: str, data: bytes = b'') -> dict[str, str]:
    return {'name': name, 'data': base64.b64encode(data).decode()}


def test_the_longest_variable_that_a_program_can_be_given_is_taken() -> None:
    value = 'x' * (TEXT_AT_MOST - 3)

    assert subprocess.run(['true'], env={**os.environ, 'A': value}, check=True).returncode == 0
    assert checked({**WHOLE, 'env': {'A': value}}).env == {'A': value}


def test_what_is_stored_is_what_was_given() -> None:
    assert checked(WHOLE).document() == WHOLE


def test_a_command_is_enough() -> None:
    work = checked({'command': ['true']})

    assert (work.command, work.image, work.files, work.timeout_seconds) == (('true',), '', (), None)
    assert checked(work.document()) == work


@pytest.mark.parametrize(
    ('wrong', 'why'),
    [
        ({'command': [], 'entry_point': False}, 'work.command names no program'),
        ({'command': [''], 'entry_point': False}, 'work.command names no program'),
        ({'entry_point': 1}, 'work.entry_point is neither'),
        ({'image': '', 'volumes': [], 'files': []}, 'work.entry_point is neither'),
        ({'image': '', 'volumes': []}, 'only a command with an image has files elsewhere'),
        ({'volumes': [{**VOLUME, 'target': '/etc/b'}]}, 'two have the same target'),
        ({'volumes': [{**VOLUME, 'target': '//etc/b'}]}, 'two have the same target'),
        ({'volumes': [{**VOLUME, 'target': '//'}]}, 'must be a plain absolute path'),
        ({'command': 'true'}, 'work.command is no list'),
        ({'command': ['a', 1]}, r'work.command\[1\] is no text'),
        ({'command': ['a\0b']}, r'work.command\[0\] has a character'),
        ({'command': ['\ud800']}, r'work.command\[0\] has a character'),
        ({'image': '-x'}, 'no name of an image'),
        ({'env': {'A=B': 'x'}}, 'no name of a variable'),
        ({'env': {'A': 1}}, 'work.env.A is no text'),
        ({'env': {'A': 'x' * (TEXT_AT_MOST - 2)}}, 'work.env.A is too long'),
        ({'env': {'A' * (TEXT_AT_MOST - 1): ''}}, 'work.env.A{100} is too long'),
        ({'command': ['\u00e9' * (TEXT_AT_MOST // 2)]}, r'work.command\[0\] is too long'),
        ({'files': [file('../a')]}, "must stay in the task's directory"),
        ({'files': [file('/a')]}, "must stay in the task's directory"),
        ({'files': [file('')]}, r'work.files\[0\].name is empty'),
        ({'files': [{'name': 'a', 'data': 'a'}]}, r'work.files\[0\].data is no base64'),
        ({'files': [{'name': 'a', 'data': 'ä==='}]}, r'work.files\[0\].data is no base64'),
        ({'files': [file('a'), file('a')]}, 'two have the same name'),
        ({'files': [file('a'), file('a/b')]}, 'one is the folder of another'),
        ({'files': [file('a', bytes(FILES_BYTES_AT_MOST)), file('b', b'x')]}, 'together they are longer'),
        ({'volumes': [{**VOLUME, 'source': 'data'}]}, r'work.volumes\[0\].source must be a plain absolute path'),
        ({'volumes': [{**VOLUME, 'source': '/data/../etc'}]}, 'must be a plain absolute path'),
        ({'volumes': [{**VOLUME, 'target': '/a:/b'}]}, r'work.volumes\[0\].target must be a plain absolute path'),
        ({'volumes': [VOLUME, VOLUME]}, 'two have the same target'),
        ({'image': ''}, 'only a command with an image has volumes'),
        ({'timeout_seconds': 0}, 'work.timeout_seconds is no number from 0'),
        ({'timeout_seconds': True}, 'work.timeout_seconds is no number from 0'),
        ({'timeout_seconds': float('nan')}, 'work.timeout_seconds is no number from 0'),
        ({'kill_grace_seconds': 3601}, 'work.kill_grace_seconds is no number from 0 to 3600'),
        ({'extra': 1}, "work has an unknown field 'extra'"),
    ],
)
def test_what_no_pilot_could_run_is_refused_with_its_place(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        checked({**WHOLE, **wrong})


@given(st.dictionaries(st.sampled_from(list(WHOLE)), anything) | anything)
def test_whatever_is_given_is_taken_or_refused_in_one_line(given: Any) -> None:
    try:
        work = checked(given)
    except InvalidRequest as error:
        assert '\n' not in str(error)
    else:
        assert checked(work.document()) == work


@given(st.binary(max_size=200))
def test_files_keep_every_byte(data: bytes) -> None:
    work = checked({'command': ['x'], 'files': [file('a', data)]})

    assert work.files[0].data == data
    assert work.document()['files'] == [file('a', data)]


def test_readers_see_names_and_no_values() -> None:
    seen = for_readers(WHOLE)

    assert seen == {**WHOLE, 'env': {'A': ''}, 'files': [{'name': 'a/b'}]}
