"""`iceprod-tasks` on whole datasets: datasets, priority, requirements, delete; against the real routes."""

import gzip
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from iceprod_tasks.client import AsyncClient
from tests.cli.typed import typed
from tests.conftest import Api

Chores = Callable[[], Awaitable[None]]

ACTIONS = ('suspend', 'resume', 'reset', 'rerun', 'hard-reset', 'cancel')
GEN = {'name': 'gen', 'command': 'true'}
SIM = {'name': 'sim', 'command': 'true', 'depends': ['gen']}


@pytest.fixture
async def dataset_id(api: Api, chores: Chores) -> str:
    """A dataset of two jobs of two tasks, all made."""
    dataset_id = await api.add_dataset([GEN, SIM], jobs=2, description='two by two')
    await chores()
    return dataset_id


async def dataset(api: Api, dataset_id: str) -> dict[str, Any]:
    return dict((await api('GET', f'/datasets/{dataset_id}')).body)


async def tasks(api: Api, dataset_id: str) -> list[dict[str, Any]]:
    return list((await api('GET', f'/datasets/{dataset_id}/tasks')).body.values())


# Lists


async def test_datasets_are_listed_as_a_table_and_as_the_service_says(api: Api, dataset_id: str) -> None:
    table = await typed(api, 'datasets', 'list')
    document = await typed(api, 'datasets', 'list', '--json')

    (row,) = [line.split() for line in table.out.splitlines() if dataset_id in line]
    assert row == [dataset_id, 'two', 'by', 'two', 'processing', 'root', 'simprod', '0.5', '2']
    assert document.json == (await api('GET', '/datasets')).body


async def test_a_description_is_one_short_line_without_markup(api: Api) -> None:
    await api.add_dataset([GEN], description='[red]first\x1b[2J\n second line of a long story')

    table = await typed(api, 'datasets', 'list')

    assert '[red]first [2J se…' in table.out


@pytest.mark.parametrize(
    ('options', 'found'),
    [
        (('--user', 'ada'), {'ada/g1', 'ada/g2'}),
        (('--user', 'ada', '--user', 'bob'), {'ada/g1', 'ada/g2', 'bob/g2'}),
        (('--group', 'g2'), {'ada/g2', 'bob/g2'}),
        (('--group', 'g2', '--user', 'ada', '--status', 'processing', '--status', 'errors'), {'ada/g2'}),
        (('--status', 'suspended'), set()),
    ],
)
async def test_datasets_are_chosen_by_status_user_and_group(
    api: Api, options: tuple[str, ...], found: set[str]
) -> None:
    for owner in ('ada/g1', 'ada/g2', 'bob/g2'):
        name, _, group = owner.partition('/')
        await api.as_('user', name, (group,)).add_dataset([GEN], group=group, description=owner)

    said = await typed(api, 'datasets', 'list', '--json', *options)

    assert {each['description'] for each in said.json.values()} == found


async def test_a_dataset_is_shown_with_all_its_fields(api: Api, dataset_id: str) -> None:
    facts = await typed(api, 'datasets', 'show', dataset_id)
    document = await typed(api, 'datasets', 'show', dataset_id, '--json')
    await typed(api, 'datasets', 'show', 'nothing', code=3)

    assert document.json == await dataset(api, dataset_id)
    assert {line.split()[0] for line in facts.out.splitlines()} == set(document.json)
    assert ['jobs_submitted', '2'] in [line.split() for line in facts.out.splitlines()]


# Actions


@pytest.mark.parametrize('action', ACTIONS)
async def test_each_action_is_the_one_that_its_name_says(api: Api, dataset_id: str, action: str) -> None:
    answer = await api('POST', f'/datasets/{dataset_id}/dataset_actions/{action.replace("-", "_")}', {'dry_run': True})

    # To some a dataset that goes on says no.
    said = await typed(
        api, 'datasets', action, dataset_id, '--dry-run', '--json',
        code=6 if answer.body['dataset']['result'] == 'refused' else 0,
    )  # fmt: skip

    assert said.json == answer.body


