"""A service with one of each thing, under names that are known beforehand."""

from typing import Any

import pytest

from tests.actions import operated
from tests.conftest import Answer, Api

FORBIDDEN = ('Traceback', 'pymongo', 'motor', 'bson', 'site-packages', 'iceprod_tasks/', 'mongodb://')


@pytest.fixture
async def world(api: Api) -> Api:
    """The service, with what `KNOWN` names."""
    database = api.database
    for task_id in ('t1', 't2'):
        made = await api.add_task(name='gen', job_id='j1', status='waiting')
        await database.tasks.update_one({'task_id': made}, {'$set': {'task_id': task_id}})
    dataset_id = await api.add_dataset([{'name': 'gen', 'command': 'true'}])
    for name in ('datasets', 'auths', 'config'):
        await database[name].update_many({'dataset_id': dataset_id}, {'$set': {'dataset_id': 'real'}})
    made: dict[str, tuple[str, dict[str, Any], str]] = {
        'jobs': ('/jobs', {'dataset_id': 'd1', 'job_index': 0}, 'j1'),
        'logs': ('/logs', {'data': 'x', 'dataset_id': 'd1', 'task_id': 't1'}, 'l1'),
        'pilots': ('/pilots', {'queue_host': 'h', 'queue_version': '1', 'resources': {}}, 'p1'),
        'grids': ('/grids', {'host': 'h', 'queues': {}, 'version': '1'}, 'g1'),
        'task_stats': ('/tasks/t1/task_stats', {'dataset_id': 'd1'}, 's1'),
    }
    for collection, (path, body, name) in made.items():
        answer = await api('POST', path, body)
        key = f'{collection.removesuffix("s")}_id'
        await database[collection].update_one({key: answer.body['result']}, {'$set': {key: name}})
    await api('PUT', '/users/ada')
    await operated.made(api)
    return api


def check(answer: Answer) -> None:
    """The rule of every answer: never ours to blame, JSON, and nothing of the inside."""
    assert answer.status < 500, answer.text
    assert not any(word in answer.text for word in FORBIDDEN), answer.text
    if answer.status >= 400 and 'success' in answer.body:
        # A dialect has a shape of its own.
        assert answer.body['data']['msg']
    elif answer.status >= 400 and 'status' in answer.body:
        assert answer.body['status'] == 'FAILED'
        assert answer.body['message']
    elif answer.status >= 400:
        assert answer.body['code'] == answer.status
        assert isinstance(answer.body['error'], str)
        assert answer.body['error']
    else:
        assert answer.headers['Content-Type'] in (
            'application/json; charset=utf-8', 'application/x-ndjson', 'application/gzip', 'application/octet-stream',
        )  # fmt: skip
