"""Datasets and their configs: made, listed and read. Contract 4."""

import asyncio
import json
import re
from typing import Any

import pytest

from iceprod_tasks.domain.datasets import DATASET_STATUSES
from iceprod_tasks.storage import readable as storage_readable
from tests.conftest import Api
from tests.rest.answers import DONE, refusal, seen

GEN = {'name': 'gen', 'command': ['echo', '${job_index}']}
CONFIG = {'version': 1, 'description': 'a test', 'tasks': [GEN]}
DATASET = {'description': 'a test', 'jobs_submitted': 2, 'tasks_submitted': 2, 'tasks_per_job': 1, 'group': 'simprod'}


async def submitted(api: Api, **fields: Any) -> str:
    answer = await api('POST', '/datasets', DATASET | fields)
    assert answer.status == 201, answer.text
    return str(answer.body['result']).removeprefix('/datasets/')


async def test_a_new_dataset_has_what_the_user_says_and_the_defaults(api: Api) -> None:
    answer = await api.as_('user', 'ada')('POST', '/datasets', DATASET)

    assert set(answer.body) == {'result'}
    assert answer.headers['Location'] == answer.body['result']
    dataset = (await api('GET', answer.body['result'])).body
    given = {'status': 'processing', 'username': 'ada', 'priority': 0.5, 'debug': False, 'jobs_immutable': False}
    assert dataset.items() >= {**DATASET, **given}.items()
    assert answer.body['result'] == f'/datasets/{dataset["dataset_id"]}'
    assert re.fullmatch(r'[0-9a-f]{32}', dataset['dataset_id'])
    assert re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}', dataset['start_date'])
    assert '_id' not in dataset


async def test_datasets_are_numbered_without_twins(api: Api) -> None:
    ids = await asyncio.gather(*(submitted(api) for _ in range(10)))

    numbers = [(await api('GET', f'/datasets/{dataset_id}')).body['dataset'] for dataset_id in ids]
    assert len(set(numbers)) == 10


@pytest.mark.parametrize('missing', sorted(DATASET))
async def test_a_missing_key_is_named(api: Api, missing: str) -> None:
    answer = await api('POST', '/datasets', {key: value for key, value in DATASET.items() if key != missing})

    assert seen(answer) == refusal(400, f'missing key: {missing}')


def of_type(key: str, kind: str) -> str:
    return f"key {key} should be of type <class '{kind}'>"


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        ({'colour': 1}, 'invalid keys found'), ({'username': 'eve'}, 'invalid keys found'),
        ({'dataset_id': 'x'}, 'invalid keys found'), ({'$set': {}}, 'invalid keys found'),
        ({'description': 5}, of_type('description', 'str')), ({'group': None}, of_type('group', 'str')),
        ({'jobs_submitted': 2.0}, of_type('jobs_submitted', 'int')),
        ({'jobs_submitted': True}, of_type('jobs_submitted', 'int')),
        ({'tasks_per_job': '1'}, of_type('tasks_per_job', 'int')), ({'debug': 1}, of_type('debug', 'bool')),
        ({'jobs_immutable': 'no'}, of_type('jobs_immutable', 'bool')), ({'status': 'blah'}, 'Bad status'),
        ({'tasks_per_job': 0, 'jobs_submitted': 0, 'tasks_submitted': 0}, '"tasks_per_job" must be > 0'),
        ({'tasks_per_job': -1, 'jobs_submitted': 0, 'tasks_submitted': 0}, '"tasks_per_job" must be > 0'),
        ({'tasks_submitted': 3}, '"tasks_per_job" does not match "tasks_submitted"/"jobs_submitted"'),
        ({'jobs_submitted': 0}, '"tasks_per_job" does not match "tasks_submitted"/"jobs_submitted"'),
        ({'tasks_per_job': 0}, '"tasks_per_job" does not match "tasks_submitted"/"jobs_submitted"'),
    ],
)  # fmt: skip
async def test_a_dataset_that_is_not_valid_is_refused_with_a_reason(
    api: Api, changes: dict[str, Any], reason: str
) -> None:
    assert seen(await api('POST', '/datasets', DATASET | changes)) == refusal(400, reason)
    assert (await api('GET', '/datasets')).body == {}


