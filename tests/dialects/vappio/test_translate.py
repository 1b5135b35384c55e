"""Their words for all that we have."""

from typing import Any

import pytest

from iceprod_tasks.dialects.vappio.translate import MESSAGES, STATES, task_in_words
from iceprod_tasks.domain.statuses import STATUSES
from tests.dialects.vappio.conftest import at

STAMP = (1291329692).to_bytes(4) + bytes(8)
TASK: dict[str, Any] = {'name': 'tagData', 'status': 'processing', 'stamp': STAMP}


def test_there_is_a_word_for_every_status() -> None:
    assert set(STATES) == set(STATUSES)
    assert set(STATES.values()) == {'idle', 'running', 'failed', 'completed'}


@pytest.mark.parametrize(
    ('status', 'state'),
    [('idle', 'idle'), ('waiting', 'idle'), ('queued', 'idle'), ('reset', 'idle'), ('suspended', 'idle'),
     ('processing', 'running'), ('failed', 'failed'), ('complete', 'completed')],
)  # fmt: skip
def test_a_status_reads_as_their_state(status: str, state: str) -> None:
    assert task_in_words({**TASK, 'status': status})['state'] == state


def test_a_task_without_any_of_the_new_fields_is_as_new_as_its_stamp() -> None:
    assert task_in_words(TASK) == {
        'name': 'tagData-1291329692.0', 'tType': 'tagData', 'state': 'running', 'completedTasks': 0, 'numTasks': 1,
        'timestamp': 1291329692.0, 'messages': [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ('updated', 'message_at', 'timestamp'),
    [(5.25, None, 5.25), (5.25, 6.125, 6.125), (7.001, 6.125, 7.001), (None, 6.125, 6.125)],
)
def test_the_timestamp_is_that_of_the_last_change_or_message(
    updated: float | None, message_at: float | None, timestamp: float
) -> None:
    times = {'updated': updated, 'message_at': message_at}
    task = {**TASK, **{name: at(time) if time is not None else None for name, time in times.items()}}

    assert task_in_words(task)['timestamp'] == timestamp


def test_messages_have_their_keys_whatever_is_missing() -> None:
    when = at(1291329664.123)
    given = [
        {'mtype': 'notification', 'when': when, 'text': 'a'}, {'mtype': 'silent', 'when': when, 'text': 'b'},
        {'mtype': 'result', 'when': when, 'result': 'c'}, {'mtype': 'error', 'when': when, 'text': 'd'},
        {'mtype': 'error', 'when': when, 'text': 'e', 'name': 'Broken', 'stacktrace': 'f\ng'},
    ]  # fmt: skip

    messages = task_in_words({**TASK, 'messages': given})['messages']

    stamped = {'timestamp': 1291329664.123}
    assert messages == [
        {'mtype': 'notification', **stamped, 'text': 'a'}, {'mtype': 'silent', **stamped, 'text': 'b'},
        {'mtype': 'result', **stamped, 'result': 'c'},
        {'mtype': 'error', **stamped, 'text': 'd', 'stacktrace': '', 'name': ''},
        {'mtype': 'error', **stamped, 'text': 'e', 'stacktrace': 'f\ng', 'name': 'Broken'},
    ]  # fmt: skip


def test_there_are_four_types_of_messages() -> None:
    assert set(MESSAGES) == {'notification', 'silent', 'result', 'error'}
