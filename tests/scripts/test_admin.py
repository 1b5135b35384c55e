"""scripts/admin against a real service: what each one changes and prints, over more than one page."""

import asyncio
import importlib.util
import os
import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Api

ADMIN = Path(__file__).resolve().parents[2] / 'scripts' / 'admin'
SCRIPTS = sorted(path.name for path in ADMIN.glob('*.py') if path.name != 'rest.py')
GEN = {'name': 'gen', 'command': 'true'}
PATIENCE_SECONDS = 60

Run = Callable[..., Awaitable[tuple[str, str]]]


@pytest.fixture
def run(api: Api, tmp_path: Path) -> Run:
    """Runs a script as its user does, from any folder; what it printed. Pages have two tasks."""
    small = tmp_path / 'small'
    small.mkdir()
    for path in ADMIN.glob('*.py'):
        text = re.sub(r'^(PAGE|AT_ONCE) = .*', r'\1 = 2', path.read_text(encoding='utf-8'), flags=re.M)
        (small / path.name).write_text(text, encoding='utf-8')

    async def run(name: str, *words: str, code: int = 0, token: str | None = None, **variables: str) -> tuple[str, str]:
        environment = {
            'PATH': os.environ['PATH'], 'no_proxy': '*', 'ICEPROD_TASKS_SERVER': api.url,
            'ICEPROD_TASKS_TOKEN': api.token('admin') if token is None else token, **variables,
        }  # fmt: skip
        pipe = asyncio.subprocess.PIPE
        # -S: nothing but the standard library.
        argv = (sys.executable, '-S', small / name, *words)
        process = await asyncio.create_subprocess_exec(*argv, env=environment, stdout=pipe, stderr=pipe, cwd=tmp_path)
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
        assert process.returncode == code, (out, err)
        return out.decode(), err.decode()

    return run


@pytest.fixture
async def dataset_id(api: Api, chores: Callable[[], Awaitable[None]]) -> str:
    """A dataset of five jobs of one task."""
    dataset_id = await api.add_dataset([GEN], jobs=5)
    await chores()
    return dataset_id


async def tasks(api: Api) -> list[dict[str, Any]]:
    return [task async for task in api.database.tasks.find({}, sort=[('job_index', 1)])]


async def become(api: Api, **fields: list[Any]) -> None:
    """Give the tasks, in their order, values of some fields."""
    for place, task in enumerate(await tasks(api)):
        values = {name: given[place] for name, given in fields.items()}
        await api.database.tasks.update_one({'_id': task['_id']}, {'$set': values})


def test_the_scripts_are_short_and_listed() -> None:
    readme = (ADMIN / 'README.md').read_text(encoding='utf-8')

    assert SCRIPTS
    for name in SCRIPTS:
        assert f'| `{name} ' in readme
        assert len((ADMIN / name).read_text(encoding='utf-8').splitlines()) <= 60


@pytest.mark.parametrize('name', SCRIPTS)
async def test_every_script_explains_itself(run: Run, name: str) -> None:
    out, _ = await run(name, '--help')

    text = (ADMIN / name).read_text(encoding='utf-8')
    assert text.splitlines()[0].removeprefix('"""').split()[0] in out
    assert ('--dry-run' in out) == ("'POST'" in text or "'PATCH'" in text)


async def test_failed_tasks_are_reset(api: Api, run: Run, dataset_id: str) -> None:
    await become(api, status=['failed', 'complete', 'failed', 'waiting', 'suspended'])

    dry, _ = await run('reset_failed.py', dataset_id, '--dry-run')
    before = [task['status'] for task in await tasks(api)]
    out, _ = await run('reset_failed.py', dataset_id)

    assert dry == 'tasks: would change 2, unchanged 0, refused 0\n'
    assert before == ['failed', 'complete', 'failed', 'waiting', 'suspended']
    assert out == 'tasks: changed 2, unchanged 0, refused 0\n'
    assert [task['status'] for task in await tasks(api)] == ['reset', 'complete', 'reset', 'waiting', 'suspended']


async def test_a_dataset_is_suspended_and_resumed(api: Api, run: Run, dataset_id: str) -> None:
    dry, _ = await run('suspend.py', dataset_id, '--dry-run')
    before = (await api('GET', f'/datasets/{dataset_id}')).body['status']
    out, _ = await run('suspend.py', dataset_id, '--reason', 'holidays')
    suspended = await tasks(api)
    dry_resume, _ = await run('resume.py', dataset_id, '--dry-run')
    resumed, _ = await run('resume.py', dataset_id)

    five = 'jobs: {0} 5, unchanged 0, refused 0\ntasks: {0} 5, unchanged 0, refused 0\n'
    assert (dry, before) == ('dataset: would change, is processing\n' + five.format('would change'), 'processing')
    assert out == 'dataset: changed, suspended\n' + five.format('changed')
    assert [(task['status'], task['log'][-1]['why']) for task in suspended] == [('suspended', 'holidays')] * 5
    assert dry_resume.endswith(five.format('would change'))
    assert resumed == 'dataset: changed, processing\n' + five.format('changed')


