"""The database fails at a chosen command: what is not known is never called refused, and a repeat has one effect.

A mongod of its own has MongoDB's fail points. Each operation meets each kind of failure at its first command, at its
second, and so on, until it gets through. `skip` makes all commands from the n-th on fail, so that nothing that comes
after can tidy up, as in a crash.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pymongo
import pytest
from pymongo import common

from iceprod_tasks.rest.identity.tokens import Tokens
from iceprod_tasks.server import running
from iceprod_tasks.settings import Settings
from iceprod_tasks.storage import embedded, mongod_binary
from tests.conftest import SECRET, Answer, Api
from tests.rest.test_idempotency import DATASET, TASK, same

KEY = {'Idempotency-Key': 'k'}
CLAIM_ID = 'a' * 32
CLAIM = {'claim_id': CLAIM_ID, 'pilot': 'p'}
REPORT = {'claim_id': CLAIM_ID, 'epoch': 1, 'reason': 'why', 'time_used': 3600.0}
WRITES = ['insert', 'update', 'findAndModify', 'delete']
ALL = [*WRITES, 'find', 'aggregate', 'count']
MOST_COMMANDS = 30


@pytest.fixture(scope='module')
async def breakable(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[embedded.EmbeddedMongod]:
    """A mongod with fail points."""
    plain = mongod_binary.command
    with pytest.MonkeyPatch.context() as patched:

        def command(*arguments: Any) -> list[str]:
            more = ('enableTestCommands=1', 'ttlMonitorSleepSecs=1')
            return [*plain(*arguments), *(word for each in more for word in ('--setParameter', each))]

        patched.setattr(mongod_binary, 'command', command)
        # The driver waits so long before it looks again at a server that failed.
        patched.setattr(common, 'MIN_HEARTBEAT_INTERVAL', 0.01)
        mongod = await embedded.start(tmp_path_factory.mktemp('breakable'), cache_gb=0.25)
        yield mongod
        await mongod.stop()


class Breaking:
    """A service on a mongod that fails when it is told to."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self._admin = api.database.client.admin

    @asynccontextmanager
    async def broken(self, commands: list[str], mode: Any, **how: Any) -> AsyncIterator[None]:
        """Have the service's commands fail; those of the tests do not."""
        data = {'failCommands': commands, 'appName': 'iceprod_tasks', **how}
        await self._admin.command({'configureFailPoint': 'failCommand', 'mode': mode, 'data': data})
        try:
            yield
        finally:
            await self._admin.command({'configureFailPoint': 'failCommand', 'mode': 'off'})

    async def empty(self) -> None:
        """Remove everything."""
        for name in await self.api.database.list_collection_names():
            if not name.startswith('system.'):
                await self.api.database[name].delete_many({})

    async def crashed_long_ago(self) -> None:
        """Let the time be over of whoever had a key in hand."""
        past = datetime(2020, 1, 1, tzinfo=UTC)
        await self.api.database.idempotency_keys.update_many({}, {'$set': {'until': past}})


@asynccontextmanager
async def service_on(mongod: embedded.EmbeddedMongod, options: str) -> AsyncIterator[Breaking]:
    tokens, name = Tokens(SECRET), f'test_{uuid4().hex}'
    settings = Settings(
        token_secret=SECRET, port=0, scheduler=False, mongodb_database=name, retry_delay_seconds=0.0,
        # What fails is to be a command of the request, not one that keeps the lease.
        leader_lease_seconds=300.0,
    )  # fmt: skip
    client: pymongo.AsyncMongoClient[dict[str, Any]] = pymongo.AsyncMongoClient(mongod.url, tz_aware=True)
    # A server that was called gone is looked at again at once: this one is not.
    url = f'{mongod.url}&serverMonitoringMode=poll&{options}'
    async with client, running(settings, url, tokens) as up:
        api = Api(up, tokens, client[name])
        yield Breaking(api)
        await api.close()
        await client.drop_database(name)


@pytest.fixture(scope='module')
async def hasty(breakable: embedded.EmbeddedMongod) -> AsyncIterator[Breaking]:
    """A service whose driver tries each command once."""
    async with service_on(breakable, 'retryWrites=false&retryReads=false') as service:
        yield service


@pytest.fixture(scope='module')
async def patient(breakable: embedded.EmbeddedMongod) -> AsyncIterator[Breaking]:
    """A service whose driver tries again, as it does unless it is told otherwise."""
    async with service_on(breakable, 'timeoutMS=4000') as service:
        yield service


