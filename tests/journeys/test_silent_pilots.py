"""Pilots that are silent lose their tasks, by a service with settings of its own; those that are heard of keep them."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from iceprod_tasks.client import AsyncClient, Conflict
from tests.journeys.commands import Commands

SETTINGS = ('--lease', '4', '--heartbeat', '0.2', '--max-evictions', '1', '--unleased-grace', '1')
PATIENCE_SECONDS = 60


async def ended(client: AsyncClient, task_id: str, *statuses: str) -> Any:
    """The task once it has one of some statuses."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (task := await client.task(task_id))['status'] not in statuses:
            await asyncio.sleep(0.1)
    return task


async def test_a_silent_pilot_loses_its_task_and_one_that_is_heard_of_does_not(tmp_path: Path) -> None:
    task = {'dataset_id': 'd', 'job_id': 'j', 'job_index': 0, 'depends': [], 'requirements': {'time': 0}}
    with Commands(tmp_path) as commands:
        await asyncio.to_thread(commands.serve, *SETTINGS)
        async with AsyncClient(commands.url, commands.token('admin')) as client:
            for index, name in enumerate(('heard of', 'silent', 'old')):
                await client._post('/tasks', {**task, 'status': 'queued', 'name': name, 'task_index': index})
            heard_of, silent = await client.claim({}), await client.claim({})
            old = await client._post('/task_actions/process', {})

            taken = asyncio.gather(*(ended(client, each, 'queued') for each in (silent.task_id, old['task_id'])))
            told = [await client.heartbeat(heard_of)]
            # Longer than two leases.
            while not taken.done() or len(told) < 45:
                await asyncio.sleep(told[-1]['again_in'])
                told.append(await client.heartbeat(heard_of))
            await client.complete(heard_of)
            with pytest.raises(Conflict):
                await client.complete(silent)
            again = {claim.name: claim for claim in [await client.claim({}), await client.claim({})]}
            lost = await ended(client, silent.task_id, 'failed')
            kept = await client.task(heard_of.task_id)

    assert [task['evictions'] for task in taken.result()] == [1, 1]
    assert {(each['action'], each['again_in'], each['lease_seconds']) for each in told} == {('continue', 0.2, 4.0)}
    assert (kept['status'], kept['epoch'], kept['evictions']) == ('complete', 1, 0)
    assert {name: claim.epoch for name, claim in again.items()} == {'silent': 2, 'old': 2}
    assert (lost['evictions'], lost['failures'], lost['outcome']['result']) == (1, 0, 'lost')
