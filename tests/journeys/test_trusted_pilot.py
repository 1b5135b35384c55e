"""A pilot that sites can trust, as users and operators see it: the real service, real pilots, real ssh."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from iceprod_tasks.client import AsyncClient
from iceprod_tasks.domain.outputs import KEPT_BYTES
from iceprod_tasks.pilot import BlackHole, Pilot, Plan
from iceprod_tasks.pilot.nodes import node_rules
from tests.cli.typed import typed
from tests.conftest import Api
from tests.fanout.sshd import sshd
from tests.pilot.conftest import ENVIRONMENT, OFFER

PHASES = ['provisioning', 'starting', 'running', 'run_completed', 'deprovisioning']
GROWS = 'import time; held = bytearray(700 * 10**6); time.sleep(2)'
TALKS = 'import os; block = b"0123456789abcdef" * 4096; [os.write(1, block) for _ in range(160)]; print("the end")'

Chores = Callable[[], Any]


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(
        offer=replace(OFFER, memory_gb=4.0), slots=(ENVIRONMENT,), name='p', workdir=tmp_path, poll_seconds=0.2,
        host='here', presence_seconds=0.2,
    )  # fmt: skip


@asynccontextmanager
async def flying(api: Api, plan: Plan, chores: Chores) -> AsyncIterator[Pilot]:
    """A pilot at work, and the chores beside it."""

    async def care() -> None:
        while True:
            await chores()
            await asyncio.sleep(0.05)

    async with AsyncClient(api.url, api.token('pilot')) as client, asyncio.timeout(120):
        pilot = Pilot(client, plan)
        working, caring = asyncio.ensure_future(pilot.run()), asyncio.ensure_future(care())
        try:
            yield pilot
        finally:
            caring.cancel()
            pilot.stop()
            await asyncio.gather(working, caring, return_exceptions=True)


async def until(api: Api, task_id: str, *statuses: str) -> dict[str, Any]:
    async with asyncio.timeout(90):
        while (task := (await api('GET', f'/tasks/{task_id}')).body)['status'] not in statuses:
            await asyncio.sleep(0.05)
    return dict(task)


async def submitted(api: Api, chores: Chores, **task: Any) -> str:
    """The id of the one task of a new dataset."""
    dataset_id = await api.add_dataset([{'name': 'work', **task}])
    await chores()
    [task_id] = (await api('GET', f'/datasets/{dataset_id}/tasks')).body
    return str(task_id)


async def test_a_task_that_outgrows_its_memory_is_complete_at_its_second_try(
    api: Api, plan: Plan, chores: Chores
) -> None:
    task_id = await submitted(api, chores, command=[sys.executable, '-c', GROWS], requirements={'memory': 0.5})

    async with flying(api, plan, chores):
        task = await until(api, task_id, 'complete', 'failed')

    [first] = [entry for entry in task['log'] if entry['transition'] == 'reset']
    [message] = [each for each in (await api('GET', f'/tasks/{task_id}/messages')).body['messages'] if each['reason']]
    used = message['resources']['memory']
    assert first['why'].startswith('over memory limit: used 0.')
    assert (task['status'], task['failures']) == ('complete', 1)
    assert 0.5 < used < 0.75
    assert task['requirements']['memory'] == pytest.approx(1.5 * used)


async def test_an_operator_reads_what_a_task_prints_before_it_ends(api: Api, plan: Plan, chores: Chores) -> None:
    task_id = await submitted(api, chores, command='echo begun; while [ ! -e go ]; do sleep 0.1; done; echo done')

    async with flying(api, plan, chores):
        # A task that nobody works on yet has nothing to follow.
        await until(api, task_id, 'processing')
        following = asyncio.ensure_future(typed(api, 'output', task_id, '--follow'))
        async with AsyncClient(api.url, api.token('admin')) as client, asyncio.timeout(10):
            while (await client.output(task_id)).data != b'begun\n':
                await asyncio.sleep(0.05)
        [work] = plan.workdir.glob('*/work')
        (work / 'go').touch()
        await until(api, task_id, 'complete')
        said = await following

    told = (await api('GET', f'/tasks/{task_id}/history')).body['phases']
    assert said.out == 'begun\ndone\n'
    assert (await typed(api, 'output', task_id)).out == 'begun\ndone\n'
    assert [each['phase'] for each in told] == PHASES


async def test_a_task_that_prints_without_end_costs_the_service_its_bound(api: Api, plan: Plan, chores: Chores) -> None:
    task_id = await submitted(api, chores, command=[sys.executable, '-c', TALKS])

    async with flying(api, plan, chores):
        await until(api, task_id, 'complete')

    kept = [len(block['data']) async for block in api.database.outputs.find({'task_id': task_id})]
    said = await typed(api, 'output', task_id)
    assert sum(kept) <= KEPT_BYTES
    assert said.out.endswith('0123456789abcdefthe end\n')
    missing = sum(int(line.split()[0].lstrip('[')) for line in said.err.splitlines())
    assert missing + len(said.out) == 160 * 65536 + len('the end\n')


async def test_of_four_nodes_one_fails_and_one_times_out_and_all_can_be_read(
    api: Api, plan: Plan, chores: Chores, tmp_path: Path
) -> None:
    folder = tmp_path / 'ssh'
    folder.mkdir()
    line = 'exec 2>/dev/null; mkdir a && { echo started; exec sleep 60; }; mkdir b && { echo bad; exit 3; }; echo fine'
    with sshd(folder) as server:
        rules = node_rules(os.environ, ['n[1-4]'], server.options)
        nodes = {'set': 'n[1-4]', 'timeout': 5, 'fanout': 4}
        task_id = await submitted(api, chores, command=line, nodes=nodes, max_evictions=0)

        async with flying(api, replace(plan, nodes=rules, black_hole_failures=1), chores):
            task = await until(api, task_id, 'reset', 'waiting', 'queued', 'complete', 'failed')
            async with asyncio.timeout(30):
                while not task['failures']:
                    task = (await api('GET', f'/tasks/{task_id}')).body
                    await asyncio.sleep(0.05)

    groups = (await api('GET', f'/tasks/{task_id}/nodes')).body['groups']
    raw = {each['node']: each for each in (await api('GET', f'/tasks/{task_id}/nodes?raw=true')).body['nodes']}
    gathered = (await typed(api, 'output', task_id, '--nodes')).out
    how = {(each['exit_code'], each['timed_out'], each['stdout']): len(each['nodes']) for each in groups}
    assert how == {(0, False, 'fine'): 2, (3, False, 'bad'): 1, (None, True, 'started'): 1}
    assert sorted(raw) == ['n1', 'n2', 'n3', 'n4']
    assert '[exit code 3]' in gathered and '[time is over]' in gathered and 'fine' in gathered
    assert 'exit code 3' in task['log'][-1]['why'] or any('exit code 3' in entry['why'] for entry in task['log'])


async def test_work_that_is_suspended_ends_within_a_heartbeat(api: Api, plan: Plan, chores: Chores) -> None:
    task_id = await submitted(api, chores, command='sleep 60')

    async with flying(api, replace(plan, lease_seconds=3.0), chores):
        task = await until(api, task_id, 'processing')
        async with asyncio.timeout(10):
            while not list(plan.workdir.glob('*/work')):
                await asyncio.sleep(0.05)
        await api('POST', f'/datasets/{task["dataset_id"]}/task_actions/suspend', {'reason': 'a pause'})
        # A third of the lease, and the time that a shell needs to end.
        async with asyncio.timeout(2.5):
            await until(api, task_id, 'suspended')


async def test_a_machine_that_fails_everything_gives_up_and_another_one_does_the_work(
    api: Api, plan: Plan, chores: Chores
) -> None:
    ids = [await submitted(api, chores, command='[ "$GOOD" = yes ]') for _ in range(8)]
    good = replace(plan, slots=({**ENVIRONMENT, 'GOOD': 'yes'},), name='good', host='good')

    async with AsyncClient(api.url, api.token('pilot')) as client:
        with pytest.raises(BlackHole):
            await Pilot(client, plan).run()
    failed = [task for each in ids if (task := (await api('GET', f'/tasks/{each}')).body)['failures']]
    async with flying(api, good, chores):
        tasks = [await until(api, each, 'complete', 'failed') for each in ids]

    assert len(failed) == 5
    assert {task['status'] for task in tasks} == {'complete'}
    assert {task['host'] for task in tasks} == {'good'}


async def test_an_operator_sees_a_pilot_and_has_it_drain(api: Api, plan: Plan, chores: Chores) -> None:
    task_id = await submitted(api, chores, command='sleep 2')
    other = await submitted(api, chores, command='true')

    async with flying(api, plan, chores):
        await until(api, task_id, 'processing')
        async with asyncio.timeout(20):
            while not (seen := (await api('GET', '/pilots')).body) or not next(iter(seen.values()))['tasks']:
                await asyncio.sleep(0.05)
        [pilot_id] = seen
        await typed(api, 'pilots', 'drain', pilot_id, '--reason', 'new disks')
        await until(api, task_id, 'complete')
        async with asyncio.timeout(20):
            while (await api('GET', '/pilots')).body:
                await asyncio.sleep(0.05)

    assert seen[pilot_id]['host'] == 'here'
    assert (await api('GET', f'/tasks/{other}')).body['status'] == 'queued'
