"""What people do during a run: submit datasets, hold them back for a while, cancel tasks and let them run again."""

import asyncio
import json
import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from iceprod_tasks.client import AsyncClient, ClientError
from tests.faults.final import Submission
from tests.journeys.commands import EXAMPLE

_WORK = Path(__file__).with_name('work.py')
_BACKLOG = 60
"""More is submitted when fewer tasks than these are left."""
_LOOK_SECONDS = 1.0
_WATCHED = 3


class Workload:
    """Submits and operates.

    Args:
        client: as somebody who may do everything.
        work_log: where tasks write that they work.
        seed: decides what.
    """

    def __init__(self, client: AsyncClient, work_log: Path, seed: int) -> None:
        self._client = client
        self._work_log = work_log
        self._chance = random.Random(f'{seed}/workload')
        self._operator = random.Random(f'{seed}/operator')
        self.submissions: list[Submission] = []
        self.primes = ''

    async def run(self, seconds: float) -> None:
        """Go on for some seconds."""
        end = asyncio.get_running_loop().time() + seconds
        await asyncio.gather(self._submit_all(end), self._operate(end))

    async def mend(self) -> None:
        """Let everything go on that was held back or cancelled, also where the request came to nothing then."""
        while held := await self._held():
            for dataset_id in held:
                await self._client.act_on_dataset(dataset_id, 'resume')
                await self._client.act_on_dataset(dataset_id, 'rerun')
            await asyncio.sleep(_LOOK_SECONDS)

    async def _held(self) -> list[str]:
        tasks = [task async for task in self._client.tasks(keys=['dataset_id', 'status', 'stop'])]
        held = {task['dataset_id'] for task in tasks if task['status'] in ('suspended', 'failed') or task.get('stop')}
        return sorted(held)

    async def _submit_all(self, end: float) -> None:
        loop = asyncio.get_running_loop()
        while not self.primes:
            example = json.loads(EXAMPLE.read_text())
            self.primes = await self._submit(example, example['jobs'])
        while loop.time() < end:
            if await self._left() < _BACKLOG:
                await self._submit(*self._filler())
            await asyncio.sleep(_LOOK_SECONDS)

    async def _submit(self, config: dict[str, Any], jobs: int) -> str:
        """Submit once; its id, or nothing when no answer came."""
        tasks_per_job = len(config['tasks'])
        submission = Submission(f'{config["description"]} ({len(self.submissions)})', jobs, tasks_per_job)
        dataset: Any = {
            'description': submission.description,
            'jobs_submitted': jobs,
            'tasks_per_job': tasks_per_job,
            'tasks_submitted': jobs * tasks_per_job,
            'group': 'users',
            'config': config,
        }
        try:
            submission = replace(submission, dataset_id=await self._client.submit_dataset(dataset))
        except ClientError:
            await asyncio.sleep(_LOOK_SECONDS)
        self.submissions.append(submission)
        return submission.dataset_id

    def _filler(self) -> tuple[dict[str, Any], int]:
        """Jobs of two tasks; mostly short ones, sometimes some that outlive their first lease."""
        chance = self._chance
        seconds, jobs = (chance.uniform(0.1, 1.5), 25) if chance.random() < 0.7 else (chance.uniform(5, 8), 5)
        tasks = [
            {'name': 'gen', 'command': self._command(chance.uniform(0.05, 0.5), failures=chance.choice([0, 0, 1]))},
            {'name': 'sim', 'command': self._command(seconds, failures=0), 'depends': ['gen']},
        ]
        return {'version': 1, 'description': 'filler', 'tasks': tasks}, jobs

    def _command(self, seconds: float, failures: int) -> list[str]:
        return [sys.executable, '-I', '-S', str(_WORK), str(self._work_log), f'{seconds:.2f}', str(failures)]

    async def _left(self) -> int:
        try:
            # Whoever was asked keeps the numbers from then on, through all that happens.
            for each in self.submissions[-_WATCHED:]:
                await self._client.task_counts(each.dataset_id)
            counts = await self._client.task_counts()
        except ClientError:
            return _BACKLOG
        return sum(count for status, count in counts.items() if status != 'complete')

    async def _operate(self, end: float) -> None:
        chance = self._operator
        while asyncio.get_running_loop().time() < end:
            await asyncio.sleep(chance.uniform(3, 8))
            known = [each.dataset_id for each in self.submissions if each.dataset_id]
            if known:
                try:
                    await self._act(chance.choice(known), chance)
                except ClientError:
                    continue

    async def _act(self, dataset_id: str, chance: random.Random) -> None:
        if chance.random() < 0.5:
            await self._client.act_on_dataset(dataset_id, 'suspend')
            await asyncio.sleep(chance.uniform(0.5, 3))
            await self._client.act_on_dataset(dataset_id, 'resume')
        else:
            found = await self._client.dataset_tasks(dataset_id, ['waiting', 'queued', 'processing'], ['task_id'])
            tasks = chance.sample(sorted(found), k=min(3, len(found)))
            await self._client.act_on_tasks(dataset_id, 'cancel', tasks=tasks)
            await asyncio.sleep(chance.uniform(0.5, 3))
            await self._client.act_on_tasks(dataset_id, 'rerun', tasks=tasks)