@pytest.mark.parametrize('changes', [{'priority': 1}, {'priority': '1'}, {'jobs_submitted': -1}, {'group': ''},
                                     {'tasks_submitted': 2**63}, {'config': []},
                                     {'config': {'version': 2}}])  # fmt: skip
async def test_other_values_that_are_not_valid_are_400(api: Api, changes: dict[str, Any]) -> None:
    assert (await api('POST', '/datasets', DATASET | changes)).status == 400
    assert await api.database.datasets.count_documents({}) == 0


@pytest.mark.parametrize('sizes', [{'tasks_submitted': 0}, {'jobs_submitted': 0, 'tasks_submitted': 0},
                                   {'tasks_per_job': 0, 'tasks_submitted': 0},
                                   {'tasks_per_job': 20_000, 'tasks_submitted': 40_000},
                                   {'jobs_submitted': 3, 'tasks_per_job': 4, 'tasks_submitted': 12}])  # fmt: skip
async def test_sizes_that_agree_are_taken(api: Api, sizes: dict[str, Any]) -> None:
    assert (await api('GET', f'/datasets/{await submitted(api, **sizes)}')).body.items() >= sizes.items()


@pytest.mark.parametrize(
    ('path', 'reason'), [('/datasets/nobody', 'Dataset not found'), ('/config/nobody', 'Config not found')]
)
async def test_what_is_not_there_is_404(api: Api, path: str, reason: str) -> None:
    assert seen(await api('GET', path)) == refusal(404, reason)


async def test_the_list_is_filtered_by_status_and_keys(api: Api) -> None:
    first, second = await submitted(api), await submitted(api, status='suspended')

    assert list((await api('GET', '/datasets')).body) == [first, second]
    assert list((await api('GET', '/datasets?status=suspended|nope')).body) == [second]
    assert (await api('GET', '/datasets?status=nope')).body == {}
    shown = (await api('GET', '/datasets?keys=group|_id|nope')).body
    assert shown == {name: {'dataset_id': name, 'group': 'simprod'} for name in (first, second)}


async def test_users_list_what_they_may_read(api: Api) -> None:
    shared, closed = await submitted(api), await submitted(api)
    await api.database.auths.update_one({'dataset_id': closed}, {'$set': {'read_groups': ['filtering']}})

    async def listed(*groups: str) -> list[str]:
        return list((await api.as_('user', 'eve', groups)('GET', '/datasets')).body)

    assert (await listed(), await listed('filtering')) == ([shared], [shared, closed])
    assert seen(await api.as_('user', 'eve')('GET', f'/datasets/{closed}')) == refusal(403, 'authorization failed')
    assert list((await api.as_('system')('GET', '/datasets')).body) == [shared, closed]


async def test_the_list_is_filtered_by_group_and_user(api: Api) -> None:
    ours = await submitted(api.as_('user', 'ada'), group='filtering')
    other = await submitted(api.as_('user', 'bob'))

    async def listed(query: str) -> list[str]:
        return list((await api.as_('system')('GET', f'/datasets?{query}')).body)

    assert [await listed(query) for query in ('groups=filtering|nope', 'users=bob|nope')] == [[ours], [other]]
    assert await listed('groups=filtering|simprod&users=ada|bob&status=processing') == [ours, other]
    assert await listed('groups=filtering&users=bob') == await listed('users=nope') == []