async def test_a_dataset_is_suspended_and_goes_on(api: Api, dataset_id: str) -> None:
    asked = await typed(api, 'datasets', 'suspend', dataset_id, code=2)
    suspended = await typed(api, 'datasets', 'suspend', dataset_id, '--yes', '--reason', 'holidays')
    again = await typed(api, 'datasets', 'suspend', dataset_id, '--yes')
    resumed = await typed(api, 'datasets', 'resume', dataset_id, '--yes')

    assert f'suspend dataset {dataset_id} "two by two" with 2 jobs and 4 tasks?' in asked.err
    assert suspended.out.splitlines() == [
        'dataset: changed, suspended',
        'jobs: changed 2, unchanged 0, refused 0',
        'tasks: changed 4, unchanged 0, refused 0',
    ]
    assert again.err == 'nothing to suspend\n'
    assert resumed.out.startswith('dataset: changed, processing\n')
    logs = [[entry['why'] for entry in task['log']] async for task in api.database.tasks.find()]
    assert all('holidays' in reasons for reasons in logs)


async def test_a_dry_run_says_what_would_change(api: Api, dataset_id: str) -> None:
    said = await typed(api, 'datasets', 'suspend', dataset_id, '--dry-run')

    assert said.out.startswith('dataset: would change, is processing\njobs: would change 2,')


async def test_what_begins_the_facts_is_what_people_ask_for(api: Api, dataset_id: str) -> None:
    said = await typed(api, 'datasets', 'show', dataset_id)

    assert [line.split()[0] for line in said.out.splitlines()[:3]] == ['dataset_id', 'description', 'status']


async def test_the_list_fits_a_terminal_with_numbers_on_the_right(api: Api, dataset_id: str) -> None:
    said = await typed(api, 'datasets', 'list')

    head, _, row = (line.rstrip() for line in said.out.splitlines())
    assert head.endswith('jobs') and row.endswith('   2')
    assert len(head) == len(row) <= 100


async def test_a_dataset_that_refuses_makes_it_partial(api: Api, dataset_id: str) -> None:
    await api.database.datasets.update_one({'dataset_id': dataset_id}, {'$set': {'status': 'complete'}})

    said = await typed(api, 'datasets', 'suspend', dataset_id, '--yes', code=6)

    assert said.out.startswith('dataset: refused, complete\n')


# What is set


@pytest.mark.parametrize(
    ('options', 'fields'),
    [
        (('--description', 'another one'), {'description': 'another one'}),
        (('--status', 'suspended'), {'status': 'suspended'}),
        (('--jobs', '5'), {'jobs_submitted': 5, 'tasks_submitted': 10}),
        (('--retention-days', '30'), {'retention_days': 30, 'archive': False}),
        (('--retention-days', '1.5', '--archive'), {'retention_days': 1.5, 'archive': True}),
        (('--retention-days', 'never'), {'retention_days': 36500}),
        (('--retention-days', 'default'), {'retention_days': None}),
        (('--archive',), {'retention_days': None, 'archive': True}),
        (('--description', 'b', '--jobs', '3'), {'description': 'b', 'jobs_submitted': 3}),
    ],
)
async def test_a_dataset_is_changed(
    api: Api, dataset_id: str, options: tuple[str, ...], fields: dict[str, Any]
) -> None:
    said = await typed(api, 'datasets', 'set', dataset_id, '--json', *options)

    after = await dataset(api, dataset_id)
    assert after.items() >= fields.items()
    assert said.json == after


async def test_whether_it_is_archived_changes_without_the_retention(api: Api, dataset_id: str) -> None:
    await typed(api, 'datasets', 'set', dataset_id, '--retention-days', '30', '--archive')
    await typed(api, 'datasets', 'set', dataset_id, '--no-archive')

    after = await dataset(api, dataset_id)
    assert (after['retention_days'], after['archive']) == (30, False)


@pytest.mark.parametrize(
    ('options', 'code'),
    [
        ((), 2),
        (('--jobs', '-1'), 2),
        (('--status', 'failed'), 2),
        (('--retention-days', 'soon'), 2),
        (('--retention-days', '-1'), 2),
        (('--jobs', '1'), 1),
    ],
)
async def test_what_cannot_be_set_changes_nothing(
    api: Api, dataset_id: str, options: tuple[str, ...], code: int
) -> None:
    before = await dataset(api, dataset_id)

    said = await typed(api, 'datasets', 'set', dataset_id, *options, code=code)

    assert said.err
    assert await dataset(api, dataset_id) == before


@pytest.mark.parametrize('options', [('--description', 'x'), ('--retention-days', '3'), ('--archive',)])
async def test_there_is_nothing_to_set_of_what_is_not_there(api: Api, options: tuple[str, ...]) -> None:
    said = await typed(api, 'datasets', 'set', 'nothing', *options, code=3)

    assert said.err == 'iceprod-tasks: Dataset not found (404)\n'


# Priorities


