"""What a service says of tasks is either understood or refused with its place."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iceprod_tasks.client import ServerError
from iceprod_tasks.client.task_records import read_tasks
from tests.client.task_service import a_task

NOTIFICATION = {'mtype': 'notification', 'timestamp': 1, 'text': 'a'}
ERROR = {'mtype': 'error', 'timestamp': 1.5, 'text': 'a', 'name': '', 'stacktrace': 'b'}
RESULT = {'mtype': 'result', 'timestamp': 1, 'result': 'a'}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
FIELDS = [*a_task()]
MESSAGE_FIELDS = ['mtype', 'timestamp', 'text', 'result', 'name', 'stacktrace']
MTYPES = st.sampled_from(['notification', 'silent', 'error', 'result', 'x']) | JSON


def test_tasks_are_kept_as_they_were_sent() -> None:
    tasks = [a_task(messages=[NOTIFICATION, ERROR, RESULT, {'mtype': 'new', 'timestamp': 1}], later='more')]

    assert read_tasks(tasks) == tasks


@pytest.mark.parametrize('data', [None, {}, 'x', 7, True], ids=json.dumps)
def test_what_is_no_list_is_refused(data: object) -> None:
    with pytest.raises(ServerError, match='not a list of tasks'):
        read_tasks(data)


@pytest.mark.parametrize('name', FIELDS)
def test_a_task_has_all_its_fields(name: str) -> None:
    task = a_task()
    del task[name]

    with pytest.raises(ServerError, match=f'^task 1 of the answer has no "{name}"$'):
        read_tasks([a_task(), task])


@pytest.mark.parametrize('name', FIELDS)
@pytest.mark.parametrize('value', [None, True, {}], ids=json.dumps)
def test_a_field_is_of_its_kind(name: str, value: object) -> None:
    with pytest.raises(ServerError, match=f'^"{name}" of task 0 of the answer is '):
        read_tasks([a_task(**{name: value})])


@pytest.mark.parametrize(
    ('message', 'words'),
    [
        ('x', 'message 0 of task 0 of the answer is not an object'),
        ({**NOTIFICATION, 'mtype': 1}, '"mtype" of message 0 of task 0 of the answer is a number'),
        ({**NOTIFICATION, 'timestamp': '1'}, '"timestamp" of message 0 of task 0 of the answer is a text'),
        ({**NOTIFICATION, 'text': []}, '"text" of message 0 of task 0 of the answer is a list'),
        ({**ERROR, 'stacktrace': None}, '"stacktrace" of message 0 of task 0 of the answer is null'),
        ({'mtype': 'silent', 'timestamp': 1}, 'message 0 of task 0 of the answer has no "text"'),
        ({'mtype': 'result', 'timestamp': 1, 'text': 'a'}, 'message 0 of task 0 of the answer has no "result"'),
    ],
)
def test_a_message_that_is_not_understood_is_refused_with_its_place(message: object, words: str) -> None:
    with pytest.raises(ServerError) as caught:
        read_tasks([a_task(messages=[message])])

    assert str(caught.value) == words


def test_an_error_needs_no_stacktrace() -> None:
    tasks = [a_task(messages=[{'mtype': 'error', 'timestamp': 1, 'text': 'a'}])]

    assert read_tasks(tasks) == tasks


@given(
    st.lists(
        JSON
        | st.builds(
            lambda fields, messages: a_task(**fields) | messages,
            st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=2),
            st.fixed_dictionaries(
                {},
                optional={
                    'messages': st.lists(
                        st.dictionaries(st.sampled_from(MESSAGE_FIELDS), JSON)
                        | st.fixed_dictionaries({'mtype': MTYPES})
                    )
                },
            ),
        )
    )
)
def test_nothing_else_happens_whatever_is_sent(data: list[Any]) -> None:
    try:
        found = read_tasks(data)
    except ServerError as error:
        assert '\n' not in str(error)
    else:
        assert found == data