@dataclass(frozen=True)
class Operation:
    """A request, what must be there before it, and what must be so when it is through.

    Args:
        path: of the request; a task's id stands for `{}`, a dataset's for `{dataset}`.
        body: of the request.
        check: looks at the database and at the answer.
        claimed: whether the task is claimed.
        headers: of the request.
    """

    name: str
    path: str
    body: dict[str, Any]
    check: Callable[['World', Answer], Awaitable[None]]
    claimed: bool = False
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class World:
    """Two queued tasks of a client, one of them a pilot's where an operation wants that."""

    breaking: Breaking
    operation: Operation
    task_id: str
    other_id: str

    @property
    def api(self) -> Api:
        return self.breaking.api

    async def ask(self) -> Answer:
        path = self.operation.path.format(self.task_id)
        answer = await self.api('POST', path, self.operation.body, headers=self.operation.headers)
        assert answer.status < 300 or answer.status == 503, (answer.status, answer.text)
        if answer.status == 503:
            assert int(answer.headers['Retry-After']) > 0
            assert answer.body['code'] == 503
        return answer

    async def transitions(self, task_id: str) -> list[str]:
        return [entry['transition'] for entry in (await self.api.task(task_id))['log']]

    async def count(self, collection: str) -> int:
        return int(await self.api.database[collection].count_documents({}))


async def world_of(breaking: Breaking, operation: Operation) -> World:
    await breaking.empty()
    status = 'waiting' if 'queue' in operation.name else 'queued'
    tasks = [await breaking.api.add_task(status=status, priority=priority) for priority in (2, 1)]
    if operation.claimed:
        assert (await breaking.api('POST', '/task_actions/process', CLAIM)).body['task_id'] == tasks[0]
    return World(breaking, operation, *tasks)


async def one_claim(world: World, answer: Answer) -> None:
    task = await world.api.task(world.task_id)
    assert answer.body['task_id'] == world.task_id
    assert (task['status'], task['claims'], task['epoch'], len(task['log'])) == ('processing', [CLAIM_ID], 1, 1)
    assert (await world.api.task(world.other_id))['status'] == 'queued'


def reported(transition: str, status: str) -> Callable[[World, Answer], Awaitable[None]]:
    async def check(world: World, _: Answer) -> None:
        assert await world.transitions(world.task_id) == ['claim', transition]
        assert (await world.api.task(world.task_id))['status'] == status
        assert await world.count('messages') == 1

    return check


async def still_held(world: World, answer: Answer) -> None:
    assert answer.body['action'] == 'continue'
    assert await world.transitions(world.task_id) == ['claim']


def moved_once(transition: str, tasks: int = 2) -> Callable[[World, Answer], Awaitable[None]]:
    async def check(world: World, _: Answer) -> None:
        logs = [await world.transitions(task_id) for task_id in (world.task_id, world.other_id)]
        assert logs == [[transition]] * tasks + [[]] * (2 - tasks)

    return check


def made_once(*collections: str) -> Callable[[World, Answer], Awaitable[None]]:
    async def check(world: World, answer: Answer) -> None:
        made = answer.body['result'].rpartition('/')[2]
        for name in collections:
            found = [each async for each in world.api.database[name].find()]
            own = [each for each in found if each.get('task_id') not in (world.task_id, world.other_id)]
            assert len(own) == 1
            assert made in own[0].values()

    return check


