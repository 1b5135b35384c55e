"""Operations: one a task, and what each does to the task."""

import asyncio
from collections import Counter
from datetime import UTC
from typing import Any

import pytest

from iceprod_tasks.actions.create_work import External
from iceprod_tasks.actions.maintain import set_maintenance
from iceprod_tasks.actions.operate import Killing, create, forget, history, kill
from iceprod_tasks.actions.register import drain_as_leader
from iceprod_tasks.domain.errors import (
    AlreadyNamed,
    InvalidRequest,
    NotEnded,
    NotFound,
    NothingToKill,
    NotLeader,
    OperationActive,
)
from iceprod_tasks.domain.operations import OperationSpec
from iceprod_tasks.domain.times import read_time
from tests.actions.operated import (
    ANN,
    NAME,
    SPEC,
    another_leads,
    claimed,
    killed,
    made,
    operations,
    origin,
    report,
    wanted,
)
from tests.conftest import Api


async def test_a_task_that_is_created_is_queued_with_its_operation(api: Api) -> None:
    task_id = await made(api)

    task = await api.task(task_id)
    [operation] = [each async for each in api.database.operations.find({}, {'_id': False})]
    assert (task['status'], task['external']) == ('queued', NAME.document())
    assert (operation['deadline'] - operation['accepted']).total_seconds() == 60
    wait = {key: operation[key] for key in ('type', 'task_id', 'who', 'active', 'outcome', 'epoch', 'ended')}
    assert wait == {
        'type': 'create', 'task_id': task_id, 'who': 'ann', 'active': True, 'outcome': '', 'epoch': 0, 'ended': None,
    }  # fmt: skip
    assert operation['spec'] == {'timeout_seconds': 60.0, 'parallelism': 1, 'failure_strategy': 'STOP'}
    assert operation['term'] >= 1


@pytest.mark.parametrize('how', ['queued', 'complete', 'failed'])
async def test_a_twin_is_refused_in_whatever_state_the_task_is(api: Api, how: str) -> None:
    task_id = await made(api)
    if how != 'queued':
        await report(api, await claimed(api), how if how == 'failed' else 'complete')

    with pytest.raises(AlreadyNamed, match=task_id):
        await made(api)

    assert await api.database.tasks.count_documents({}) == 1
    assert await api.database.operations.count_documents({}) == 1


async def test_of_many_creations_at_once_one_is_made(api: Api) -> None:
    found = await asyncio.gather(*(made(api) for _ in range(8)), return_exceptions=True)

    assert Counter(type(each) for each in found) == {str: 1, AlreadyNamed: 7}
    assert await operations(api) == [('create', True, '')]


async def test_a_request_that_is_worked_on_again_meets_what_it_has_made(api: Api) -> None:
    first = origin()
    task_id = await create(api.service, ANN, wanted(), SPEC, first)

    again = await create(api.service, ANN, wanted(), SPEC, type(first)(first.seed, first.began))

    assert again == task_id
    assert await operations(api) == [('create', True, '')]


async def test_a_kill_that_is_worked_on_again_is_one(api: Api) -> None:
    await made(api)
    await claimed(api)
    first = origin()
    wish = Killing(NAME, SPEC)
    await kill(api.service, ANN, wish, first)

    await kill(api.service, ANN, wish, type(first)(first.seed, first.began))

    assert [each[0] for each in await operations(api)] == ['create', 'kill']


async def test_a_task_that_waits_is_killed_at_once_and_its_creation_is_superseded(api: Api) -> None:
    task_id = await made(api)

    await killed(api, 'not needed')

    task = await api.task(task_id)
    assert (task['status'], task['outcome']['result'], task['outcome']['message']) == (
        'failed', 'cancelled', 'not needed',
    )  # fmt: skip
    assert await operations(api) == [('create', False, 'superseded'), ('kill', False, 'done')]


async def test_a_task_that_runs_is_killed_by_its_pilot(api: Api) -> None:
    task_id = await made(api)
    claim = await claimed(api)

    await killed(api, 'too late')

    task = await api.task(task_id)
    assert task['status'] == 'processing'
    assert (task['stop']['then'], task['stop']['who'], task['stop']['why']) == ('cancel', 'ann', 'too late')
    # Its own grace beside the service's 30 seconds.
    [operation] = [each async for each in api.database.operations.find({'type': 'kill'})]
    deadline = read_time(task['stop']['deadline'], 'deadline')
    assert abs((deadline - operation['accepted'].replace(tzinfo=UTC)).total_seconds() - 37) < 5
    assert await operations(api) == [('create', False, 'done'), ('kill', True, '')]
    await report(api, claim, 'hand_back', reason='called off')
    assert (await api.task(task_id))['outcome']['result'] == 'cancelled'


async def test_a_second_kill_is_refused_while_the_first_goes_on(api: Api) -> None:
    await made(api)
    await claimed(api)
    await killed(api)

    with pytest.raises(OperationActive):
        await killed(api)

    assert [each[0] for each in await operations(api)] == ['create', 'kill']


async def test_of_many_kills_at_once_one_wins(api: Api) -> None:
    await made(api)
    await claimed(api)

    found = await asyncio.gather(*(killed(api, f'kill {n}') for n in range(8)), return_exceptions=True)

    assert Counter(type(each) for each in found) == {str: 1, OperationActive: 7}
    assert [each for each in await operations(api) if each[1]] == [('kill', True, '')]


