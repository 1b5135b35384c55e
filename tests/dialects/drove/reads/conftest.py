"""Who reads in Drove's language: people with accounts who ask over HTTP, or by its own command line."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from iceprod_tasks.domain.accounts import new_account
from iceprod_tasks.domain.passwords import hashed
from tests.conftest import Answer, Api
from tests.dialects.drove.cli import DroveCli
from tests.dialects.drove.conftest import PASSWORD, basic

ACCOUNTS: Mapping[str, str] = {'ann': 'admin', 'sys': 'system', 'una': 'user', 'pip': 'pilot'}
"""The name of each account, and its role."""

_KEPT = hashed(PASSWORD)


@dataclass(frozen=True)
class Drove:
    """The service, asked in Drove's language with the name and password of an account.

    Args:
        api: the service.
        name: of the account; '' for nobody.
    """

    api: Api
    name: str = 'ann'

    def as_(self, name: str) -> 'Drove':
        return Drove(self.api, name)

    async def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        who = basic(self.name) if self.name else {'Authorization': ''}
        headers = {**who, **options.pop('headers', {})}
        return await self.api(method, f'/apis/v1{path}', body, headers=headers, **options)

    async def data(self, path: str, **query: Any) -> Any:
        """What a successful question brings."""
        return succeeded(await self('GET', path, params=query))


def succeeded(answer: Answer) -> Any:
    """The data of a success, once it has the form of one."""
    assert answer.status == 200, answer.text
    assert (answer.body['status'], answer.body['message']) == ('SUCCESS', 'success'), answer.text
    assert set(answer.body) <= {'status', 'data', 'message'}
    assert ':null' not in answer.text
    return answer.body.get('data')


def failed(answer: Answer, status: int = 400) -> tuple[str, Any]:
    """The message and the data of a failure, once it has the form of one."""
    assert (answer.status, answer.body['status']) == (status, 'FAILED'), answer.text
    assert set(answer.body) <= {'status', 'data', 'message'}
    assert ':null' not in answer.text
    return answer.body['message'], answer.body.get('data')


def errors_in(answer: Answer) -> list[str]:
    """What a refusal says is wrong."""
    return list(failed(answer)[1]['validationErrors'])


@pytest.fixture
async def drove(api: Api) -> Drove:
    """The service, asked by an admin."""
    for name, role in ACCOUNTS.items():
        await api.service.store.accounts.add(new_account(name, [role], [], _KEPT, datetime.now(UTC)))
    return Drove(api)


@pytest.fixture
def cli(drove: Drove, tmp_path: Path) -> DroveCli:
    """The command line, used by an admin."""
    return DroveCli(tmp_path, drove.api.url, 'ann', PASSWORD)