BULK = '/task_actions/bulk_status/suspended'
TASKS_OF_D1 = '/datasets/d1/task_actions'
OPERATIONS = [
    Operation('claim', '/task_actions/process', CLAIM, one_claim),
    Operation('complete', '/tasks/{}/task_actions/complete', REPORT, reported('complete', 'complete'), claimed=True),
    Operation('reset', '/tasks/{}/task_actions/reset', REPORT, reported('reset', 'reset'), claimed=True),
    Operation('failed', '/tasks/{}/task_actions/failed', REPORT, reported('fail', 'failed'), claimed=True),
    Operation('hand back', '/tasks/{}/task_actions/hand_back', {'claim_id': CLAIM_ID, 'reason': 'why'},
              reported('hand back', 'queued'), claimed=True),
    Operation('heartbeat', '/tasks/{}/task_actions/heartbeat', {'claim_id': CLAIM_ID}, still_held, claimed=True),
    Operation('bulk status', '/datasets/d1' + BULK, {'tasks': []}, moved_once('override'), headers=KEY),
    Operation('suspend', f'{TASKS_OF_D1}/suspend', {}, moved_once('suspend'), headers=KEY),
    Operation('queue', '/task_actions/queue', {'num_tasks': 1}, moved_once('queue', 1), headers=KEY),
    Operation('task', '/tasks', TASK, made_once('tasks'), headers=KEY),
    Operation('job', '/jobs', {'dataset_id': 'd1', 'job_index': 0}, made_once('jobs'), headers=KEY),
    Operation('dataset', '/datasets', DATASET, made_once('datasets', 'config', 'auths'), headers=KEY),
    Operation('log', '/logs', {'data': 'it began'}, made_once('logs'), headers=KEY),
]  # fmt: skip
NOT_PRIMARY, STEPPED_DOWN, SHUT_DOWN, GOING_DOWN, INTERRUPTED = 10107, 189, 91, 11600, 11601
BEFORE: dict[str, dict[str, Any]] = {
    'the connection is lost': {'closeConnection': True},
    'not the primary': {'errorCode': NOT_PRIMARY},
}
AFTER: dict[str, dict[str, Any]] = {
    'no majority in time': {'writeConcernError': {'code': 64, 'errmsg': 'waiting for replication timed out'}},
    'shut down meanwhile': {'writeConcernError': {'code': SHUT_DOWN, 'errmsg': 'shutting down'}},
}


def of_both(world: World) -> World:
    """The world with its task ids in the body of a bulk change."""
    if 'tasks' not in world.operation.body:
        return world
    body = {'tasks': [world.task_id, world.other_id]}
    operation = world.operation
    filled = Operation(operation.name, operation.path, body, operation.check, operation.claimed, operation.headers)
    return World(world.breaking, filled, world.task_id, world.other_id)


