"""Listings: in the order in which tasks came, streamed, and bounded."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from iceprod_tasks.storage import views
from tests.conftest import Api
from tests.dialects.vappio.conftest import FORM, PATH, failure, post, renumber, serving, tasks_in, tell

ALL = {'cluster': 'local'}
LIMIT = 7


@pytest.fixture
async def bounded(mongodb_url: str, database_name: str) -> AsyncIterator[Api]:
    async with serving(mongodb_url, database_name, describe_limit=LIMIT) as api:
        yield api


async def kinds(api: Api, **more: Any) -> list[str]:
    return [task['tType'] for task in tasks_in(await post(api, {**ALL, **more}))]


async def stock(api: Api, number: int, dataset_id: str = 'd1') -> None:
    await api.add_task(dataset_id=dataset_id)
    pattern = await api.database.tasks.find_one({'dataset_id': dataset_id}, {'_id': False})
    await api.database.tasks.insert_many(
        {**pattern, 'task_id': f'{dataset_id}_{place}', 'name': f'{dataset_id}_{place}'} for place in range(1, number)
    )


async def test_tasks_are_listed_in_the_order_in_which_they_came(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, '_READ_AT_ONCE', 2)
    places = [5, 1, 3, 2, 4]
    for place in places:
        task_id = await api.add_task(name=f'n{place}', dataset_id=f'd{place % 2}', job_index=9 - place)
        await renumber(api, task_id, place.to_bytes(12))

    assert await kinds(api) == ['n1', 'n2', 'n3', 'n4', 'n5']
    assert await kinds(api, dataset_id='d1') == ['n1', 'n3', 'n5']


async def test_the_order_stays_whatever_becomes_of_the_tasks(api: Api) -> None:
    ids = [await api.add_task(name=f'n{place}') for place in range(4)]
    before = await kinds(api)
    await api('PUT', f'/tasks/{ids[2]}/status', {'status': 'failed'})
    await tell(api, ids[0], priority=99)

    assert await kinds(api) == before == ['n0', 'n1', 'n2', 'n3']


async def test_names_stay_the_same_for_ever(api: Api) -> None:
    task_id = await api.add_task()
    before = [task['name'] for task in tasks_in(await post(api, ALL))]
    await api('POST', '/task_actions/process', {'claim_id': 'a' * 32})
    await api('POST', f'/tasks/{task_id}/task_actions/complete', {'claim_id': 'a' * 32})

    assert [task['name'] for task in tasks_in(await post(api, ALL))] == before


async def test_as_many_tasks_as_the_limit_are_listed(bounded: Api) -> None:
    await stock(bounded, LIMIT)

    assert len(await kinds(bounded)) == LIMIT


async def test_more_tasks_are_refused_with_a_word_on_how_to_ask_for_fewer(bounded: Api) -> None:
    await stock(bounded, LIMIT)
    await stock(bounded, 2, 'd2')

    answer = await post(bounded, ALL)

    assert answer.status == 200
    assert failure(answer) == (
        f'there are more than {LIMIT} tasks: ask for one by task_name, or for those of one dataset by dataset_id'
    )
    assert len(await kinds(bounded, dataset_id='d1')) == LIMIT
    assert len(await kinds(bounded, dataset_id='d2')) == 2


async def test_the_limit_counts_what_a_user_may_read(bounded: Api) -> None:
    ada = bounded.as_('user', 'ada')
    mine = [await ada.add_dataset([{'name': 'gen', 'command': 'true'}]) for _ in range(3)]
    await stock(bounded, 2 * LIMIT)
    for dataset_id in mine[:2]:
        await stock(bounded, 3, dataset_id)

    assert len(await kinds(ada)) == 6
    await stock(bounded, 2, mine[2])
    assert failure(await post(ada, ALL)).startswith(f'there are more than {LIMIT} tasks')


async def test_the_datasets_of_a_user_are_looked_at_in_portions(bounded: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('iceprod_tasks.actions.observe._DATASETS_AT_ONCE', 2)
    ada = bounded.as_('user', 'ada')
    for place in range(LIMIT):
        await bounded.add_task(dataset_id=await ada.add_dataset([{'name': f'n{place}', 'command': 'true'}]))

    assert len(await kinds(ada)) == LIMIT


async def test_counting_reads_no_more_index_keys_than_the_limit(bounded: Api) -> None:
    await stock(bounded, 500)
    await bounded.database.command('profile', 2)

    await post(bounded, ALL)
    await post(bounded, {**ALL, 'dataset_id': 'd1'})

    await bounded.database.command('profile', 0)
    finds = [each async for each in bounded.database.system.profile.find({'command.find': 'tasks'})]
    assert [(each['keysExamined'] <= LIMIT + 1, each['docsExamined']) for each in finds] == [(True, 0)] * 2


async def test_what_is_gone_meanwhile_is_left_out(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await stock(api, 4)
    each = views.Views.each

    async def after_a_deletion(self: views.Views, stamps: list[bytes]) -> AsyncIterator[dict[str, Any]]:
        await api.database.tasks.delete_one({'task_id': 'd1_2'})
        await api.add_task(name='late')
        async for task in each(self, stamps):
            yield task

    monkeypatch.setattr(views.Views, 'each', after_a_deletion)

    assert await kinds(api) == ['gen', 'd1_1', 'd1_3']


async def test_a_long_listing_is_read_in_portions_and_sent_as_it_is_read(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stock(api, 1201)
    message = {'mtype': 'silent', 'when': (await api.task('d1_1'))['create_date'], 'text': 'x' * 1000}
    await api.database.tasks.update_many({}, [{'$set': {'messages': [{**message, 'when': '$create_date'}]}}])
    text, first = bytearray(), 0

    stream = api._http.stream(
        'POST', PATH, content='request=%7B%22cluster%22:%22local%22%7D',
        headers={**FORM, 'Authorization': f'Bearer {api.token("admin")}'},
    )  # fmt: skip
    async with stream as response:
        async for piece in response.aiter_raw():
            first = first or len(piece)
            text += piece

    assert 'Content-Length' not in response.headers
    assert first < len(text) / 2
    assert text.count(b'"tType"') == 1201


async def test_a_listing_that_breaks_off_breaks_the_connection(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await stock(api, 700)

    async def breaks(self: views.Views, stamps: list[bytes]) -> AsyncIterator[dict[str, Any]]:
        for _ in range(700):
            yield {'name': 'x' * 1000, 'status': 'idle', 'stamp': stamps[0]}
        raise RuntimeError

    monkeypatch.setattr(views.Views, 'each', breaks)

    with pytest.raises(Exception, match=r'peer closed connection|Server disconnected'):
        await asyncio.wait_for(post(api, ALL), 20)


async def test_an_empty_service_has_an_empty_list(api: Api) -> None:
    answer = await post(api, ALL)

    assert answer.text == '{"success":true,"data":[]}'