@pytest.fixture
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if whoever may read more than three datasets may read very many."""
    monkeypatch.setattr(storage_readable, '_PORTION', 3)


@pytest.mark.usefixtures('small_portions')
@pytest.mark.parametrize('number', [2, 3, 4, 9, 10])
async def test_users_list_what_they_may_read_of_very_many(api: Api, number: int) -> None:
    ada, listed = api.as_('user', 'ada'), []
    for _ in range(number):
        await submitted(api, group='filtering')
        listed.append(await submitted(ada, status='suspended'))
    await api.database.auths.update_many({}, {'$pull': {'read_groups': 'users'}})

    found = (await ada('GET', '/datasets?status=suspended|processing&keys=username')).body

    assert list(found) == listed
    assert found[listed[0]] == {'dataset_id': listed[0], 'username': 'ada'}
    assert (await ada('GET', '/dataset_summaries/status')).body == {'suspended': listed}
    assert (await ada('GET', '/datasets?status=processing')).body == {}


async def test_summaries_name_the_statuses_that_occur_in_their_order(api: Api) -> None:
    ids = {status: await submitted(api, status=status) for status in ('complete', 'suspended', 'processing')}

    for role in ('admin', 'system'):
        answer = await api.as_(role)('GET', '/dataset_summaries/status')

        assert list(answer.body.items()) == [(name, [ids[name]]) for name in ('processing', 'suspended', 'complete')]


async def test_without_datasets_there_is_nothing_to_list(api: Api) -> None:
    for path in ('/datasets', '/dataset_summaries/status'):
        assert seen(await api('GET', path)) == seen(await api.as_('user')('GET', path)) == (200, {})


@pytest.mark.parametrize('status', DATASET_STATUSES)
async def test_a_dataset_may_begin_in_any_status(api: Api, status: str) -> None:
    dataset = (await api('GET', f'/datasets/{await submitted(api, status=status)}')).body

    assert dataset['status'] == status
    assert (dataset['end_date'] is not None) == (status in ('errors', 'complete'))
    assert dataset['truncated'] == (status == 'truncated')


async def test_a_config_comes_back_as_it_was_put(api: Api) -> None:
    dataset_id = await submitted(api)

    assert seen(await api('PUT', f'/config/{dataset_id}', CONFIG)) == DONE
    assert seen(await api('GET', f'/config/{dataset_id}')) == (200, CONFIG)
    other = CONFIG | {'description': 'changed', 'dataset_id': dataset_id}
    assert seen(await api('PUT', f'/config/{dataset_id}', other)) == DONE
    changed = CONFIG | {'description': 'changed'}
    assert seen(await api('GET', f'/config/{dataset_id}')) == (200, changed)


async def test_a_config_needs_no_dataset_with_a_record(api: Api) -> None:
    for config in (CONFIG, {'version': 3.1, 'steering': {'seed': None}}):
        assert seen(await api.as_('system')('PUT', '/config/elsewhere', config)) == DONE
        assert seen(await api('GET', '/config/elsewhere')) == (200, config)
    assert seen(await api.as_('user')('GET', '/config/elsewhere')) == refusal(403, 'authorization failed')


@pytest.mark.parametrize('config', [{'version': 3, 'tasks': 'x', '$weird.key': {'$gt': ''}}, {}, {'version': True}])
async def test_a_config_of_another_system_is_kept_untouched(api: Api, config: dict[str, Any]) -> None:
    dataset_id = await submitted(api)

    assert seen(await api('PUT', f'/config/{dataset_id}', config)) == DONE
    assert seen(await api('GET', f'/config/{dataset_id}')) == (200, config)


async def test_a_config_of_another_dataset_is_refused(api: Api) -> None:
    for config in (CONFIG, {'version': 3}):
        answer = await api('PUT', f'/config/{await submitted(api)}', config | {'dataset_id': 'other'})
        assert seen(answer) == refusal(400, 'dataset_id mismatch')


def with_task(**changes: Any) -> dict[str, Any]:
    return CONFIG | {'tasks': [GEN | changes]}


@pytest.mark.parametrize(
    ('config', 'reason'),
    [
        (CONFIG | {'tasks': []}, 'key tasks'), ({'version': 1, 'tasks': [GEN]}, 'missing key: description'),
        (CONFIG | {'tasks': [{'name': 'gen'}]}, 'missing key: tasks[0].command'),
        (CONFIG | {'colour': 1}, 'invalid keys found: colour'), (with_task(name=''), 'key tasks[0].name'),
        (with_task(command=[]), 'command should be'), (with_task(command={'a': 1}), 'command should be'),
        (with_task(colour=1), 'invalid keys found: colour in tasks[0]'),
        (with_task(env={'A': 5}), 'key tasks[0].env.A should be of type'),
        (with_task(env={'a b': 'x'}), 'key tasks[0].env'), (with_task(env={'A\n': 'x'}), 'key tasks[0].env'),
        (with_task(requirements={'cpu': 1.0}), 'key tasks[0].requirements.cpu should be of type'),
        (with_task(requirements={'memory': -1}), 'key tasks[0].requirements.memory'),
        (with_task(requirements={'colour': 1}), 'invalid keys found: colour in tasks[0].requirements'),
        (with_task(timeout=0), 'key tasks[0].timeout'), (with_task(timeout=True), 'key tasks[0].timeout'),
        (with_task(max_evictions=-1), 'key tasks[0].max_evictions'),
        (with_task(max_evictions=0.5), 'key tasks[0].max_evictions'),
        (with_task(command='echo ${nope}'), 'tasks[0].command: unknown name ${nope}'),
        (with_task(command=['a', '${JOB_INDEX}']), 'tasks[0].command[1]: unknown name ${JOB_INDEX}'),
        (with_task(env={'A': '${x}'}), 'tasks[0].env.A: unknown name ${x}'),
        (with_task(image='a b'), 'image should be the name of an image'),
        (with_task(image='-v'), 'image should be the name of an image'),
        (with_task(image='box\n'), 'image should be the name of an image'),
        (with_task(image='x' * 4097), 'image should be the name of an image'),
        (with_task(image=5), 'image should be the name of an image'),
        (with_task(image='dir:/etc'), "tasks[0].image: 'dir:/etc' is no name of an image"),
        (with_task(image='${x}'), 'tasks[0].image: unknown name ${x}'),
        (with_task(image='a', nodes='n1'), 'tasks[0].image: a command that goes to nodes has no image'),
        (with_task(depends=['nobody']), 'tasks[0].depends[0]: there is no task named nobody'),
        (with_task(depends=['gen']), 'tasks[0].depends[0]: dependencies form a circle: gen -> gen'),
        (CONFIG | {'tasks': [GEN, GEN]}, 'the config has 2 tasks, the dataset 1 a job'),
        (with_task(files=[{'filename': 'x', 'movement': 'up'}]), 'invalid file data'),
        (with_task(files=[{'filename': 'x', 'movement': 'input', 'local': 'x/'}]), 'invalid file data: tasks[0].files'),
        (with_task(files=[{'filename': 'x', 'movement': 'input', 'local': '/x'}]), 'invalid file data: tasks[0].files'),
    ],
)  # fmt: skip
async def test_a_config_that_could_not_become_tasks_is_refused_with_its_place(
    api: Api, config: dict[str, Any], reason: str
) -> None:
    dataset_id = await submitted(api)

    answers = [
        await api('PUT', f'/config/{dataset_id}', config),
        await api('POST', '/datasets', DATASET | {'config': config}),
    ]

    for answer in answers:
        assert answer.status == answer.body['code'] == 400
        assert answer.body['error'].replace('config.', '').startswith(reason)
    assert seen(await api('GET', f'/config/{dataset_id}')) == refusal(404, 'Config not found')


async def test_two_tasks_of_one_name_are_refused(api: Api) -> None:
    sizes = {'tasks_per_job': 2, 'tasks_submitted': 4}

    answer = await api('POST', '/datasets', DATASET | sizes | {'config': CONFIG | {'tasks': [GEN, GEN]}})

    assert seen(answer) == refusal(400, 'tasks[1].name: gen is already the name of another task')


async def test_a_deep_config_of_another_system_is_kept_or_refused_but_never_breaks(api: Api) -> None:
    dataset_id = await submitted(api)
    for depth, status in ((20, 200), (900, 400)):
        deep = '{"version": 9, "a": ' + '[' * depth + ']' * depth + '}'

        answer = await api('PUT', f'/config/{dataset_id}', content=deep.encode())

        assert answer.status == status
    assert (await api('GET', f'/config/{dataset_id}')).body == json.loads(
        '{"version": 9, "a": ' + '[' * 20 + ']' * 20 + '}'
    )


async def test_only_who_may_write_a_dataset_puts_its_config(api: Api) -> None:
    dataset_id = await submitted(api.as_('user', 'ada'))
    path = f'/config/{dataset_id}'

    assert seen(await api.as_('user', 'ada')('PUT', path, CONFIG)) == DONE
    assert seen(await api.as_('user', 'bob', ('simprod',))('PUT', path, CONFIG)) == DONE
    for role in ('user', 'pilot'):
        assert seen(await api.as_(role, 'eve')('PUT', path, CONFIG)) == refusal(403, 'authorization failed')
    assert (await api.as_('user', 'eve')('GET', path)).body == CONFIG
