"""What is said of a task is kept with it, in the order of strictly rising times, and nothing of it is lost."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from iceprod_tasks.domain.messages import KEPT_AT_MOST, KEPT_BYTES, MESSAGE_TYPES
from tests.conftest import Answer, Api
from tests.dialects.vappio.conftest import serving
from tests.rest.test_outputs import LATER, MINE, claimed

ID = 'a' * 32
ERROR = {'mtype': 'error', 'text': 'it broke', 'name': 'OSError', 'stacktrace': 'line 1\nline 2'}


async def say(api: Api, task_id: str, mtype: str = 'notification', **fields: Any) -> Answer:
    words = {} if fields.keys() & {'text', 'result'} else {'result' if mtype == 'result' else 'text': 'hello'}
    return await api('POST', f'/tasks/{task_id}/messages', {'mtype': mtype, **words, **fields})


async def messages(api: Api, task_id: str, **query: Any) -> list[dict[str, Any]]:
    answer = await api('GET', f'/tasks/{task_id}/messages', params=query)
    assert answer.status == 200, answer.text
    found: list[dict[str, Any]] = answer.body['messages']
    return found


async def texts(api: Api, task_id: str, **query: Any) -> list[str]:
    return [message.get('text', message.get('result')) for message in await messages(api, task_id, **query)]


def times(told: list[dict[str, Any]]) -> list[datetime]:
    return [datetime.fromisoformat(message['timestamp']) for message in told]


def rise(told: list[dict[str, Any]]) -> bool:
    """Whether each is a millisecond later than the one before, or more."""
    return all(later - earlier >= timedelta(milliseconds=1) for earlier, later in pairwise(times(told)))


# What is posted.


async def test_a_message_is_read_as_it_was_posted(api: Api) -> None:
    task_id = await api.add_task()

    answers = [
        await say(api, task_id, 'notification', text='begins'),
        await say(api, task_id, 'silent', text='x = 3'),
        await api('POST', f'/tasks/{task_id}/messages', ERROR),
        await say(api, task_id, 'result', result='42'),
    ]

    told = await messages(api, task_id)
    assert [answer.status for answer in answers] == [201] * 4
    assert [answer.body['result'] for answer in answers] == [message['message_id'] for message in told]
    common = ('task_id', 'message_id', 'timestamp', 'when', 'who', 'epoch')
    assert [{key: value for key, value in message.items() if key not in common} for message in told] == [
        {'mtype': 'notification', 'text': 'begins'}, {'mtype': 'silent', 'text': 'x = 3'}, ERROR,
        {'mtype': 'result', 'result': '42'},
    ]  # fmt: skip
    assert {message['who'] for message in told} == {'root'}
    assert rise(told)


async def test_an_error_without_name_and_trace_has_empty_ones(api: Api) -> None:
    task_id = await api.add_task()

    await say(api, task_id, 'error', text='it broke')

    (told,) = await messages(api, task_id)
    assert (told['text'], told['name'], told['stacktrace']) == ('it broke', '', '')


@pytest.mark.parametrize(
    ('body', 'error'),
    [
        ({}, 'missing key: mtype'),
        ({'mtype': 'notification'}, 'a message of type notification needs a "text"'),
        ({'mtype': 'result', 'text': 'x'}, 'a message of type result needs a "result"'),
        ({'mtype': 'result', 'text': 'x', 'result': 'x'}, 'a message of type result has no "text"'),
        ({'mtype': 'silent', 'text': 'x', 'name': 'x'}, 'a message of type silent has no "name"'),
        ({'mtype': 'error', 'text': 'x', 'result': 'x'}, 'a message of type error has no "result"'),
        ({'mtype': 'info', 'text': 'x'}, 'mtype should be notification, silent, error or result'),
        ({'mtype': 'silent', 'text': 5}, "key text should be of type <class 'str'>"),
    ],
)
async def test_a_message_whose_fields_do_not_go_together_is_400(api: Api, body: dict[str, Any], error: str) -> None:
    task_id = await api.add_task()

    answer = await api('POST', f'/tasks/{task_id}/messages', body)

    assert (answer.status, answer.body['error']) == (400, error)
    assert await messages(api, task_id) == []


async def test_a_text_that_is_too_long_is_400(api: Api) -> None:
    task_id = await api.add_task()

    assert (await say(api, task_id, text='x' * 16_384)).status == 201
    assert (await say(api, task_id, text='x' * 16_385)).status == 400


async def test_the_same_message_again_leaves_no_other(api: Api) -> None:
    task_id = await api.add_task()

    first = await say(api, task_id, text='once', message_id=ID)
    again = await say(api, task_id, text='once', message_id=ID)
    keyed = [
        await api('POST', f'/tasks/{task_id}/messages', {'mtype': 'silent', 'text': 'by key'}, headers=KEY)
        for _ in range(2)
    ]

    assert first.body == again.body == {'result': ID}
    assert keyed[0].body == keyed[1].body
    assert await texts(api, task_id) == ['once', 'by key']


KEY = {'Idempotency-Key': 'said-once-0123456789'}


async def test_messages_do_not_show_in_the_task(api: Api) -> None:
    task_id = await api.add_task()

    await say(api, task_id)

    shown = [await api.task(task_id), (await api('GET', '/tasks')).body['tasks'][-1]]
    assert not {'messages', 'message_at', 'message_count'} & {key for task in shown for key in task}


async def test_nobody_sets_them_with_the_task(api: Api) -> None:
    task_id = await api.add_task(messages=[{'mtype': 'error'}], message_count=3)

    patched = await api('PATCH', f'/tasks/{task_id}', {'messages': []})

    assert await messages(api, task_id) == []
    assert (patched.status, patched.body['error']) == (400, 'key messages cannot be changed')


# Who may.


async def test_a_pilot_speaks_of_what_it_holds_and_of_nothing_else(api: Api) -> None:
    pilot, stranger = api.as_('pilot', 'p1'), api.as_('pilot', 'p2')
    mine = await claimed(pilot, task_id=await api.add_task())
    other = await api.add_task()

    answers = [
        await say(pilot, mine), await say(pilot, mine, claim_id=MINE, epoch=1), await say(pilot, mine, claim_id=LATER),
        await say(pilot, other), await say(pilot, 'nothing'), await say(stranger, mine),
        await say(stranger, mine, claim_id=MINE),
    ]  # fmt: skip

    assert [answer.status for answer in answers] == [201, 201, 409, 403, 403, 403, 403]
    assert len(await messages(api, mine)) == 2


async def test_a_pilot_says_no_more_once_its_claim_is_over(api: Api) -> None:
    pilot = api.as_('pilot', 'p1')
    task_id = await claimed(pilot, task_id=await api.add_task())
    await pilot('POST', f'/tasks/{task_id}/task_actions/complete', {'claim_id': MINE})

    assert (await say(pilot, task_id)).status == 409
    assert (await pilot('POST', f'/tasks/{task_id}/progress', {'completed': 1})).status == 409
    assert await messages(api, task_id) == []


async def test_users_read_messages_and_write_none(api: Api) -> None:
    task_id = await api.add_task()

    answers = [await say(api.as_(role), task_id) for role in ('user', 'system')]

    assert [answer.status for answer in answers] == [403, 201]


@pytest.mark.parametrize('method', ['GET', 'POST'])
async def test_a_task_that_is_not_there_is_404(api: Api, method: str) -> None:
    body = {'mtype': 'silent', 'text': 'x'} if method == 'POST' else None

    answer = await api(method, '/tasks/nothing/messages', body)

    assert (answer.status, answer.body['error']) == (404, 'Task not found')


# Time.


async def test_after_leads_to_what_is_later_and_misses_nothing(api: Api) -> None:
    task_id = await api.add_task()
    for number in range(5):
        await say(api, task_id, text=str(number))
    told = await messages(api, task_id)

    later = [await texts(api, task_id, after=message['timestamp']) for message in told]

    assert later == [['1', '2', '3', '4'], ['2', '3', '4'], ['3', '4'], ['4'], []]


async def test_a_clock_that_goes_back_does_not_take_the_times_along(api: Api) -> None:
    task_id = await api.add_task()
    await say(api, task_id, text='first')
    ahead = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    await api.database.tasks.update_one({'task_id': task_id}, {'$set': {'message_at': ahead}})

    await say(api, task_id, text='second')
    await api('PUT', f'/tasks/{task_id}/status', {'status': 'failed'})

    told = await messages(api, task_id)
    assert [time - ahead.replace(tzinfo=None) for time in times(told)[1:]] == [
        timedelta(milliseconds=1), timedelta(milliseconds=2),
    ]  # fmt: skip


async def test_types_and_numbers_choose(api: Api) -> None:
    task_id = await api.add_task()
    for mtype in MESSAGE_TYPES * 2:
        await say(api, task_id, mtype)

    assert [each['mtype'] for each in await messages(api, task_id, mtype='silent|result')] == ['silent', 'result'] * 2
    assert len(await messages(api, task_id, limit=3)) == 3
    for wrong in ({'mtype': 'loud'}, {'after': 'now'}, {'limit': '-1'}):
        assert (await api('GET', f'/tasks/{task_id}/messages', params=wrong)).status == 400


# All at once.


async def test_what_is_said_at_once_is_all_kept_in_one_order(api: Api) -> None:
    task_id = await api.add_task()

    async def work(number: int) -> None:
        for place in range(2):
            await say(api, task_id, text=f'{number} {place}')
            await api('POST', f'/tasks/{task_id}/progress', {'add': 1})

    await asyncio.gather(*(work(number) for number in range(100)))

    told = await messages(api, task_id)
    assert sorted(message['text'] for message in told) == sorted(f'{n} {place}' for n in range(100) for place in (0, 1))
    assert rise(told)
    assert (await api.task(task_id))['steps'] == {'completed': 200, 'total': 1}


async def test_a_hundred_processes_lose_nothing_of_what_they_say(api: Api) -> None:
    task_id = await api.add_task()
    head = ['-H', f'Authorization: Bearer {api.token("admin")}', '-H', 'Content-Type: application/json']

    async def work(number: int) -> None:
        said = json.dumps({'mtype': 'silent', 'text': str(number)})
        requests = [('messages', said), ('progress', '{"add": 1}')]
        asked = [['-sSf', *head, '-d', body, f'{api.url}/tasks/{task_id}/{what}'] for what, body in requests]
        process = await asyncio.create_subprocess_exec(
            'curl', *asked[0], '--next', *asked[1], stdout=asyncio.subprocess.DEVNULL
        )
        assert await process.wait() == 0

    await asyncio.gather(*(work(number) for number in range(100)))

    told = await messages(api, task_id)
    assert sorted(int(message['text']) for message in told) == list(range(100))
    assert rise(told)
    assert (await api.task(task_id))['steps']['completed'] == 100


async def test_who_reads_behind_the_last_time_misses_none_that_comes_meanwhile(api: Api) -> None:
    task_id = await api.add_task()
    done, read = asyncio.Event(), []

    async def write() -> None:
        await asyncio.gather(*(say(api, task_id, text=str(number)) for number in range(150)))
        done.set()

    async def follow() -> None:
        last: dict[str, str] = {}
        while True:
            over = done.is_set()
            for message in await messages(api, task_id, **last):
                read.append(message['text'])
                last = {'after': message['timestamp']}
            if over:
                return

    await asyncio.gather(write(), follow())

    assert sorted(read) == sorted(map(str, range(150)))


# How many.


async def test_the_oldest_silent_ones_make_room_first_then_notifications(api: Api) -> None:
    task_id = await api.add_task()
    first = [('error', 'e'), ('silent', 's0'), ('notification', 'n0'), ('silent', 's1'), ('notification', 'n1')]
    for mtype, text in first:
        await say(api, task_id, mtype, text=text)
    for number in range(KEPT_AT_MOST - 4):
        await say(api, task_id, 'result', result=str(number))
    one_too_many = await texts(api, task_id)

    await say(api, task_id, text='n2')
    await say(api, task_id, text='n3')

    assert one_too_many[:4] == ['e', 'n0', 's1', 'n1']
    assert (await texts(api, task_id))[:2] == ['e', 'n1']
    assert (await texts(api, task_id))[-2:] == ['n2', 'n3']
    answer = await api('GET', f'/tasks/{task_id}/messages')
    assert (len(answer.body['messages']), answer.body['dropped']) == (KEPT_AT_MOST, 3)


async def test_long_ones_make_room_before_they_are_too_many(api: Api) -> None:
    task_id = await api.add_task()
    text = 'é' * 16_384

    for number in range(40):
        await say(api, task_id, text=f'{number}{text}'[:16_384])

    kept = await texts(api, task_id)
    assert [each[: each.index('é')] for each in kept] == [str(number) for number in range(40 - len(kept), 40)]
    assert KEPT_BYTES - 40_000 < sum(len(each.encode()) for each in kept) <= KEPT_BYTES


async def test_operators_say_how_many(mongodb_url: str, database_name: str) -> None:
    async with serving(mongodb_url, database_name, max_messages=2) as api:
        task_id = await api.add_task()
        for number in range(4):
            await say(api, task_id, text=str(number))

        assert await texts(api, task_id) == ['2', '3']


# What reports and changes of the status leave.


async def test_a_success_leaves_a_result_and_all_that_the_report_brought(api: Api) -> None:
    task_id = await claimed(api)
    await say(api, task_id, text='soon')

    body = {'claim_id': MINE, 'exit_code': 0, 'stdout': 'x' * 5000 + '\n42\n', 'time_used': 3.5}
    await api('POST', f'/tasks/{task_id}/task_actions/complete', body)

    _, told = await messages(api, task_id)
    assert (told['mtype'], told['action'], told['exit_code'], told['time_used']) == ('result', 'complete', 0, 3.5)
    assert told['stdout'] == body['stdout']
    assert told['result'] == 'x' * 4093 + '\n42'
    assert rise(await messages(api, task_id))


@pytest.mark.parametrize(('action', 'name'), [('reset', 'reset'), ('failed', 'fail')])
async def test_a_failed_try_leaves_an_error(api: Api, action: str, name: str) -> None:
    task_id = await claimed(api)

    body = {'claim_id': MINE, 'reason': 'exit code 3', 'exit_code': 3, 'stderr': 'Traceback\nOSError\n'}
    for _ in range(2):
        assert (await api('POST', f'/tasks/{task_id}/task_actions/{action}', body)).status == 200

    (told,) = await messages(api, task_id)
    assert {key: told[key] for key in ('mtype', 'text', 'name', 'stacktrace', 'epoch')} == {
        'mtype': 'error', 'text': 'exit code 3', 'name': name, 'stacktrace': 'Traceback\nOSError', 'epoch': 1,
    }  # fmt: skip


async def test_behind_a_report_s_message_the_report_does_not_come_once_more(api: Api) -> None:
    task_id = await claimed(api)
    await api('POST', f'/tasks/{task_id}/task_actions/reset', {'claim_id': MINE, 'reason': 'it broke', 'stderr': 'x'})
    (told,) = await messages(api, task_id)

    assert await messages(api, task_id, after=told['timestamp']) == []
    assert await messages(api, task_id, mtype='result') == []


@pytest.mark.parametrize(('said', 'text'), [({'exit_code': 0}, 'exit code 0'), ({}, 'reset')])
async def test_an_error_without_a_reason_has_the_exit_code_or_what_was_done(
    api: Api, said: dict[str, int], text: str
) -> None:
    task_id = await claimed(api)

    await api('POST', f'/tasks/{task_id}/task_actions/reset', {'claim_id': MINE, **said})

    (told,) = await messages(api, task_id)
    assert told['text'] == text


async def test_reports_that_come_together_leave_their_own(api: Api) -> None:
    ids = [await api.add_task() for _ in range(3)]
    batch = await api('POST', '/task_actions/process', {'claim_id': MINE, 'num_tasks': 3})
    reports = [
        {'task_id': task['task_id'], 'claim_id': task['claim_id'], 'action': 'reset', 'reason': f'r{place}',
         'stderr': f's{place}'}
        for place, task in enumerate(batch.body['tasks'])
    ]  # fmt: skip

    await api('POST', '/task_actions/report', {'reports': reports})

    told = [(await messages(api, report['task_id']))[0] for report in reports]
    assert len(ids) == 3
    assert [(each['text'], each['stacktrace']) for each in told] == [(f'r{n}', f's{n}') for n in range(3)]


async def test_a_report_that_says_nothing_leaves_nothing_beside_others_that_do(api: Api) -> None:
    for _ in range(4):
        await api.add_task()
    batch = await api('POST', '/task_actions/process', {'claim_id': MINE, 'num_tasks': 4})
    reports = [
        {'task_id': task['task_id'], 'claim_id': task['claim_id'], 'action': 'complete'}
        | ({'stdout': f'{place}'} if place % 2 else {})
        for place, task in enumerate(batch.body['tasks'])
    ]

    await api('POST', '/task_actions/report', {'reports': reports})

    told = [[each['result'] for each in await messages(api, report['task_id'])] for report in reports]
    assert told == [[], ['1'], [], ['3']]


async def test_a_task_that_is_handed_back_leaves_a_notification(api: Api) -> None:
    task_id = await claimed(api)

    await api('POST', f'/tasks/{task_id}/task_actions/hand_back', {'claim_id': MINE, 'reason': 'told to stop'})

    (told,) = await messages(api, task_id)
    assert (told['mtype'], told['text'], told['action']) == ('notification', 'told to stop', 'hand back')


@pytest.mark.parametrize('status', ['failed', 'reset'])
async def test_a_status_set_by_hand_leaves_an_error(api: Api, status: str) -> None:
    ids = [await api.add_task() for _ in range(2)]

    await api('PUT', f'/tasks/{ids[0]}/status', {'status': status})
    await api('POST', f'/task_actions/bulk_status/{status}', {'tasks': ids[1:]})

    for task_id in ids:
        (told,) = await messages(api, task_id)
        assert (told['mtype'], told['text'], told['name'], told['who']) == ('error', 'set by hand', 'override', 'root')


async def test_messages_of_the_release_before_are_still_read(api: Api) -> None:
    task_id = await api.add_task()
    when = datetime(2026, 11, 1, 12, tzinfo=UTC)
    report = {'message_id': ID, 'task_id': task_id, 'dataset_id': 'd1', 'mtype': 'error', 'action': 'reset'}
    words = {'reason': 'it broke', 'exit_code': 1, 'stdout': '', 'stderr': 'a trace\n', 'epoch': 1, 'when': when}
    await api.database.messages.insert_one({**report, **words})
    await say(api, task_id, text='of this release')

    told, newer = await messages(api, task_id)

    assert (told['text'], told['name'], told['stacktrace']) == ('it broke', 'reset', 'a trace')
    assert newer['text'] == 'of this release'
    assert told['timestamp'] == told['when'] == '2026-11-01T12:00:00.000000'


async def test_a_report_whose_message_has_made_room_does_not_come_back(api: Api) -> None:
    task_id = await claimed(api)
    await api('POST', f'/tasks/{task_id}/task_actions/reset', {'claim_id': MINE, 'reason': 'it broke'})
    await api.database.tasks.update_one({'task_id': task_id}, {'$set': {'messages': []}})

    answer = await api('GET', f'/tasks/{task_id}/messages')

    assert answer.body == {'messages': [], 'dropped': 1}


@pytest.mark.parametrize(('then', 'mtype'), [('suspend', 'notification'), ('cancel', 'error')])
@pytest.mark.parametrize('report', ['reset', 'hand_back'])
async def test_a_try_that_was_stopped_leaves_an_error_only_where_that_is_its_end(
    api: Api, then: str, mtype: str, report: str
) -> None:
    dataset_id = await api.add_dataset([{'name': 'gen', 'command': 'true'}])
    task_id = await claimed(api, task_id=await api.add_task(dataset_id=dataset_id))
    await api('POST', f'/datasets/{dataset_id}/task_actions/{then}', {'tasks': [task_id]})

    await api('POST', f'/tasks/{task_id}/task_actions/{report}', {'claim_id': MINE, 'reason': 'asked to stop'})

    (told,) = await messages(api, task_id)
    assert (told['mtype'], told['text']) == (mtype, 'asked to stop')


# How far it is.


async def test_steps_begin_at_none_of_one_and_are_complete_at_the_end(api: Api) -> None:
    task_id = await claimed(api)
    begun = (await api.task(task_id))['steps']

    answer = await api('POST', f'/tasks/{task_id}/progress', {'completed': 2, 'total': 7})
    more = await api('POST', f'/tasks/{task_id}/progress', {'add': 2})
    await api('POST', f'/tasks/{task_id}/task_actions/complete', {'claim_id': MINE})

    assert begun == {'completed': 0, 'total': 1}
    assert (answer.status, answer.body) == (200, {'completed': 2, 'total': 7})
    assert more.body == {'completed': 4, 'total': 7}
    assert (await api.task(task_id))['steps'] == {'completed': 7, 'total': 7}


@pytest.mark.parametrize(
    ('body', 'steps'),
    [
        ({'completed': 0, 'total': 0}, (0, 0)),
        ({'completed': 3, 'total': 2}, (3, 2)),
        ({'total': 5}, (0, 5)),
        ({'completed': 1}, (1, 1)),
        ({'add': 10**15, 'total': 10**15}, (10**15, 10**15)),
    ],
)
async def test_any_steps_can_be_said(api: Api, body: dict[str, int], steps: tuple[int, int]) -> None:
    task_id = await api.add_task()

    answer = await api('POST', f'/tasks/{task_id}/progress', body)

    assert (answer.body['completed'], answer.body['total']) == steps
    assert (await api.task(task_id))['steps'] == answer.body


@pytest.mark.parametrize('body', [{}, {'completed': 1, 'add': 1}, {'completed': -1}, {'total': 1.5}, {'total': 'x'}])
async def test_steps_that_cannot_be_are_400(api: Api, body: dict[str, Any]) -> None:
    task_id = await api.add_task()

    answer = await api('POST', f'/tasks/{task_id}/progress', body)

    assert answer.status == 400
    assert (await api.task(task_id))['steps'] == {'completed': 0, 'total': 1}


async def test_progress_with_a_key_is_made_once(api: Api) -> None:
    task_id = await api.add_task()

    for _ in range(3):
        await api('POST', f'/tasks/{task_id}/progress', {'add': 1}, headers=KEY)

    assert (await api.task(task_id))['steps']['completed'] == 1


async def test_steps_have_an_end(api: Api) -> None:
    task_id = await api.add_task()

    for _ in range(2):
        answer = await api('POST', f'/tasks/{task_id}/progress', {'add': 10**15})

    assert answer.body['completed'] == 10**15


async def test_the_task_is_changed_by_what_is_said_of_it(api: Api) -> None:
    task_id = await api.add_task()
    seen = [(await api.task(task_id))['updated']]

    await say(api, task_id)
    seen.append((await api.task(task_id))['updated'])
    await api('POST', f'/tasks/{task_id}/progress', {'add': 1})
    seen.append((await api.task(task_id))['updated'])

    assert seen == sorted(set(seen))


# Heartbeats.


async def test_heartbeats_bring_messages_each_of_them_once(api: Api) -> None:
    task_id = await claimed(api.as_('pilot', 'p1'), task_id=await api.add_task())
    said = [{'mtype': 'silent', 'text': str(number), 'message_id': f'{number:032x}'} for number in range(3)]
    beat = f'/tasks/{task_id}/task_actions/heartbeat'

    for some in (said[:2], said):
        body = {'claim_id': MINE, 'messages': some, 'progress': {'completed': 1, 'total': 0}}
        assert (await api.as_('pilot', 'p1')('POST', beat, body)).status == 200

    assert await texts(api, task_id) == ['0', '1', '2']
    assert rise(await messages(api, task_id))
    assert (await api.task(task_id))['steps'] == {'completed': 1, 'total': 0}


async def test_a_heartbeat_with_a_wrong_message_is_400_and_changes_nothing(api: Api) -> None:
    task_id = await claimed(api)
    wrong = [{'mtype': 'result', 'text': 'x', 'message_id': ID}]

    answer = await api(
        'POST', f'/tasks/{task_id}/task_actions/heartbeat', {'claim_id': MINE, 'messages': wrong, 'phase': 'running'}
    )

    assert answer.status == 400
    assert (await api.task(task_id))['phase'] == ''


# A dataset's.


async def test_a_dataset_s_messages_come_in_the_order_of_time(api: Api) -> None:
    ids = [await api.add_task(job_index=place) for place in range(3)]
    await say(api, await api.add_task(dataset_id='d2'), text='of another dataset')
    for round_ in range(2):
        for place in (2, 0, 1):
            await say(
                api, ids[place], 'error' if place else 'result', **{'text' if place else 'result': f'{round_}{place}'}
            )

    told = (await api('GET', '/datasets/d1/messages')).body['messages']
    errors = (await api('GET', '/datasets/d1/messages', params={'mtype': 'error', 'after': told[2]['timestamp']})).body

    assert [each.get('text', each.get('result')) for each in told] == ['02', '00', '01', '12', '10', '11']
    assert [each['task_id'] for each in told[:3]] == [ids[2], ids[0], ids[1]]
    assert [each['text'] for each in errors['messages']] == ['12', '11']


async def test_pages_of_a_dataset_s_messages_miss_none_of_one_moment(api: Api) -> None:
    ids = [await api.add_task() for _ in range(5)]
    await say(api, ids[0], text='before')
    await api('POST', '/task_actions/bulk_status/failed', {'tasks': ids})
    await say(api, ids[4], text='after')
    pages, query = [], {'limit': 2}

    while page := (await api('GET', '/datasets/d1/messages', params=query)).body['messages']:
        pages.append([message['text'] for message in page])
        query['after'] = page[-1]['timestamp']

    # One update has one time for all of its tasks.
    assert pages == [['before', *['set by hand'] * 5], ['after']]
