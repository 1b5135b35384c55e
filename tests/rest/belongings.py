"""A dataset with one of everything at least, and all that the database has of one."""

from typing import Any

from iceprod_tasks.actions.materialize import materialize_all
from iceprod_tasks.domain.tasks import new_id
from iceprod_tasks.scheduler.scheduler import Scheduler
from tests.conftest import Api

COLLECTIONS = (
    'tasks',
    'jobs',
    'files',
    'messages',
    'logs',
    'task_stats',
    'outputs',
    'node_results',
    'config',
    'auths',
    'datasets',
)
TASKS = [
    {'name': 'gen', 'command': 'true', 'files': [{'filename': 'f', 'movement': 'input'}]},
    {'name': 'sim', 'command': 'true', 'depends': ['gen']},
]
COUNTS = {'tasks': 6, 'jobs': 3, 'files': 3, 'messages': 1, 'logs': 2, 'task_stats': 1, 'outputs': 2, 'node_results': 1}
"""What belongs to a dataset of `add_whole`, beside its config, access and record."""


async def add_whole(api: Api, **fields: Any) -> str:
    """A dataset with one of everything at least, nothing of it running; its id."""
    dataset_id = await api.add_dataset(TASKS, jobs=3, **fields)
    await materialize_all(api.service)
    await Scheduler(api.service).sweep()
    claim = {'query_params': {'dataset_id': dataset_id}, 'claim_id': new_id()}
    task = (await api('POST', '/task_actions/process', claim)).body
    report = {'claim_id': claim['claim_id'], 'reason': 'out of luck', 'resources': {'memory': 2.5}}
    assert (await api('POST', f'/tasks/{task["task_id"]}/task_actions/failed', report)).status == 200
    mine = {'dataset_id': dataset_id, 'task_id': task['task_id']}
    await api.database.logs.insert_many([{**mine, 'log_id': new_id(), 'data': 'text'} for _ in range(2)])
    await api.database.task_stats.insert_one({**mine, 'task_stat_id': new_id(), 'stats': {'a': 1}})
    printed = [{**mine, 'output_id': new_id(), 'data': b'\x00text', 'start': 0, 'end': 5} for _ in range(2)]
    await api.database.outputs.insert_many(printed)
    await api.database.node_results.insert_one({**mine, 'node_result_id': new_id(), 'nodes': ['n1']})
    api.service.news.take()
    return dataset_id


async def everything(api: Api, dataset_id: str) -> dict[str, list[dict[str, Any]]]:
    """All documents that name a dataset, by collection, in a fixed order."""
    found = {}
    for name in COLLECTIONS:
        cursor = api.database[name].find({'dataset_id': dataset_id}, sort=[('_id', 1)])
        found[name] = [document async for document in cursor]
    return found


async def counts(api: Api, dataset_id: str) -> dict[str, int]:
    """How many documents name a dataset, by collection; only where there are some."""
    return {name: len(found) for name, found in (await everything(api, dataset_id)).items() if found}


async def end(api: Api, dataset_id: str, status: str = 'complete', *, days_ago: float = 0.0) -> None:
    """As if the dataset had ended a while ago, all its tasks with it."""
    await api.database.tasks.update_many({'dataset_id': dataset_id}, {'$set': {'status': 'complete'}})
    ago = {'$subtract': ['$$NOW', round(days_ago * 86_400_000)]}
    change = [{'$set': {'status': status, 'status_changed': ago}}]
    await api.database.datasets.update_one({'dataset_id': dataset_id}, change)


async def let_go(api: Api) -> None:
    """As if everybody that was at work on a deletion had been gone for a while."""
    change = [{'$set': {'deleting.until': {'$subtract': ['$$NOW', 1]}}}]
    await api.database.datasets.update_many({'deleting.until': {'$exists': True}}, change)