@pytest.mark.parametrize('failure', [*BEFORE, *AFTER])
@pytest.mark.parametrize('operation', OPERATIONS, ids=lambda operation: operation.name)
async def test_wherever_it_fails_a_repeat_has_one_effect(hasty: Breaking, operation: Operation, failure: str) -> None:
    how, commands = {**BEFORE, **AFTER}[failure], ALL if failure in BEFORE else WRITES
    failed = 0
    for number in range(MOST_COMMANDS):
        world = of_both(await world_of(hasty, operation))
        async with hasty.broken(commands, {'skip': number}, **how):
            first = await world.ask()
        await hasty.crashed_long_ago()

        again = [await world.ask() for _ in range(2)]

        assert [each.status // 100 for each in again] == [2, 2]
        await operation.check(world, again[0])
        await operation.check(world, again[1])
        if first.status < 300:
            break
        failed += 1
    else:
        raise AssertionError(f'{operation.name} has more than {MOST_COMMANDS} commands')
    assert failed


@pytest.mark.parametrize('failure', [*BEFORE, *AFTER])
@pytest.mark.parametrize('operation', OPERATIONS, ids=lambda operation: operation.name)
@pytest.mark.parametrize('times', [1, 2])
async def test_a_short_trouble_is_overcome_or_unknown(
    patient: Breaking, operation: Operation, failure: str, times: int
) -> None:
    world = of_both(await world_of(patient, operation))

    async with patient.broken(WRITES, {'times': times}, **{**BEFORE, **AFTER}[failure]):
        answers = [await world.ask() for _ in range(4)]

    assert answers[-1].status < 300
    await operation.check(world, answers[-1])


@pytest.mark.parametrize('failure', BEFORE)
@pytest.mark.parametrize('name', ['claim', 'complete', 'heartbeat', 'task', 'dataset', 'log'])
async def test_the_driver_overcomes_a_short_trouble_by_itself(patient: Breaking, name: str, failure: str) -> None:
    operation = next(each for each in OPERATIONS if each.name == name)
    world = await world_of(patient, operation)

    async with patient.broken(WRITES, {'times': 2}, **BEFORE[failure]):
        answer = await world.ask()

    assert answer.status < 300
    await operation.check(world, answer)


@pytest.mark.parametrize(
    ('name', 'keys'),
    [('claim', None), ('heartbeat', {'action', 'why', 'again_in', 'orders', 'lease_seconds'})],
)  # fmt: skip
async def test_an_answer_that_the_driver_had_to_ask_for_again_is_the_same(
    patient: Breaking, name: str, keys: set[str] | None
) -> None:
    operation = next(each for each in OPERATIONS if each.name == name)
    world = await world_of(patient, operation)

    async with patient.broken(WRITES, {'times': 1}, **AFTER['shut down meanwhile']):
        answer = await world.ask()

    assert answer.status == 200
    assert set(answer.body) == (keys or set(await world.api.task(world.task_id)))
    await operation.check(world, answer)


CODES = [
    NOT_PRIMARY, STEPPED_DOWN, SHUT_DOWN, GOING_DOWN, INTERRUPTED, 6, 7, 24, 43, 46, 50, 64, 89, 112, 175, 237, 262,
    9001, 11602, 13435, 13436, 14031,
]  # fmt: skip


@pytest.mark.parametrize('code', CODES)
@pytest.mark.parametrize('name', ['claim', 'task'])
async def test_no_word_of_a_primary_that_goes_is_an_error_of_ours(hasty: Breaking, name: str, code: int) -> None:
    operation = next(each for each in OPERATIONS if each.name == name)
    for commands in (WRITES, ALL):
        world = of_both(await world_of(hasty, operation))

        async with hasty.broken(commands, 'alwaysOn', errorCode=code):
            unknown = await world.ask()
        await hasty.crashed_long_ago()
        answer = await world.ask()

        assert unknown.status == 503
        assert answer.status < 300
        await operation.check(world, answer)


@pytest.mark.parametrize('operation', OPERATIONS, ids=lambda operation: operation.name)
async def test_a_write_that_comes_after_its_answer_was_given_up_does_no_harm(
    breakable: embedded.EmbeddedMongod, operation: Operation
) -> None:
    async with service_on(breakable, 'timeoutMS=300') as breaking:
        for number in range(MOST_COMMANDS):
            world = of_both(await world_of(breaking, operation))
            block = {'blockConnection': True, 'blockTimeMS': 700}
            async with breaking.broken(WRITES, {'skip': number}, **block):
                first = await world.ask()
            again = [await world.ask() for _ in range(2)]
            # What was blocked is carried out now, beside the repeats.
            await asyncio.sleep(0.1)
            while again[-1].status == 503:
                await breaking.crashed_long_ago()
                again.append(await world.ask())
            await breaking.api.database.client.admin.command('fsync')

            await operation.check(world, again[-1])
            if first.status < 300:
                return


@pytest.mark.parametrize('name', ['task', 'dataset', 'log', 'job', 'queue', 'suspend', 'bulk status'])
@pytest.mark.parametrize('failure', [*BEFORE, *AFTER])
async def test_without_a_key_an_unknown_outcome_is_503_and_never_a_refusal(
    hasty: Breaking, name: str, failure: str
) -> None:
    keyed = next(each for each in OPERATIONS if each.name == name)
    operation = Operation(keyed.name, keyed.path, keyed.body, keyed.check)
    commands = ALL if failure in BEFORE else WRITES
    for number in range(MOST_COMMANDS):
        world = of_both(await world_of(hasty, operation))
        async with hasty.broken(commands, {'skip': number}, **{**BEFORE, **AFTER}[failure]):
            answer = await world.ask()
        if answer.status < 300:
            return


async def test_the_first_answer_stays_the_answer_when_its_sending_was_unknown(hasty: Breaking) -> None:
    operation = next(each for each in OPERATIONS if each.name == 'task')
    world = await world_of(hasty, operation)
    # The key and the task are written; the answer is kept, and nobody hears of that.
    async with hasty.broken(['update'], {'times': 1}, **AFTER['no majority in time']):
        unknown = await world.ask()

    first, again = await world.ask(), await world.ask()

    assert unknown.status == 503
    assert same(first, again)
    assert first.headers['Idempotency-Replayed'] == 'true'


async def test_mongodb_removes_a_key_when_its_time_is_over(hasty: Breaking) -> None:
    world = await world_of(hasty, next(each for each in OPERATIONS if each.name == 'task'))
    await world.ask()
    keys = world.api.database.idempotency_keys
    await keys.update_many({}, {'$set': {'expires': datetime(2020, 1, 1, tzinfo=UTC)}})

    async with asyncio.timeout(60):
        while await keys.count_documents({}):
            await asyncio.sleep(0.1)
