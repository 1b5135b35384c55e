"""What speaks Vappio's language, and tasks to speak of."""

import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pymongo
import pytest
from bson import ObjectId

from iceprod_tasks.rest.identity.tokens import Tokens
from iceprod_tasks.server import running
from iceprod_tasks.settings import Settings
from tests.conftest import DRIVER, SECRET, Answer, Api

PATH = '/vappio/task_ws.py'
FORM = {'Content-Type': 'application/x-www-form-urlencoded'}


async def post(api: Api, request: Any, **headers: str) -> Answer:
    """The answer to a form with an object in it; a text goes as it is."""
    text = request if isinstance(request, str) else json.dumps(request)
    return await api('POST', PATH, content=f'request={quote(text)}', headers=FORM | headers)


async def get(api: Api, request: Any) -> Answer:
    text = request if isinstance(request, str) else json.dumps(request)
    return await api('GET', f'{PATH}?request={quote(text)}')


def failure(answer: Answer) -> str:
    """What a failure says, once it has the form of one."""
    assert answer.headers['Content-Type'] == 'application/json; charset=utf-8'
    assert set(answer.body) == {'success', 'data'}, answer.text
    assert answer.body['success'] is False
    assert set(answer.body['data']) == {'msg', 'name', 'stacktrace'}
    assert all(isinstance(value, str) for value in answer.body['data'].values())
    return str(answer.body['data']['msg'])


def tasks_in(answer: Answer) -> list[dict[str, Any]]:
    """The tasks of a success."""
    assert answer.status == 200, answer.text
    assert set(answer.body) == {'success', 'data'}
    assert answer.body['success'] is True, answer.text
    return list(answer.body['data'])


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


async def tell(api: Api, task_id: str, **fields: Any) -> None:
    """Write fields of a task behind the service's back."""
    await api.database.tasks.update_one({'task_id': task_id}, {'$set': fields})


async def renumber(api: Api, task_id: str, stamp: bytes) -> None:
    """Give a task's document another id."""
    task = await api.database.tasks.find_one_and_delete({'task_id': task_id})
    await api.database.tasks.insert_one({**task, '_id': ObjectId(stamp)})


@contextlib.asynccontextmanager
async def serving(mongodb_url: str, database: str, **given: Any) -> AsyncIterator[Api]:
    """A service of its own, until the end of the block."""
    tokens = Tokens(SECRET)
    settings = Settings(
        token_secret=SECRET,
        port=0,
        scheduler=False,
        mongodb_database=database,
        mongodb_driver=DRIVER,
        drain_seconds=1.0,
    ).override(**given)
    client: pymongo.AsyncMongoClient[dict[str, Any]] = pymongo.AsyncMongoClient(mongodb_url)
    async with client, running(settings, mongodb_url, tokens) as up:
        api = Api(up, tokens, client[database])
        yield api
        await api.close()


class Nobody(Api):
    """Asks without a token."""

    async def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        options['headers'] = {'Authorization': '', **options.get('headers', {})}
        return await super().__call__(method, path, body, **options)


def without_token(api: Api) -> Api:
    """The same service, asked by nobody that it knows."""
    other = object.__new__(Nobody)
    other.__dict__ |= api.__dict__
    return other


@pytest.fixture
def nobody(api: Api) -> Api:
    return without_token(api)
