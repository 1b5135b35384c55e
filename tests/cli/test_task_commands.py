"""`iceprod-tasks tasks`: lists, one task, its messages, and actions on those that are meant and no others."""

import json
from collections import Counter
from typing import Any

import pytest

from iceprod_tasks.client import AsyncClient
from iceprod_tasks.domain.statuses import STATUSES
from tests.cli.typed import typed
from tests.conftest import Api

ACTIONS = ('suspend', 'resume', 'reset', 'rerun', 'hard-reset', 'cancel')


@pytest.fixture
async def dataset_id(api: Api) -> str:
    """A dataset with a task in each status: in job j0 those called gen, in job j1 those called sim."""
    dataset_id = await api.add_dataset([{'name': 'gen', 'command': 'true'}], description='all kinds\nof [tasks]')
    for place, status in enumerate(STATUSES):
        job = place % 2
        await api.add_task(
            dataset_id=dataset_id, status=status, job_id=f'j{job}', job_index=job, name=('gen', 'sim')[job]
        )
    return dataset_id


async def tasks(api: Api, dataset_id: str) -> dict[str, dict[str, Any]]:
    """The dataset's tasks by the status that they began in."""
    found = api.database.tasks.find({'dataset_id': dataset_id}, sort=[('_id', 1)])
    return dict(zip(STATUSES, [task async for task in found], strict=True))


async def changed(api: Api, dataset_id: str) -> dict[str, str]:
    """The tasks that have left the status they began in, and where they are."""
    found = await tasks(api, dataset_id)
    return {began: task['status'] for began, task in found.items() if task['status'] != began}


async def tried(api: Api, dataset_id: str, began: str, exit_code: int, site: str) -> None:
    """Let a task have had a try."""
    task_id = (await tasks(api, dataset_id))[began]['task_id']
    seen = {'outcome': {'exit_code': exit_code, 'message': ''}, 'site': site}
    await api.database.tasks.update_one({'task_id': task_id}, {'$set': seen})


