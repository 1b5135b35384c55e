"""Which messages a task keeps, and when they are said to have come: held against the same in plain Python."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from iceprod_tasks.domain.messages import KEPT_BYTES, MESSAGE_TYPES
from iceprod_tasks.domain.statuses import STATUSES, TRANSITIONS, Transition, set_status
from iceprod_tasks.domain.tasks import new_id
from iceprod_tasks.storage.messages import Speaker
from iceprod_tasks.storage.store import Store
from iceprod_tasks.storage.transitions import Note
from tests.conftest import DRIVER, Api
from tests.storage.test_transitions import stored

BOUND = 4
WORTH = {'error': 2, 'result': 2, 'notification': 1, 'silent': 0}
ERRORS = {'reset', 'fail', 'rescue', 'lose', 'give up', 'cancel'}
ROWS = [
    *TRANSITIONS.values(),
    *(row for target in STATUSES if (row := set_status(target, free=True)) is not None),
]

Message = dict[str, Any]

MESSAGES = st.builds(
    lambda mtype, number: {'mtype': mtype, 'text': '$$NOW', 'message_id': f'{number:032x}'},
    st.sampled_from(MESSAGE_TYPES),
    st.integers(0, 30),
)


@pytest_asyncio.fixture
async def bounded(api: Api, mongodb_url: str) -> AsyncIterator[Store]:
    store = Store(mongodb_url, api.database.name, DRIVER, messages_at_most=BOUND)
    yield store
    await store.close()


@pytest_asyncio.fixture(scope='session')
async def shared_bounded(shared_api: Api, mongodb_url: str) -> AsyncIterator[Store]:
    store = Store(mongodb_url, shared_api.database.name, DRIVER, messages_at_most=BOUND)
    yield store
    await store.close()


def kept(before: Sequence[Message], new: Sequence[Message]) -> list[Message]:
    """What a task keeps of what it has and what comes; the order is that of their coming."""
    known = {message['message_id'] for message in before}
    together = [*before, *(message for message in new if message['message_id'] not in known)]
    places = sorted(range(len(together)), key=lambda place: (WORTH[together[place]['mtype']], place))[-BOUND:]
    return [together[place] for place in sorted(places)]


@settings(deadline=None, max_examples=40)
@given(batches=st.lists(st.lists(MESSAGES, max_size=6, unique_by=lambda each: each['message_id']), max_size=6))
async def test_a_task_keeps_what_is_worth_most_and_newest(
    shared_api: Api, shared_bounded: Store, batches: list[list[Message]]
) -> None:
    task_id = await stored(shared_api, 'queued', blocked=False)
    model: list[Message] = []
    last = None

    for batch in batches:
        assert await shared_bounded.messages.add(Speaker(task_id), batch)
        model = kept(model, batch)

        told = await shared_bounded.messages.told(task_id)
        assert told is not None
        found = told.get('messages', [])
        times = [message['when'] for message in found]
        assert [{key: each[key] for key in ('mtype', 'text', 'message_id')} for each in found] == model
        assert all(later - earlier >= timedelta(milliseconds=1) for earlier, later in pairwise(times))
        # What has made room has taken its time with it: what comes later is later than that, too.
        before, last = last, (await shared_bounded.tasks.get(task_id) or {}).get('message_at', last)
        assert before is None or last >= before
        assert not times or times[-1] <= last


@pytest.mark.parametrize('row', ROWS, ids=lambda row: f'{row.name} to {row.target}')
async def test_a_transition_leaves_an_error_where_something_went_wrong(api: Api, row: Transition) -> None:
    ids = [await stored(api, min(row.sources), blocked=False) for _ in range(2)]

    await api.service.store.tasks.move_many(row, Note('ada', 'because of $$ROOT'), ids)

    for task_id in ids:
        task = await api.service.store.tasks.get(task_id)
        assert task is not None
        went_wrong = row.name in ERRORS or (row.name == 'override' and row.target in ('reset', 'failed'))
        told = [(each['mtype'], each['text'], each['name'], each['who']) for each in task.get('messages', ())]
        assert told == ([('error', 'because of $$ROOT', row.name, 'ada')] if went_wrong else [])
        assert task['steps'] == (
            {'completed': 1, 'total': 1} if row.target == 'complete' else {'completed': 0, 'total': 1}
        )


async def test_a_transition_without_a_reason_leaves_its_name(api: Api) -> None:
    task_id = await stored(api, 'queued', blocked=False)

    await api.service.store.tasks.move_one(TRANSITIONS['cancel'], Note(), task_id)

    (told,) = (await api.service.store.messages.told(task_id) or {})['messages']
    assert (told['text'], told['name'], told['stacktrace'], told['epoch']) == ('cancel', 'cancel', '', 0)


async def test_the_bound_holds_for_what_transitions_leave(api: Api, bounded: Store) -> None:
    task_id = await stored(api, 'queued', blocked=False)
    reset = set_status('reset', free=True)
    assert reset is not None
    await bounded.messages.add(Speaker(task_id), [{'message_id': new_id(), 'mtype': 'notification', 'text': 'n'}])

    for number in range(BOUND + 1):
        await bounded.tasks.move_one(reset, Note('', str(number)), task_id)

    told = await bounded.messages.told(task_id)
    assert told is not None
    assert [each['text'] for each in told['messages']] == ['1', '2', '3', '4']
    assert told['message_count'] == BOUND + 2


async def test_nothing_older_takes_the_place_of_a_long_one_that_had_to_go(api: Api) -> None:
    task_id = await stored(api, 'queued', blocked=False)
    long = 'x' * (KEPT_BYTES * 2 // 3)
    texts = ['short', f'first {long}', f'second {long}']

    for text in texts:
        said = {'message_id': new_id(), 'mtype': 'notification', 'text': text}
        assert await api.service.store.messages.add(Speaker(task_id), [said])

    told = await api.service.store.messages.told(task_id)
    assert told is not None
    assert [each['text'] for each in told['messages']] == texts[2:]
