"""Many changes in one request, by either driver."""

from typing import Any

import pytest
from pymongo.errors import BulkWriteError
from pymongo.monitoring import CommandListener

from iceprod_tasks.domain.errors import Unavailable
from iceprod_tasks.storage import client as storage_client
from iceprod_tasks.storage.client import Collection, Duplicate
from tests.storage.conftest import Database

INC = {'$inc': {'n': 1}}


class Heard(CommandListener):
    """Hears the names of the commands of a client."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def started(self, event: Any) -> None:
        self.names.append(event.command_name)

    def succeeded(self, event: Any) -> None:
        pass

    def failed(self, event: Any) -> None:
        pass


async def things_of(database: Database) -> dict[Any, Any]:
    return {each['_id']: each.get('n') async for each in database.plain.things.find()}


async def test_many_are_changed_and_stored_in_one_request(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Heard()
    monkeypatch.setattr(storage_client, '_DEFAULTS', {**storage_client._DEFAULTS, 'event_listeners': [heard]})
    await database.plain.things.insert_one({'_id': 1, 'n': 5})

    done = await database.collection().update_each(
        [({'_id': 1}, INC, False), ({'_id': 1}, [{'$set': {'n': {'$add': ['$n', 10]}}}], False),
         ({'_id': 2}, INC, True), ({'_id': 3}, INC, False)]
    )  # fmt: skip

    assert done == 3
    assert await things_of(database) == {1: 16, 2: 1}
    assert heard.names.count('update') == 1


async def test_no_changes_are_no_request(database: Database) -> None:
    async with database.broken(['update']):
        assert await database.collection().update_each([]) == 0


@pytest.mark.parametrize(('ordered', 'left'), [(False, {1: 1, 2: 0, 3: 1}), (True, {1: 1, 2: 0, 3: 0})])
async def test_one_that_breaks_an_index_is_told(database: Database, ordered: bool, left: dict[int, int]) -> None:
    things = database.plain.things
    await things.create_index([('key', 1)], unique=True)
    await things.insert_many([{'_id': each, 'key': each, 'n': 0} for each in (1, 2, 3)])
    taken = {'$set': {'key': 3}, **INC}

    with pytest.raises(Duplicate):
        await database.collection().update_each(
            [({'_id': 1}, INC, False), ({'_id': 2}, taken, False), ({'_id': 3}, INC, False)], ordered=ordered
        )

    assert await things_of(database) == left


@pytest.mark.parametrize(('ordered', 'others'), [(False, 2), (True, 1)])
async def test_those_that_somebody_else_has_stored_first_are_changed_all_the_same(
    database: Database, ordered: bool, others: int
) -> None:
    plain = database.collection()

    class Racing:
        """The collection, in which somebody else was faster with the second document, the first time."""

        async def bulk_write(self, requests: list[Any], **options: Any) -> Any:
            if len(requests) == 3:
                await plain._raw.bulk_write([requests[0], *([] if ordered else requests[2:])])
                await plain.insert_one({'_id': 2, 'n': 7})
                refused = [{'code': 11000, 'index': 1}]
                raise BulkWriteError({'writeErrors': refused, 'writeConcernErrors': [], 'nUpserted': others})
            return await plain._raw.bulk_write(requests, **options)

    done = await Collection(Racing()).update_each([({'_id': each}, INC, True) for each in (1, 2, 3)], ordered=ordered)

    assert done == 3
    assert await things_of(database) == {1: 1, 2: 8, 3: 1}


@pytest.mark.parametrize('how', [{'closeConnection': True}, {'writeConcernError': {'code': 64, 'errmsg': 'late'}}])
async def test_what_nobody_knows_is_not_told_as_refused(database: Database, how: dict[str, Any]) -> None:
    things = database.collection('retryWrites=false')
    await things.count({})

    async with database.broken(['update'], **how):
        with pytest.raises(Unavailable):
            await things.update_each([({'_id': 1}, INC, True)])