async def test_the_priority_of_a_dataset_is_set(api: Api, dataset_id: str) -> None:
    said = await typed(api, 'priority', dataset_id, '0.75')
    document = await typed(api, 'priority', dataset_id, '0.25', '--json')

    assert said.out == f'dataset {dataset_id}: priority 0.75\n'
    assert document.json == {'dataset': dataset_id, 'priority': 0.25}
    assert (await dataset(api, dataset_id))['priority'] == 0.25


@pytest.mark.parametrize('kind', ['user', 'group'])
async def test_the_priority_of_a_user_or_a_group_is_set_by_admins(api: Api, kind: str) -> None:
    await api.as_('user', 'ada').add_dataset([GEN], group='users')

    said = await typed(api, 'priority', f'--{kind}', 'ada', '0.75')
    await typed(api, 'priority', f'--{kind}', 'ada', '1', token=api.token('user', 'ada'), code=4)

    assert said.out == f'{kind} ada: priority 0.75\n'
    found = (await api('GET', f'/{kind}s')).body['results']
    assert [each['priority'] for each in found if 'ada' in each.values()] == [0.75]


@pytest.mark.parametrize(
    'words',
    [
        (),
        ('d1',),
        ('d1', 'high'),
        ('d1', '1', '2'),
        ('d1', '1', '--user', 'ada', '1'),
        ('--user', 'ada', '1', '--group', 'g', '1'),
        ('--user', 'ada', '2'),
        ('--group', 'g', '-1'),
    ],
)
async def test_a_priority_needs_one_thing_and_a_number(api: Api, words: tuple[str, ...]) -> None:
    await typed(api, 'priority', *words, code=2)


# Requirements


async def test_requirements_of_all_tasks_of_a_name_are_set(api: Api, dataset_id: str) -> None:
    pairs = ('cpu=2', 'gpu=0', 'memory=8', 'disk=1.5', 'time=12', 'os=debian_12,debian_13', 'site=here')

    asked = await typed(api, 'requirements', dataset_id, 'gen', 'memory=8', 'os=a,b', code=2)
    dry = await typed(api, 'requirements', dataset_id, 'gen', *pairs, '--dry-run')
    untouched = [task['requirements'] for task in await tasks(api, dataset_id)]
    said = await typed(api, 'requirements', dataset_id, 'gen', *pairs, '--yes', '--json')

    assert f'set memory=8, os=a,b for 2 tasks gen of dataset {dataset_id} "two by two"?' in asked.err
    assert dry.out.startswith('would set cpu=2, ')
    assert dry.out.endswith(' for 2 tasks\n')
    assert not any('site' in needs for needs in untouched)
    wanted = {
        'cpu': 2, 'gpu': 0, 'memory': 8.0, 'disk': 1.5, 'time': 12.0, 'os': ['debian_12', 'debian_13'], 'site': 'here',
    }  # fmt: skip
    assert said.json == {'dry_run': False, 'name': 'gen', 'requirements': wanted, 'tasks': 2}
    needs = {task['name']: task['requirements'] for task in await tasks(api, dataset_id)}
    assert needs['gen'].items() >= wanted.items()
    assert 'site' not in needs['sim']


async def test_requirements_of_a_name_that_no_task_has_are_not_found(api: Api, dataset_id: str) -> None:
    said = await typed(api, 'requirements', dataset_id, 'none', 'memory=8', '--yes', code=3)

    assert said.err == f'iceprod-tasks: dataset {dataset_id} has no tasks called none (404)\n'


@pytest.mark.parametrize('pair', ['memory', 'memory=', 'memory=much', 'time=nan', 'disk=inf', 'cpu=1.5', 'colour=blue'])
async def test_what_is_no_requirement_is_wrong_usage(api: Api, pair: str) -> None:
    said = await typed(api, 'requirements', 'd1', 'gen', pair, code=2)

    assert f'not a requirement: {pair}' in said.err


async def test_a_negative_requirement_is_refused_by_the_service(api: Api, dataset_id: str) -> None:
    await typed(api, 'requirements', dataset_id, 'gen', 'memory=-8', '--yes', code=1)


# Archives


def names(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir()]


async def test_an_archive_is_downloaded_whole(api: Api, dataset_id: str, tmp_path: Path) -> None:
    file = tmp_path / 'kept.gz'

    said = await typed(api, 'datasets', 'archive', dataset_id, str(file))

    lines = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
    assert len(lines) > 1 + 2 + 4
    assert dataset_id in str(lines[0])
    assert said.err == f'{file}: {file.stat().st_size} bytes\n'
    assert names(tmp_path) == ['kept.gz']


