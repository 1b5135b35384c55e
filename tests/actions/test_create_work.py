"""Tasks that carry their work: one for each name, queued at once, in a dataset that never ends."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from iceprod_tasks.actions.create_work import External, NewWork
from iceprod_tasks.actions.operate import create
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.errors import AlreadyNamed, BeingDeleted, InvalidRequest
from iceprod_tasks.domain.operations import OperationSpec
from iceprod_tasks.domain.origins import Origin
from iceprod_tasks.domain.tasks import new_id
from iceprod_tasks.domain.work import checked
from iceprod_tasks.scheduler.scheduler import Scheduler
from iceprod_tasks.storage.client import utc_now
from tests.conftest import Api

Chores = Callable[[], Awaitable[None]]

WORK = {'command': ['true'], 'env': {'KEY': 'secret'}, 'files': [{'name': 'in', 'data': 'aGk='}]}
OFFER = {'cpu': 1, 'work': True}


def wanted(task_id: str = '1', app: str = 'A', **changes: Any) -> NewWork:
    return replace(NewWork(External('drove', app, task_id), checked(WORK), {'cpu': 1}), **changes)


async def make(api: Api, given: NewWork, name: str = 'ann') -> str:
    origin = Origin(new_id(), utc_now())
    return await create(api.service, Caller(name, frozenset({'user'})), given, OperationSpec(), origin)


async def claim(api: Api, **offer: Any) -> Any:
    return await api.as_('pilot', 'p')('POST', '/task_actions/process', {'requirements': offer, 'claim_id': new_id()})


async def test_a_pilot_gets_the_whole_of_it_at_once(api: Api) -> None:
    task_id = await make(api, wanted())

    claimed = (await claim(api, **OFFER)).body

    assert claimed['task_id'] == task_id
    assert checked(claimed['work']) == checked(WORK)
    assert claimed['external'] == {'system': 'drove', 'app': 'A', 'id': '1'}


@pytest.mark.parametrize('offer', [{}, {'cpu': 1}, {'cpu': 1, 'work': False}])
async def test_pilots_that_know_nothing_of_it_do_not_get_it(api: Api, offer: dict[str, Any]) -> None:
    await make(api, wanted())

    answer = await claim(api, **offer)

    assert answer.status == 404
    assert answer.body['left'] == 0


async def test_one_with_an_image_goes_to_pilots_with_containers(api: Api) -> None:
    await make(api, wanted(work=checked({**WORK, 'image': 'alpine'})))

    assert (await claim(api, container=False, **OFFER)).status == 404
    assert (await claim(api, container=True, **OFFER)).status == 200


async def test_a_twin_is_refused_by_the_id_of_the_task(api: Api) -> None:
    task_id = await make(api, wanted())

    with pytest.raises(AlreadyNamed, match=f'A/1 exists already: it is the task {task_id}') as refused:
        await make(api, wanted(), 'bob')

    assert refused.value.task_id == task_id


async def test_of_many_at_once_one_is_made_and_one_dataset(api: Api) -> None:
    made = await asyncio.gather(*(make(api, wanted(), f'u{n}') for n in range(8)), return_exceptions=True)

    assert Counter(type(each) for each in made) == {str: 1, AlreadyNamed: 7}
    assert await api.database.tasks.count_documents({}) == 1
    assert await api.database.datasets.count_documents({}) == 1
    assert await api.database.auths.count_documents({}) == 1


async def test_names_are_not_joined(api: Api) -> None:
    made = [await make(api, wanted(*names)) for names in (('2', 'A-1'), ('1-2', 'A'))]

    assert len(set(made)) == 2


async def test_a_request_that_is_worked_on_again_gets_its_own_task(api: Api) -> None:
    caller, seed, now = Caller('ann', frozenset({'user'})), new_id(), utc_now()

    first = await create(api.service, caller, wanted(), OperationSpec(), Origin(seed, now))
    again = await create(api.service, caller, wanted(), OperationSpec(), Origin(seed, now, again=True))

    assert again == first


async def test_the_dataset_is_its_first_makers_and_never_ends(api: Api, chores: Chores) -> None:
    await make(api, wanted())
    await make(api, wanted('2'), 'bob')
    for _ in range(2):
        task = (await claim(api, **OFFER)).body
        await api('POST', f'/tasks/{task["task_id"]}/task_actions/complete', {'claim_id': task['claim_id']})

    await chores()

    [dataset] = [each async for each in api.database.datasets.find()]
    assert (dataset['username'], dataset['status'], dataset['external']) == (
        'ann', 'processing', {'system': 'drove', 'app': 'A'}
    )  # fmt: skip
    assert await api.database.tasks.count_documents({'status': 'complete'}) == 2


async def test_a_dataset_that_was_ended_by_hand_goes_on(api: Api) -> None:
    await make(api, wanted())
    await api.database.datasets.update_one({}, {'$set': {'status': 'complete'}})

    await make(api, wanted('2'))

    assert (await api.database.datasets.find_one({}) or {})['status'] == 'processing'


async def test_nothing_is_made_in_a_dataset_that_is_being_deleted(api: Api) -> None:
    await make(api, wanted())
    await api.database.datasets.update_one({}, {'$set': {'deleting': {'until': utc_now()}}})

    with pytest.raises(BeingDeleted):
        await make(api, wanted('2'))


async def tries(api: Api, max_failures: int) -> int:
    """Let every try of the one task fail; how many there were under a service with a number of its own."""
    limits = replace(api.service.limits, retry_delay_seconds=0.0, max_failures=max_failures)
    scheduler = Scheduler(replace(api.service, limits=limits))
    made = 0
    while (answer := await claim(api, **OFFER)).status == 200:
        made += 1
        path = f'/tasks/{answer.body["task_id"]}/task_actions/reset'
        await api('POST', path, {'claim_id': answer.body['claim_id']})
        for _ in range(3):
            await scheduler.sweep()
    return made


@pytest.mark.parametrize(('max_failures', 'wanted_tries'), [(0, 1), (2, 3), (5, 6)])
async def test_it_has_as_many_tries_as_it_says(api: Api, max_failures: int, wanted_tries: int) -> None:
    task_id = await make(api, wanted(max_failures=max_failures))

    assert await tries(api, max_failures=3) == wanted_tries
    assert (await api('GET', f'/tasks/{task_id}')).body['status'] == 'failed'


async def test_others_go_by_the_number_of_the_service(api: Api, chores: Chores) -> None:
    await api.add_dataset([{'name': 'a', 'command': 'true'}], jobs=1)
    await chores()

    assert await tries(api, max_failures=1) == 2


async def test_values_are_for_whoever_runs_it_and_for_operators(api: Api) -> None:
    task_id = await make(api, wanted())
    dataset_id = (await api('GET', f'/tasks/{task_id}')).body['dataset_id']
    path = f'/datasets/{dataset_id}/tasks/{task_id}'

    operators = (await api('GET', path)).body['work']
    readers = (await api.as_('user', 'ann')('GET', path)).body['work']

    assert operators['env'] == {'KEY': 'secret'}
    assert (readers['env'], readers['files'], readers['command']) == ({'KEY': ''}, [{'name': 'in'}], ['true'])


async def test_clients_cannot_set_it(api: Api) -> None:
    task_id = await make(api, wanted())

    answer = await api('PATCH', f'/tasks/{task_id}', {'work': {'command': ['false']}})

    assert answer.status == 400
    assert (await api('GET', f'/tasks/{task_id}')).body['work']['command'] == ['true']


@pytest.mark.parametrize(
    'wrong', [{'external': External('drove', 'A', 'x' * 129)}, {'external': External('drove', '', 'x')},
              {'max_failures': -1}, {'max_evictions': 101}]
)  # fmt: skip
async def test_names_and_numbers_have_bounds(api: Api, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        await make(api, wanted(**wrong))

    assert await api.database.datasets.count_documents({}) == 0
