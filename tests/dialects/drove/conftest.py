"""Whoever speaks Drove: an operator and a user, by name and password."""

import base64
from datetime import UTC, datetime
from typing import Any

import pytest

from iceprod_tasks.domain.accounts import new_account
from iceprod_tasks.domain.passwords import hashed
from tests.conftest import Answer, Api

PASSWORD = 'correct horse'
OPERATOR, READER = 'operator', 'reader'
OPERATIONS = '/apis/v1/tasks/operations'
# A hash takes long on purpose; it is the same for all.
_HASH = hashed(PASSWORD)


def basic(name: str, password: str = PASSWORD) -> dict[str, str]:
    """The header of a name and a password."""
    return {'Authorization': 'Basic ' + base64.b64encode(f'{name}:{password}'.encode()).decode()}


class Drove:
    """The service, asked as clients of Drove do."""

    def __init__(self, api: Api) -> None:
        self.api = api

    async def __call__(
        self, method: str, path: str, body: Any = None, *, user: str = OPERATOR, **headers: str
    ) -> Answer:
        return await self.api(method, path, body, headers={**basic(user), **headers})

    async def operate(self, body: dict[str, Any] | str, user: str = OPERATOR, **headers: str) -> Answer:
        """An operation; a text goes as it is."""
        if isinstance(body, str):
            return await self.api('POST', OPERATIONS, content=body, headers={**basic(user), **headers})
        return await self('POST', OPERATIONS, body, user=user, **headers)

    async def info(self, app: str = 'TEST_APP', task: str = 'T0012') -> dict[str, Any]:
        """What is known of a task."""
        answer = await self('GET', f'/apis/v1/tasks/{app}/instances/{task}')
        assert answer.status == 200, answer.text
        assert answer.body['status'] == 'SUCCESS', answer.text
        return dict(answer.body['data'])

    async def history(self, app: str = 'TEST_APP', task: str = 'T0012') -> list[tuple[str, str]]:
        """Type and outcome of the operations on a task, the oldest first."""
        answer = await self('GET', f'/apis/v1/tasks/{app}/instances/{task}/operations')
        return [(each['type'], each['outcome']) for each in reversed(answer.body['data'])]


@pytest.fixture
async def drove(api: Api) -> Drove:
    for name, role in ((OPERATOR, 'admin'), (READER, 'user')):
        await api.service.store.accounts.add(new_account(name, [role], [], _HASH, datetime.now(UTC)))
    return Drove(api)


def reasons(answer: Answer) -> list[str]:
    """What is wrong with a request, once the refusal has its form."""
    assert answer.status == 400, answer.text
    assert set(answer.body) == {'status', 'data', 'message'}
    assert answer.body['status'] == 'FAILED'
    assert set(answer.body['data']) == {'validationErrors'}
    return list(answer.body['data']['validationErrors'])


def has_no_null(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(has_no_null, value.values()))
    return all(map(has_no_null, value)) if isinstance(value, list) else value is not None