async def test_a_kill_and_a_claim_at_once_leave_nothing_running_unasked(api: Api) -> None:
    for number in range(12):
        name = External('drove', 'race', str(number))
        task_id = await made(api, external=name)
        offer = {'requirements': {'cpu': 1, 'work': True}, 'claim_id': f'{number:032x}', 'lease_seconds': 60}
        claim = api.as_('pilot', 'p')('POST', '/task_actions/process', offer)

        await asyncio.gather(claim, killed(api, name=name))

        task = await api.task(task_id)
        stopping = task['status'] == 'processing' and task['stop']['then'] == 'cancel'
        assert stopping or task['status'] == 'failed', task['status']


@pytest.mark.parametrize('ended', [False, True])
async def test_what_is_unknown_or_has_ended_is_not_killed(api: Api, ended: bool) -> None:
    if ended:
        await made(api)
        await report(api, await claimed(api), 'complete')

    with pytest.raises(NothingToKill):
        await killed(api)


@pytest.mark.parametrize(
    'spec',
    [
        OperationSpec(0.0),
        OperationSpec(-1.0),
        OperationSpec(31 * 86400.0),
        OperationSpec(60.0, 0),
        OperationSpec(60.0, 33),
        OperationSpec(60.0, 1, 'ROLLBACK'),
    ],
)
async def test_specs_out_of_bounds_change_nothing(api: Api, spec: OperationSpec) -> None:
    await made(api)

    for refused in (made(api, spec, external=External('drove', 'A', '2')), killed(api, spec=spec)):
        with pytest.raises(InvalidRequest):
            await refused

    assert await operations(api) == [('create', True, '')]
    assert await api.database.tasks.count_documents({'status': 'queued'}) == 1


async def test_a_reason_is_bounded(api: Api) -> None:
    await made(api)
    with pytest.raises(InvalidRequest):
        await killed(api, 'x' * 1001)


async def test_nothing_is_operated_on_by_who_does_not_lead(api: Api) -> None:
    await made(api)

    async with another_leads(api):
        for refused in (made(api, external=External('drove', 'A', '2')), killed(api)):
            with pytest.raises(NotLeader):
                await refused

    assert await operations(api) == [('create', True, '')]
    assert await api.database.tasks.count_documents({}) == 1


async def test_who_leads_no_more_leaves_nothing_of_what_was_begun(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await made(api)
    await report(api, await claimed(api), 'complete')
    there = ('tasks', 'datasets', 'auths', 'users', 'counters', 'operations', 'pilots', 'maintenance')
    entry = {'queue_host': 'h', 'queue_version': '1', 'resources': {}}
    pilot_id = (await api.as_('pilot', 'p')('POST', '/pilots', entry)).body['result']
    before = {name: [each async for each in api.database[name].find()] for name in there}
    # It believes in its lease, as one that was frozen after the look at it.
    monkeypatch.setattr(type(api.service.leadership), 'is_leader', property(lambda _: True))

    async with another_leads(api):
        for late in (
            made(api, external=External('drove', 'new app', '1')),
            killed(api),
            forget(api.service, ANN, NAME, origin()),
            drain_as_leader(api.service, ANN, pilot_id, 'late', drain=True),
            set_maintenance(api.service, ANN, is_on=True),
        ):
            with pytest.raises((NotLeader, NothingToKill)):
                await late

        assert before == {name: [each async for each in api.database[name].find()] for name in there}


async def test_a_claim_on_it_holds_no_longer_than_it_says(api: Api) -> None:
    await made(api, max_lease_seconds=60.0)

    claim = await claimed(api, 900)

    assert claim['lease_seconds'] == 60
    assert (await report(api, claim, 'heartbeat')).body['lease_seconds'] == 60


async def test_the_lease_of_other_claims_is_the_one_asked_for(api: Api) -> None:
    await made(api, max_lease_seconds=60.0)
    assert (await claimed(api, 20))['lease_seconds'] == 20


@pytest.mark.parametrize(('evictions', 'ends_as'), [(0, ('failed', 'lost')), (1, ('queued', None))])
async def test_what_is_handed_back_runs_again_only_if_it_says_so(
    api: Api, evictions: int, ends_as: tuple[str, str | None]
) -> None:
    task_id = await made(api, max_evictions=evictions)
    claim = await claimed(api)

    for _ in range(2):  # the answer to a repeat is that to the first
        answer = await report(api, claim, 'hand_back', reason='the pilot leaves')
        assert answer.status == 200

    task = await api.task(task_id)
    assert (task['status'], (task['outcome'] or {}).get('result')) == ends_as


async def test_a_task_that_has_ended_can_be_forgotten_and_its_name_is_free(api: Api) -> None:
    task_id = await made(api)
    await report(api, await claimed(api), 'complete', reason='well', stdout='hello')
    assert await api.database.messages.count_documents({'task_id': task_id}) == 1

    await forget(api.service, ANN, NAME, origin())

    assert await api.database.tasks.count_documents({}) == 0
    assert await api.database.messages.count_documents({'task_id': task_id}) == 0
    assert await made(api) != task_id
    told = [(each['type'], each['outcome'], (each.get('left') or {}).get('status')) for each in await _history(api)]
    assert told[:2] == [('create', '', None), ('remove', 'done', 'complete')]


async def test_a_task_that_has_not_ended_is_not_forgotten(api: Api) -> None:
    await made(api)
    with pytest.raises(NotEnded):
        await forget(api.service, ANN, NAME, origin())
    assert await api.database.tasks.count_documents({}) == 1


async def test_what_was_never_there_has_no_history_and_is_not_forgotten(api: Api) -> None:
    for refused in (history(api.service, NAME), forget(api.service, ANN, NAME, origin())):
        with pytest.raises(NotFound):
            await refused


async def _history(api: Api) -> list[dict[str, Any]]:
    return await history(api.service, NAME)
