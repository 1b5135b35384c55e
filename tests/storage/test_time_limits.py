"""No command to the database is without an end: the driver gives each one the rest of its patience as `maxTimeMS`."""

from collections.abc import AsyncIterator
from typing import Any

import pymongo
import pytest
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from iceprod_tasks.rest.identity.tokens import Tokens
from iceprod_tasks.scheduler.scheduler import Scheduler
from iceprod_tasks.server import running
from iceprod_tasks.settings import Settings
from iceprod_tasks.storage import client as storage_client
from tests.conftest import SECRET, Api

CLAIM = '/task_actions/process'
NEVER_LONG = frozenset({'endSessions', 'hello', 'isMaster', 'killCursors', 'ping'})
"""Commands that do no work; those of the driver's own monitoring are not heard of at all."""
OF_A_CURSOR = frozenset({'getMore'})
"""Uses up what the command that has opened its cursor was given; MongoDB counts both together."""


class Heard(CommandListener):
    """Hears every command of a client."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, dict[str, Any]]] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.commands.append((event.command_name, dict(event.command)))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    """Hears the commands of clients that are made from now on."""
    listener = Heard()
    defaults = {**storage_client._DEFAULTS, 'event_listeners': [listener]}
    monkeypatch.setattr(storage_client, '_DEFAULTS', defaults)
    return listener


@pytest.fixture
async def api(heard: Heard, mongodb_url: str, database_name: str) -> AsyncIterator[Api]:
    """A service of its own, whose commands are heard."""
    tokens = Tokens(SECRET)
    settings = Settings(token_secret=SECRET, port=0, scheduler=False, mongodb_database=database_name)
    other: pymongo.AsyncMongoClient[dict[str, Any]] = pymongo.AsyncMongoClient(mongodb_url)
    async with other, running(settings, mongodb_url, tokens) as up:
        api = Api(up, tokens, other[database_name])
        yield api
        await api.close()


async def live(api: Api) -> None:
    """The life of a dataset, from its submission to its deletion, with some looks at it."""
    dataset_id = await api.add_dataset([{'name': 'a', 'command': 'true'}, {'name': 'b', 'command': 'true'}], jobs=600)
    await Scheduler(api.service).sweep()
    claim_id = '0' * 32
    task = (await api('POST', CLAIM, {'claim_id': claim_id})).body
    at = f'/tasks/{task["task_id"]}/task_actions'
    for path, body in (('heartbeat', {}), ('complete', {'stdout': 'done'})):
        assert (await api('POST', f'{at}/{path}', {'claim_id': claim_id, **body})).status == 200
    for path in (
        '/tasks', '/tasks?limit=5', '/task_order', '/task_demand', '/task_counts/status', '/datasets',
        f'/datasets/{dataset_id}/tasks',
        f'/datasets/{dataset_id}/task_summaries/status', f'/datasets/{dataset_id}/task_stats', '/users', '/logs',
        f'/datasets/{dataset_id}/jobs', f'/tasks/{task["task_id"]}/history', '/pilots', '/dataset_summaries/status',
    ):  # fmt: skip
        assert (await api('GET', path)).status == 200, path
    for action in ('suspend', 'resume'):
        assert (await api('POST', f'/datasets/{dataset_id}/dataset_actions/{action}')).status == 200
    assert (await api('DELETE', f'/datasets/{dataset_id}?force=true')).status in (200, 202)


async def test_every_command_of_a_journey_has_an_end(api: Api, heard: Heard) -> None:
    await live(api)

    names = {name for name, _ in heard.commands}
    assert names >= {'find', 'findAndModify', 'insert', 'update', 'delete', 'aggregate', 'getMore'}
    endless = {name for name, command in heard.commands if 'maxTimeMS' not in command} - NEVER_LONG - OF_A_CURSOR
    assert endless == set()
