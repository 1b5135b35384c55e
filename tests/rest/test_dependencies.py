"""Dependencies in configs: what is taken, and what is refused with its place, at submission and in PUT /config."""

from typing import Any

import pytest

from iceprod_tasks.actions import depend
from iceprod_tasks.domain.tasks import materialized_id
from tests.conftest import Api
from tests.rest.answers import DONE, refusal, seen

GEN = {'name': 'gen', 'command': 'true'}
OWN = 'tasks[1].depends[0]: a task of the same dataset is named by its name alone'


def waiting_for(*depends: str) -> dict[str, Any]:
    return {'name': 'sim', 'command': 'true', 'depends': list(depends)}


def config(*tasks: dict[str, Any]) -> dict[str, Any]:
    return {'version': 1, 'description': 'a test', 'tasks': list(tasks)}


def dataset(*tasks: dict[str, Any], jobs: int = 1) -> dict[str, Any]:
    return {
        'description': 'a test', 'jobs_submitted': jobs, 'tasks_submitted': 0, 'tasks_per_job': len(tasks),
        'group': 'simprod', 'config': config(*tasks),
    }  # fmt: skip


async def depends_on(api: Api, dataset_id: str) -> list[str]:
    return list((await api('GET', f'/datasets/{dataset_id}')).body['depends_on'])


async def closed_to_eve(api: Api) -> str:
    dataset_id = await api.add_dataset([GEN])
    await api.database.auths.update_one({'dataset_id': dataset_id}, {'$set': {'read_groups': ['filtering']}})
    return dataset_id


async def assert_refused(api: Api, depends: list[str], reason: str, jobs: int = 1) -> None:
    """Refused in both ways, and nothing is stored."""
    here = await api.add_dataset([GEN, {**GEN, 'name': 'old'}], jobs=jobs)
    before = await api.database.datasets.count_documents({})
    tasks = (GEN, waiting_for(*depends))

    submitted = await api('POST', '/datasets', dataset(*tasks, jobs=jobs))
    configured = await api('PUT', f'/config/{here}', config(*tasks))

    assert [seen(submitted), seen(configured)] == [refusal(400, reason)] * 2
    assert await api.database.datasets.count_documents({}) == await api.database.config.count_documents({}) == before
    assert (await api('GET', f'/config/{here}')).body['tasks'][1]['name'] == 'old'
    assert await depends_on(api, here) == []


