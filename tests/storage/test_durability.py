"""What is refused at the start, and what a service that is told to take it all the same says of it."""

from pathlib import Path
from typing import Any

import pymongo
import pytest
from pymongo.errors import ConfigurationError, OperationFailure

from iceprod_tasks.domain.errors import CannotStart
from iceprod_tasks.settings import DRIVERS
from iceprod_tasks.storage import POOL_SIZE, embedded
from iceprod_tasks.storage import client as connections
from iceprod_tasks.storage.durability import check_durability, url_options
from iceprod_tasks.storage.store import Store

SET = {'setName': 'rs0', 'isWritablePrimary': True, 'hosts': ['a', 'b', 'c']}
DISK = {'storageEngine': {'name': 'wiredTiger', 'persistent': True}}
MEMORY = {'storageEngine': {'name': 'inMemory', 'persistent': False}}
JOURNALED = {'config': {'writeConcernMajorityJournalDefault': True}}


class Server:
    """A client of a deployment that cannot be had here, as far as the check looks at it."""

    def __init__(self, **answers: Any) -> None:
        self.admin = self
        self._answers = {'hello': SET, 'serverStatus': DISK, 'replSetGetConfig': JOURNALED, **answers}

    async def command(self, name: str) -> Any:
        answer = self._answers[name]
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_a_replica_set_on_disk_has_nothing_to_say() -> None:
    assert await check_durability(Server(), {}, allow_weak=False) == []


@pytest.mark.parametrize(
    ('server', 'said', 'words'),
    [
        (Server(hello={'isWritablePrimary': True}), {}, 'standalone'),
        (Server(), {'w': 1}, 'w=1'),
        (Server(), {'w': 0}, 'w=0'),
        (Server(), {'w': 3}, 'w=3'),
        (Server(), {'journal': False}, 'journal=false'),
        (Server(serverStatus=MEMORY), {}, 'inMemory'),
        (Server(replSetGetConfig={'config': {'writeConcernMajorityJournalDefault': False}}), {}, 'lose power'),
    ],
)
async def test_what_can_forget_is_refused_unless_it_is_allowed(server: Server, said: Any, words: str) -> None:
    with pytest.raises(CannotStart, match=f'{words}.*--allow-weak-durability'):
        await check_durability(server, said, allow_weak=False)

    warnings = await check_durability(server, said, allow_weak=True)

    assert len(warnings) == 1
    assert words in warnings[0]


@pytest.mark.parametrize('allow_weak', [False, True])
@pytest.mark.parametrize(
    ('hello', 'words'),
    [({'isWritablePrimary': True, 'msg': 'isdbgrid'}, 'mongos'), ({**SET, 'isWritablePrimary': False}, 'no primary')],
)
async def test_what_cannot_work_is_refused_whatever_is_allowed(hello: Any, words: str, allow_weak: bool) -> None:
    with pytest.raises(CannotStart, match=words):
        await check_durability(Server(hello=hello), {}, allow_weak=allow_weak)


async def test_a_user_who_may_not_look_is_told_so() -> None:
    server = Server(serverStatus=OperationFailure('not authorized', 13))

    warnings = await check_durability(server, {}, allow_weak=False)

    assert ['clusterMonitor' in warning for warning in warnings] == [True]


async def test_a_login_that_fails_is_refused() -> None:
    failed = OperationFailure('Authentication failed.', 18, {'errmsg': 'Authentication failed.'})

    with pytest.raises(CannotStart, match='refuses the connection: Authentication failed'):
        await check_durability(Server(hello=failed), {}, allow_weak=False)


async def test_hosts_that_no_dns_knows_are_refused_when_they_are_looked_for() -> None:
    unknown = ConfigurationError('The DNS query name does not exist: _mongodb._tcp.db.example.')

    with pytest.raises(CannotStart, match='MONGODB_URL cannot be used: The DNS query name'):
        await check_durability(Server(hello=unknown), {}, allow_weak=False)


@pytest.mark.parametrize(
    ('hosts', 'arbiters', 'warned'),
    [(2, 1, True), (3, 0, False), (1, 0, False), (2, 0, False), (4, 1, False), (3, 2, True), (1, 2, True)],
)
async def test_arbiters_are_warned_of_where_one_member_away_stops_all(hosts: int, arbiters: int, warned: bool) -> None:
    hello = {**SET, 'hosts': ['h'] * hosts, 'arbiters': ['a'] * arbiters}

    warnings = await check_durability(Server(hello=hello), {}, allow_weak=False)

    assert ['arbiters' in warning for warning in warnings] == [True] * warned


@pytest.mark.parametrize(
    'options',
    [
        'readPreference=secondary', 'readPreference=primaryPreferred', 'readConcernLevel=majority',
        'readConcernLevel=available', 'timeoutMS=0', 'maxPoolSize=0', 'connectTimeoutMS=0', 'nonsense=1',
        'journal=perhaps', 'w=majority&w',
    ],
)  # fmt: skip
def test_a_connection_string_that_says_what_cannot_be_is_refused(options: str) -> None:
    with pytest.raises(CannotStart, match='MONGODB_URL'):
        Store(f'mongodb://db1,db2/?replicaSet=rs0&{options}', 'x')


@pytest.mark.parametrize('options', ['', '?', '?readPreference=primary', '?readConcernLevel=local', '?w=majority'])
def test_what_is_so_anyway_may_be_said(options: str) -> None:
    url_options(f'mongodb://user:p%3Fss@db1,db2/{options}')


@pytest.mark.parametrize('driver', DRIVERS)
async def test_every_write_is_a_majority_write_with_the_journal_and_nothing_waits_without_end(driver: str) -> None:
    client = connections.connect('mongodb://db1,db2/?replicaSet=rs0', driver)

    assert client.write_concern.document == {'w': 'majority', 'j': True}
    assert client.read_preference == pymongo.ReadPreference.PRIMARY
    assert (client.options.timeout, client.options.pool_options.connect_timeout) == (5.0, 1.0)
    assert client.options.pool_options.max_pool_size == POOL_SIZE
    await connections.close(client)


@pytest.mark.parametrize('driver', DRIVERS)
async def test_a_connection_string_may_set_other_times(driver: str) -> None:
    client = connections.connect('mongodb://db1/?timeoutMS=700&connectTimeoutMS=200&maxPoolSize=5&w=majority', driver)

    assert (client.options.timeout, client.options.pool_options.connect_timeout) == (0.7, 0.2)
    assert client.options.pool_options.max_pool_size == 5
    assert client.write_concern.document == {'w': 'majority', 'j': True}
    await connections.close(client)


async def test_a_real_set_that_acknowledges_before_the_journal_is_refused(tmp_path: Path) -> None:
    mongod = await embedded.start(tmp_path / 'own', cache_gb=0.25)
    async with pymongo.AsyncMongoClient[dict[str, Any]](mongod.url) as admin:
        config = (await admin.admin.command('replSetGetConfig'))['config']
        changed = {**config, 'version': config['version'] + 1, 'writeConcernMajorityJournalDefault': False}
        await admin.admin.command('replSetReconfig', changed)
    store = Store(mongod.url, 'test')

    with pytest.raises(CannotStart, match='writeConcernMajorityJournalDefault'):
        await store.prepare()
    warnings = await store.prepare(allow_weak_durability=True)

    assert ['writeConcernMajorityJournalDefault' in warning for warning in warnings] == [True]
    await store.close()
    await mongod.stop()
