"""Add up what the tasks of docs/examples/primes.json printed, as the service kept it.

    python docs/examples/primes_sum.py DATASET_ID

The service and a token come from ICEPROD_TASKS_SERVER and ICEPROD_TASKS_TOKEN.
"""

import asyncio
import os
import sys

from iceprod_tasks.client import AsyncClient


async def primes(dataset_id: str) -> int:
    """The sum over all jobs; each job was counted twice, in two ways that must agree."""
    counted: dict[str, dict[int, int]] = {'count': {}, 'check': {}}
    async with AsyncClient(os.environ['ICEPROD_TASKS_SERVER'], os.environ['ICEPROD_TASKS_TOKEN']) as client:
        tasks = await client.dataset_tasks(dataset_id, status=['complete'], keys=['name', 'job_index'])
        for task_id, task in tasks.items():
            messages = await client.messages(task_id)
            counted[task['name']][task['job_index']] = int(messages[-1]['stdout'])
    if counted['count'] != counted['check']:
        sys.exit('the two ways of counting do not agree')
    return sum(counted['check'].values())


if __name__ == '__main__':
    print(asyncio.run(primes(sys.argv[1])))