async def test_datasets_that_may_not_be_read_do_not_count(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(depend, 'DATASETS_AT_MOST', 1)
    hidden = [await api.add_task(dataset_id=await closed_to_eve(api)) for _ in range(2)]
    eve = api.as_('user', 'eve')

    for depends in (hidden, ['nobody', 'no_one']):
        answer = await eve('POST', '/datasets', dataset(GEN, waiting_for(*depends)))

        assert seen(answer) == refusal(400, f'tasks[1].depends[0]: there is no task named {depends[0]}')


async def test_a_task_may_depend_on_one_of_its_job_of_another_dataset_and_on_an_id(api: Api) -> None:
    there = await api.add_dataset([{**GEN, 'name': 'a:b'}, GEN], jobs=2)
    old = await api.add_task(dataset_id='old')
    tasks = (GEN, waiting_for('gen', f'{there}:gen', f'{there}:a:b', old))

    submitted = await api.add_dataset(list(tasks), jobs=2)
    configured = await api.add_dataset([GEN, {**GEN, 'name': 'sim'}])
    answer = await api('PUT', f'/config/{configured}', config(*tasks))

    assert seen(answer) == DONE
    assert await depends_on(api, submitted) == await depends_on(api, configured) == sorted([there, 'old'])
    assert await depends_on(api, there) == []


async def test_what_a_dataset_depends_on_follows_its_config_until_jobs_have_been_made(api: Api) -> None:
    first, second = await api.add_dataset([GEN]), await api.add_dataset([GEN])
    here = await api.add_dataset([waiting_for(f'{first}:gen')])

    await api('PUT', f'/config/{here}', config(waiting_for(f'{second}:gen')))
    before = await depends_on(api, here)
    await api.database.datasets.update_one({'dataset_id': here}, {'$set': {'jobs_materialized': 1}})
    await api('PUT', f'/config/{here}', config(waiting_for(f'{first}:gen')))

    assert before == [second]
    assert await depends_on(api, here) == sorted([first, second])


async def test_a_name_of_the_config_comes_before_everything_else_it_could_mean(api: Api) -> None:
    assert await depends_on(api, await api.add_dataset([{**GEN, 'name': 'no:where'}, waiting_for('no:where')])) == []


async def test_names_of_nothing_are_refused(api: Api) -> None:
    there = await api.add_dataset([GEN])

    await assert_refused(api, ['nobody'], 'tasks[1].depends[0]: there is no task named nobody')
    reason = f'tasks[1].depends[1]: dataset {there} has no task named nobody'
    await assert_refused(api, ['gen', f'{there}:nobody'], reason)


async def test_a_dataset_that_may_not_be_read_looks_like_none(api: Api) -> None:
    closed = await closed_to_eve(api)
    eve = api.as_('user', 'eve', ('simprod',))

    for dataset_id in (closed, 'nowhere'):
        reason = (
            f'tasks[1].depends[0]: there is no task named {dataset_id}:gen, '
            f'and no dataset {dataset_id} that you may read'
        )
        await assert_refused(eve, [f'{dataset_id}:gen'], reason)
    await api.add_dataset([waiting_for(f'{closed}:gen')])


async def test_a_task_of_a_dataset_that_may_not_be_read_looks_like_none(api: Api) -> None:
    closed = await closed_to_eve(api)
    eve = api.as_('user', 'eve', ('simprod',))

    for task_id in (await api.add_task(dataset_id=closed), await api.add_task(dataset_id='old'), 'f' * 32):
        await assert_refused(eve, [task_id], f'tasks[1].depends[0]: there is no task named {task_id}')


async def test_a_dataset_that_is_being_deleted_is_none_any_more(api: Api) -> None:
    there = await api.add_dataset([GEN])
    await api.database.datasets.update_one({'dataset_id': there}, {'$set': {'deleting': {'asked': True}}})

    reason = f'tasks[1].depends[0]: there is no task named {there}:gen, and no dataset {there} that you may read'
    await assert_refused(api, [f'{there}:gen'], reason)


async def test_a_dataset_of_an_old_client_is_depended_on_by_the_ids_of_its_tasks(api: Api) -> None:
    there = await api.add_dataset([GEN])
    await api('PUT', f'/config/{there}', {'version': 3, 'tasks': 'their own'})

    reason = f'tasks[1].depends[0]: dataset {there} has no config that tasks are made from; name its tasks by their ids'
    await assert_refused(api, [f'{there}:gen'], reason)


async def test_a_dataset_with_fewer_jobs_is_refused_with_their_number(api: Api) -> None:
    there = await api.add_dataset([GEN], jobs=2)

    reason = f'tasks[1].depends[0]: dataset {there} has 2 jobs, this one 3'
    await assert_refused(api, [f'{there}:gen'], reason, jobs=3)
    await api.add_dataset([waiting_for(f'{there}:gen')], jobs=2)


async def test_a_task_of_the_same_dataset_is_named_by_its_name_alone(api: Api) -> None:
    here = await api.add_dataset([GEN, {**GEN, 'name': 'sim'}])
    own = await api.add_task(dataset_id=here)

    for entry in (f'{here}:gen', own):
        answer = await api('PUT', f'/config/{here}', config(GEN, waiting_for(entry)))
        assert seen(answer) == refusal(400, OWN)


@pytest.mark.parametrize('by', ['name', 'id'])
async def test_a_circle_through_other_datasets_is_refused(api: Api, by: str) -> None:
    first = await api.add_dataset([GEN, {**GEN, 'name': 'sim'}])
    made = materialized_id(first, 0, 1)
    await api.add_task(dataset_id=first, name='sim')
    await api.database.tasks.update_one({'dataset_id': first}, {'$set': {'task_id': made}})
    second = await api.add_dataset([waiting_for(f'{first}:sim' if by == 'name' else made)])
    third = await api.add_dataset([GEN, waiting_for('gen', f'{second}:sim')])

    closing = await api('PUT', f'/config/{first}', config(GEN, waiting_for('gen', f'{third}:sim')))
    beside = await api('PUT', f'/config/{first}', config(GEN, waiting_for('gen', f'{third}:gen')))

    reason = 'tasks[1].depends[1]: dependencies form a circle through other datasets'
    assert seen(closing) == refusal(400, reason)
    assert seen(beside) == DONE


async def test_dependencies_that_lead_too_far_are_refused(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(depend, 'DATASETS_AT_MOST', 2)
    first = await api.add_dataset([GEN])
    second = await api.add_dataset([waiting_for(f'{first}:gen')])
    third = await api.add_dataset([waiting_for(f'{second}:sim')])

    reason = 'tasks: dependencies lead to more than 2 other datasets'
    await assert_refused(api, [f'{third}:sim'], reason)
    # Said before any of them is looked at.
    await assert_refused(api, ['a:gen', 'b:gen', 'c:gen'], reason)


@pytest.mark.parametrize('entry', ['', 'x' * 512, 5, None])
async def test_an_entry_that_can_name_nothing_is_400(api: Api, entry: object) -> None:
    answer = await api('POST', '/datasets', dataset(GEN, {**GEN, 'name': 'sim', 'depends': [entry]}))

    assert answer.status == 400
    assert 'tasks[1].depends[0]' in answer.body['error']


async def test_a_task_without_a_status_is_suspended_in_a_suspended_dataset(api: Api) -> None:
    there = await api.add_dataset([GEN], status='suspended')
    task = {'dataset_id': there, 'job_id': 'j', 'task_index': 0, 'job_index': 0, 'name': 'gen', 'depends': [],
            'requirements': {}}  # fmt: skip

    statuses = []
    for given in (task, {**task, 'status': 'waiting'}, {**task, 'dataset_id': 'old'}):
        answer = await api('POST', '/tasks', given)
        statuses.append((await api.task(answer.body['result']))['status'])

    assert statuses == ['suspended', 'waiting', 'waiting']