async def test_a_list_shows_every_task_however_many_pages_it_takes(
    api: Api, dataset_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('iceprod_tasks.cli.tasks._PAGE', 3)

    said = await typed(api, 'tasks', 'list', dataset_id)

    assert said.out.count('task_id') == 1
    rows = [line.split() for line in said.out.splitlines() if ' gen ' in line or ' sim ' in line]
    found = await tasks(api, dataset_id)
    assert {(row[0], row[3]) for row in rows} == {(task['task_id'], status) for status, task in found.items()}


async def test_a_list_is_one_json_document_or_a_line_a_task(api: Api, dataset_id: str) -> None:
    whole = (await typed(api, 'tasks', 'list', dataset_id, '--json')).json
    lines = (await typed(api, 'tasks', 'list', dataset_id, '--jsonl', '--keys', 'site,status')).out.splitlines()

    assert Counter(task['status'] for task in whole['tasks']) == Counter(STATUSES)
    assert 'requirements' in whole['tasks'][0]
    assert [set(json.loads(line)) for line in lines] == [{'task_id', 'site', 'status'}] * len(STATUSES)


@pytest.mark.parametrize('form', ['--json', '--jsonl', ''])
async def test_a_list_of_nothing_is_a_list(api: Api, dataset_id: str, form: str) -> None:
    said = await typed(api, 'tasks', 'list', dataset_id, '--name', 'none', *([form] if form else []))

    assert said.out.strip() == {'--json': '{"tasks": []}', '--jsonl': ''}.get(form, said.out.strip())
    assert form or 'task_id' in said.out


@pytest.mark.parametrize(
    ('options', 'statuses'),
    [
        (('--status', 'failed', '--status', 'queued'), {'queued', 'failed'}),
        (('--name', 'sim'), set(STATUSES[1::2])),
        (('--job', 'j0'), set(STATUSES[0::2])),
        (('--name', 'sim', '--status', 'idle'), set()),
    ],
)
async def test_a_list_can_be_of_some_tasks_only(
    api: Api, dataset_id: str, options: tuple[str, ...], statuses: set[str]
) -> None:
    said = await typed(api, 'tasks', 'list', dataset_id, '--json', *options)

    assert {task['status'] for task in said.json['tasks']} == statuses


async def test_a_list_ends_at_its_limit(api: Api, dataset_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('iceprod_tasks.cli.tasks._PAGE', 2)

    said = await typed(api, 'tasks', 'list', dataset_id, '--json', '--limit', '3')

    assert len(said.json['tasks']) == 3


async def test_the_table_has_the_exit_code_of_the_last_try(api: Api, dataset_id: str) -> None:
    await api.database.tasks.update_one({'status': 'failed'}, {'$set': {'outcome': {'exit_code': 137}}})

    said = await typed(api, 'tasks', 'list', dataset_id, '--status', 'failed')

    assert said.out.splitlines()[0].split()[-2:] == ['exit_code', 'site']
    assert said.out.splitlines()[2].split()[-2] == '137'


async def test_of_those_refused_alike_one_is_shown_unless_they_are_named(api: Api, dataset_id: str) -> None:
    await api.database.tasks.update_many({'status': {'$ne': 'idle'}}, {'$set': {'status': 'complete'}})
    named = [task['task_id'] async for task in api.database.tasks.find({'status': 'complete'}).limit(3)]

    everything = await typed(api, 'tasks', 'suspend', dataset_id, '--dry-run')
    some = await typed(api, 'tasks', 'suspend', dataset_id, *named, '--dry-run', code=6)

    assert everything.out.count('  refused ') == 1
    assert some.out.count('  refused ') == 3


async def test_keys_are_the_columns_of_the_table(api: Api, dataset_id: str) -> None:
    said = await typed(api, 'tasks', 'list', dataset_id, '--keys', 'job_index,outcome', '--limit', '1')

    assert said.out.split()[:3] == ['task_id', 'job_index', 'outcome']
    assert said.out.split()[-2:] == ['0', '-']


async def test_a_task_is_shown_to_operators_by_its_id_alone(api: Api, dataset_id: str) -> None:
    task_id = (await tasks(api, dataset_id))['failed']['task_id']

    facts = await typed(api, 'tasks', 'show', task_id)
    document = await typed(api, 'tasks', 'show', task_id, '--json')

    assert ['status', 'failed'] in [line.split() for line in facts.out.splitlines()]
    assert document.json['task_id'] == task_id


async def test_a_task_is_found_for_its_user_among_all_datasets(api: Api) -> None:
    ada = api.as_('user', 'ada')
    made = [await ada.add_dataset([{'name': 'gen', 'command': 'true'}], group='users') for _ in range(3)]
    task_id = await api.add_task(dataset_id=made[1])

    for options in ((), ('--dataset', made[1])):
        said = await typed(api, 'tasks', 'show', task_id, '--json', *options, token=api.token('user', 'ada'))

        assert said.json['dataset_id'] == made[1]
        assert 'claim_id' not in said.json


async def test_a_task_of_others_is_not_found(api: Api, dataset_id: str) -> None:
    task_id = (await tasks(api, dataset_id))['failed']['task_id']
    await api.database.auths.update_many({}, {'$set': {'read_groups': []}})

    said = await typed(api, 'tasks', 'show', task_id, token=api.token('user', 'eve'), code=3)

    assert said.err.startswith('iceprod-tasks: there is none with this id')


async def test_messages_are_what_the_reports_said_and_cannot_move_the_cursor(api: Api) -> None:
    task_id = await api.add_task(status='queued')
    async with AsyncClient(api.url, api.token('pilot')) as client:
        claim = await client.claim({}, site='here')
        await client.reset(
            claim, reason='exit code 3', exit_code=3, site='here', stdout='one\ntwo\x1b[2J\n', stderr='\tbad\n'
        )

    said = await typed(api, 'tasks', 'messages', task_id)
    document = await typed(api, 'tasks', 'messages', task_id, '--json')

    assert 'reset at here with exit code 3 because of: exit code 3' in said.out
    assert '  stdout:\n    one\n    two [2J\n' in said.out
    assert '  stderr:\n            bad\n' in said.out
    assert [message['exit_code'] for message in document.json['messages']] == [3]


async def test_a_dry_run_tells_and_changes_nothing(api: Api, dataset_id: str) -> None:
    said = await typed(api, 'tasks', 'suspend', dataset_id, '--dry-run')

    assert said.out.splitlines()[0] == 'would change 5, unchanged 1, refused 2'
    assert 'suspend does not lead on from complete' in said.out
    assert not await changed(api, dataset_id)


async def test_without_a_terminal_nothing_is_done_unless_yes_was_said_before(api: Api, dataset_id: str) -> None:
    said = await typed(api, 'tasks', 'suspend', dataset_id, code=2)

    question = f'suspend 5 tasks of dataset {dataset_id} "all kinds of [tasks]" (2 refused, 1 unchanged)?'
    assert said.err == f'iceprod-tasks: {question} There is no terminal to answer on: use --yes\n'
    assert not await changed(api, dataset_id)


@pytest.mark.parametrize('answer', ['y', 'n', ''])
async def test_on_a_terminal_the_user_is_asked(
    api: Api, dataset_id: str, answer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('iceprod_tasks.cli.confirming.on_terminal', lambda: True)

    said = await typed(api, 'tasks', 'suspend', dataset_id, stdin=f'{answer}\n', code=0 if answer == 'y' else 1)

    assert 'suspend 5 tasks of' in said.err
    assert '[y/N]' in said.err
    assert bool(await changed(api, dataset_id)) == (answer == 'y')
    assert said.out.startswith('changed 5, unchanged 1, refused 2\n') == (answer == 'y')


@pytest.mark.parametrize('action', ACTIONS)
async def test_each_action_is_the_one_that_its_name_says(api: Api, dataset_id: str, action: str) -> None:
    said = await typed(api, 'tasks', action, dataset_id, '--yes', '--json', '--reason', 'because')

    report = said.json
    assert (report['action'], report['dry_run']) == (action.replace('-', '_'), False)
    assert report['changed'] > 0
    moved = [task['log'][-1] for task in (await tasks(api, dataset_id)).values() if task['log']]
    assert len(moved) == report['changed']
    assert {entry['why'] for entry in moved} == {'because'}


async def test_the_report_as_json_is_the_services(api: Api, dataset_id: str) -> None:
    said = await typed(api, 'tasks', 'rerun', dataset_id, '--json', '--dry-run')

    answer = await api('POST', f'/datasets/{dataset_id}/task_actions/rerun', {'dry_run': True})
    assert said.json == answer.body


async def test_nothing_to_change_is_said_and_no_error(api: Api, dataset_id: str) -> None:
    said = await typed(api, 'tasks', 'rerun', dataset_id, '--status', 'waiting')

    assert said.err == 'nothing to rerun\n'
    assert said.out == 'would change 0, unchanged 1, refused 0\n'


@pytest.mark.parametrize(
    ('options', 'moved'),
    [
        (('--name', 'gen'), {'idle', 'queued', 'reset'}),
        (('--job', 'j1'), {'waiting', 'processing'}),
        (('--status', 'idle', '--status', 'queued'), {'idle', 'queued'}),
        (('--job', 'j0', '--status', 'idle', '--name', 'gen'), {'idle'}),
        (('--exit-code', '3'), {'idle', 'waiting'}),
        (('--exit-code', '3', '--exit-code', '4'), {'idle', 'waiting', 'reset'}),
        (('--site', 'here'), {'idle', 'reset'}),
        (('--exit-code', '3', '--site', 'here'), {'idle'}),
        (('--exit-code', '3', '--name', 'gen', '--name', 'other'), {'idle'}),
        (('--exit-code', '3', '--name', 'sim'), {'waiting'}),
        (('--exit-code', '3', '--job', 'j0', '--job', 'j2'), {'idle'}),
        (('--exit-code', '3', '--status', 'waiting'), {'waiting'}),
        (('--exit-code', '0'), set()),
    ],
)
async def test_options_choose_the_tasks(api: Api, dataset_id: str, options: tuple[str, ...], moved: set[str]) -> None:
    await tried(api, dataset_id, 'idle', 3, 'here')
    await tried(api, dataset_id, 'waiting', 3, 'there')
    await tried(api, dataset_id, 'reset', 4, 'here')

    await typed(api, 'tasks', 'suspend', dataset_id, '--yes', *options)

    assert await changed(api, dataset_id) == dict.fromkeys(moved, 'suspended')


async def test_what_was_picked_here_is_refused_nowhere(api: Api, dataset_id: str) -> None:
    await tried(api, dataset_id, 'idle', 3, 'here')
    await tried(api, dataset_id, 'waiting', 3, 'here')

    said = await typed(
        api, 'tasks', 'suspend', dataset_id, '--exit-code', '3', '--name', 'gen', '--name', 'x', '--dry-run'
    )

    assert said.out == 'would change 1, unchanged 0, refused 0\n'


async def test_named_tasks_are_changed_and_a_refused_one_makes_it_partial(api: Api, dataset_id: str) -> None:
    ids = {status: task['task_id'] for status, task in (await tasks(api, dataset_id)).items()}

    await typed(api, 'tasks', 'suspend', dataset_id, ids['idle'], '--yes')
    said = await typed(api, 'tasks', 'suspend', dataset_id, ids['queued'], ids['complete'], 'nonsense', '--yes', code=6)

    assert await changed(api, dataset_id) == {'idle': 'suspended', 'queued': 'suspended'}
    assert said.out.splitlines()[0] == 'changed 1, unchanged 0, refused 2'
    assert f'  refused {ids["complete"]}: suspend does not lead on from complete\n' in said.out
    assert '  refused nonsense: not a task of this dataset that was asked for\n' in said.out


async def test_ids_come_from_stdin_in_portions_that_the_service_takes(
    api: Api, dataset_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('iceprod_tasks.cli.picking.AT_ONCE', 2)
    ids = [task['task_id'] for task in (await tasks(api, dataset_id)).values()]

    said = await typed(api, 'tasks', 'suspend', dataset_id, '-', '--yes', '--json', stdin='\n'.join(ids), code=6)

    report = said.json
    assert (report['changed'], report['unchanged'], report['refused']) == (5, 1, 2)
    assert {verdict: len(examples) for verdict, examples in report['examples'].items()} == {
        'changed': 5, 'unchanged': 1, 'refused': 2,
    }  # fmt: skip
    assert len(await changed(api, dataset_id)) == 5


@pytest.mark.parametrize('words', [('-',), ('--exit-code', '99'), ('--site', 'nowhere')])
async def test_no_ids_are_not_the_same_as_all(api: Api, dataset_id: str, words: tuple[str, ...]) -> None:
    said = await typed(api, 'tasks', 'cancel', dataset_id, *words, '--yes')

    assert said.err == 'there are no such tasks\n'
    assert not await changed(api, dataset_id)


async def test_named_tasks_and_a_choice_among_others_are_not_mixed(api: Api) -> None:
    said = await typed(api, 'tasks', 'cancel', 'd1', 't1', '--site', 'here', '--yes', code=2)

    assert 'take neither --job nor --exit-code nor --site' in said.err


async def test_tasks_of_a_dataset_without_a_record_can_be_acted_on(api: Api) -> None:
    await api.add_task(dataset_id='old', status='queued')

    said = await typed(api, 'tasks', 'suspend', 'old', code=2)

    assert 'suspend 1 task of dataset old?' in said.err


@pytest.mark.parametrize(('role', 'code'), [('nobody', 4), ('user', 4), ('pilot', 4), ('admin', 3)])
async def test_what_is_not_there_or_not_allowed_is_a_line_and_a_code(api: Api, role: str, code: int) -> None:
    token = 'nonsense' if role == 'nobody' else api.token(role)

    said = await typed(api, 'tasks', 'suspend', 'nothing', '--yes', token=token, code=code)

    assert said.err.startswith('iceprod-tasks: ')
    assert (said.err.count('\n'), said.out) == (1, '')


async def test_work_that_a_pilot_holds_is_counted_as_stopping(api: Api, dataset_id: str) -> None:
    async with AsyncClient(api.url, api.token('pilot')) as client:
        await client.claim({}, lease_seconds=60)

    said = await typed(api, 'tasks', 'suspend', dataset_id, '--yes')

    assert said.out.startswith('changed 5 (1 of them must stop first), unchanged 1, refused 2\n')


async def test_the_history_of_a_task_is_a_table_of_its_changes(api: Api) -> None:
    task_id = await api.add_task(status='queued')
    async with AsyncClient(api.url, api.token('pilot')) as client:
        claim = await client.claim({}, site='here')
        await client.reset(claim, reason='exit code 3')

    said = await typed(api, 'tasks', 'history', task_id)
    document = await typed(api, 'tasks', 'history', task_id, '--json')

    lines = said.out.splitlines()
    assert lines[0].split() == ['when', 'transition', 'from', 'to', 'why', 'who', 'epoch']
    assert [line.split()[1:4] for line in lines[2:5]] == [
        ['create', '-', 'queued'], ['claim', 'queued', 'processing'], ['reset', 'processing', 'reset'],
    ]  # fmt: skip
    assert 'exit code 3' in lines[4]
    assert lines[-1] == 'reset; failures: 1, evictions: 0, epoch: 1'
    assert document.json == (await api('GET', f'/tasks/{task_id}/history')).body


async def test_a_history_shows_where_older_changes_are_left_out(api: Api) -> None:
    task_id = await api.add_task(status='queued')
    for number in range(51):
        await api('PUT', f'/tasks/{task_id}/status', {'status': ('reset', 'waiting')[number % 2]})

    said = await typed(api, 'tasks', 'history', task_id)

    gaps = [number for number, line in enumerate(said.out.splitlines()) if line.startswith('...')]
    assert gaps == [3]


async def test_the_history_of_an_unknown_task_is_not_found(api: Api) -> None:
    said = await typed(api, 'tasks', 'history', 'none', code=3)

    assert said.err == 'iceprod-tasks: Task not found (404)\n'