async def test_an_archive_has_the_name_of_its_dataset(
    api: Api, dataset_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    await typed(api, 'datasets', 'archive', dataset_id)

    assert names(tmp_path) == [f'{dataset_id}.ndjson.gz']


async def test_an_archive_goes_to_stdout(api: Api, dataset_id: str) -> None:
    said = await typed(api, 'datasets', 'archive', dataset_id, '-')

    # The first byte of a gzip file; others are no text.
    assert (said.out[0], said.err) == ('\x1f', '')


async def test_an_archive_of_nothing_leaves_no_file_and_not_the_old_one_in_pieces(api: Api, tmp_path: Path) -> None:
    file = tmp_path / 'kept.gz'
    file.write_text('before')

    await typed(api, 'datasets', 'archive', 'nothing', str(file), code=3)

    assert names(tmp_path) == ['kept.gz']
    assert file.read_text() == 'before'


async def test_an_archive_that_cannot_be_written_is_a_line(api: Api, tmp_path: Path) -> None:
    said = await typed(api, 'datasets', 'archive', 'd1', str(tmp_path / 'none' / 'a.gz'), code=1)

    assert said.err.startswith('iceprod-tasks: cannot write ')


# Deletion


async def gone(api: Api, dataset_id: str) -> bool:
    return (await api('GET', f'/datasets/{dataset_id}')).status == 404


async def test_a_deletion_is_confirmed_with_what_goes_with_it(api: Api, dataset_id: str) -> None:
    asked = await typed(api, 'delete', dataset_id, code=2)
    dry = await typed(api, 'delete', dataset_id, '--dry-run')
    document = await typed(api, 'delete', dataset_id, '--dry-run', '--json')

    what = f'dataset {dataset_id} "two by two" with 2 jobs and 4 tasks'
    assert f'delete {what}? There is no terminal' in asked.err
    assert dry.out == f'would delete {what}\n'
    assert document.json == {dataset_id: {'jobs': 2, 'tasks': 4, 'running': 0}}
    assert not await gone(api, dataset_id)


async def test_datasets_are_deleted(api: Api, dataset_id: str) -> None:
    other = await api.add_dataset([GEN])

    said = await typed(api, 'delete', dataset_id, other, '--wait', '--yes')

    assert [line.partition(': deleted')[0] for line in said.out.splitlines()] == [dataset_id, other]
    assert await gone(api, dataset_id)
    assert await gone(api, other)
    assert not await api.database.tasks.count_documents({})


async def test_a_user_deletes_a_dataset_and_reads_the_report_as_json(api: Api) -> None:
    dataset_id = await api.as_('user', 'ada').add_dataset([GEN], group='users')

    said = await typed(api, 'delete', dataset_id, '--yes', '--json', '--wait', token=api.token('user', 'ada'))

    assert set(said.json) == {dataset_id}
    assert 'deleted' in said.json[dataset_id]


async def running(api: Api) -> None:
    """Let a pilot have a task."""
    async with AsyncClient(api.url, api.token('pilot')) as client:
        await client.claim({'cpu': 1, 'memory': 8, 'disk': 100, 'time': 10}, lease_seconds=60)


async def test_a_dataset_whose_tasks_run_is_a_conflict_unless_forced(api: Api, dataset_id: str) -> None:
    await running(api)

    refused = await typed(api, 'delete', dataset_id, '--yes', code=5)
    asked = await typed(api, 'delete', dataset_id, '--force', code=2)
    forced = await typed(api, 'delete', dataset_id, '--force', '--yes')

    assert refused.err.startswith(f'iceprod-tasks: dataset {dataset_id}: ')
    assert '4 tasks (1 of them running)?' in asked.err
    assert forced.out.startswith(f'{dataset_id}: ')


async def test_one_of_several_that_is_refused_makes_it_partial(api: Api, dataset_id: str) -> None:
    other = await api.add_dataset([GEN])
    await running(api)

    said = await typed(api, 'delete', dataset_id, other, '--yes', '--json', code=6)

    assert set(said.json) == {other}
    assert dataset_id in said.err
    assert not await gone(api, dataset_id)


async def test_one_of_several_that_is_not_there_keeps_all(api: Api, dataset_id: str) -> None:
    await typed(api, 'delete', dataset_id, 'nothing', '--yes', code=3)

    assert not await gone(api, dataset_id)