async def test_requirements_are_set_by_name(api: Api, run: Run, dataset_id: str) -> None:
    words = (dataset_id, 'gen', 'memory=8', 'cpu=2', 'os=a,b', 'site=here')

    dry, _ = await run('set_requirements.py', *words, '--dry-run')
    before = [task['requirements'].get('site') for task in await tasks(api)]
    out, _ = await run('set_requirements.py', *words)

    wanted = {'memory': 8.0, 'cpu': 2, 'os': ['a', 'b'], 'site': 'here'}
    assert (dry, before) == (f'would set {wanted} for 5 tasks\n', [None] * 5)
    assert out == f'set {wanted} for 5 tasks\n'
    assert all(task['requirements'].items() >= wanted.items() for task in await tasks(api))


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (('gen', 'memory'), 'not a requirement: memory\n'),
        (('gen', 'colour=blue'), 'not a requirement: colour=blue\n'),
        (('gen', 'cpu=1.5'), 'not a requirement: cpu=1.5\n'),
        (('none', 'cpu=1'), 'the dataset has no tasks called none\n'),
    ],
)
async def test_requirements_that_cannot_be_set_are_a_line(
    run: Run, dataset_id: str, words: tuple[str, ...], said: str
) -> None:
    _, err = await run('set_requirements.py', dataset_id, *words, code=1)

    assert err == said


async def test_failed_tasks_run_again_by_exit_code(api: Api, run: Run, dataset_id: str) -> None:
    outcomes = [*({'result': 'failed', 'exit_code': code} for code in (3, 4, 3, 137)), None]
    await become(api, status=['failed', 'failed', 'failed', 'failed', 'failed'], outcome=outcomes)

    dry, _ = await run('rerun_by_exit_code.py', dataset_id, '3', '137', '--dry-run')
    before = [task['status'] for task in await tasks(api)]
    out, _ = await run('rerun_by_exit_code.py', dataset_id, '3', '137')
    none, _ = await run('rerun_by_exit_code.py', dataset_id, '99')

    assert dry == 'tasks: would change 3, unchanged 0, refused 0\n'
    assert before == ['failed'] * 5
    assert out == 'tasks: changed 3, unchanged 0, refused 0\n'
    assert none == 'tasks: changed 0, unchanged 0, refused 0\n'
    assert [task['status'] for task in await tasks(api)] == ['waiting', 'failed', 'waiting', 'waiting', 'failed']


async def test_tasks_are_counted_by_site(api: Api, run: Run, dataset_id: str) -> None:
    statuses = ['complete', 'failed', 'complete', 'waiting', 'complete']
    await become(api, status=statuses, site=['a', 'a', 'a', '', 'b'])
    await api.add_task(dataset_id='other', status='idle')

    of_one, _ = await run('count_by_site.py', dataset_id)
    of_all, _ = await run('count_by_site.py')

    assert [line.split(maxsplit=2) for line in of_one.splitlines()] == [
        ['a', '3', '2 complete, 1 failed'], ['-', '1', '1 waiting'], ['b', '1', '1 complete'],
    ]  # fmt: skip
    assert [line.split()[:2] for line in of_all.splitlines()] == [['a', '3'], ['-', '2'], ['b', '1']]


async def test_stragglers_are_those_that_run_longer_than_others_did(api: Api, run: Run, dataset_id: str) -> None:
    await become(
        api, status=['complete', 'complete', 'processing', 'processing', 'processing'], walltime=[1.0, 3.0, 0, 0, 0]
    )
    for place, hours in ((2, 7), (3, 5)):
        began = [{'$set': {'status_changed': {'$subtract': ['$$NOW', hours * 3_600_000]}, 'site': 'here'}}]
        await api.database.tasks.update_one({'job_index': place}, began)
    await api.database.tasks.update_one({'job_index': 4}, {'$set': {'name': 'new'}})

    out, err = await run('find_stragglers.py', dataset_id)
    more, _ = await run('find_stragglers.py', dataset_id, '--factor', '2')

    task_id = (await tasks(api))[2]['task_id']
    assert re.fullmatch(rf'{task_id} gen at here: 7\.0\d hours, 3\.5 times the mean\n', out)
    assert err == 'no task is complete yet of: new\n'
    assert [line.split()[4] for line in more.splitlines()] == ['7.00', '5.00']


@pytest.mark.parametrize(
    ('given', 'said'),
    [
        ({'token': 'nonsense'}, 'GET /datasets/nothing/task_stats: 401 '),
        ({'role': 'user'}, 'GET /datasets/nothing/task_stats: 403 authorization failed\n'),
        ({'ICEPROD_TASKS_SERVER': 'http://127.0.0.1:1'}, 'GET http://127.0.0.1:1/datasets/nothing/task_stats: '),
        ({'ICEPROD_TASKS_SERVER': 'nonsense'}, 'GET nonsense/datasets/nothing/task_stats: unknown url type'),
    ],
)
async def test_what_goes_wrong_is_one_line(api: Api, run: Run, given: dict[str, str], said: str) -> None:
    options = {'token': api.token(given['role'])} if 'role' in given else given

    out, err = await run('find_stragglers.py', 'nothing', code=1, **options)

    assert err.startswith(said)
    assert (out, err.count('\n')) == ('', 1)


def test_the_token_follows_no_link_to_another_server() -> None:
    spec = importlib.util.spec_from_file_location('rest_of_admin', ADMIN / 'rest.py')
    assert spec
    assert spec.loader
    rest = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rest)

    assert rest._next_page('<http://elsewhere/tasks?after=b>; rel="next"') == '/tasks?after=b'
    assert rest._next_page('</tasks>; rel="prev"') == rest._next_page('') == ''


async def test_an_action_on_nothing_is_one_line(run: Run) -> None:
    _, err = await run('suspend.py', 'no thing/x', code=1)

    assert err == 'POST /datasets/no%20thing%2Fx/dataset_actions/suspend: 404 Not found\n'
