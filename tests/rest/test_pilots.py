"""Pilots and grids, as they describe themselves; contract 4, traps 17 and 18."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.conftest import Api
from tests.rest.answers import DONE, refusal, seen

PILOT = {'queue_host': 'sub.example', 'queue_version': '2.6.1', 'resources': {'cpu': 1, 'gpu': ['0'], 'memory': 4.5}}
GRID = {'host': 'sub.example', 'queues': {'condor': 'HTCondor'}, 'version': '2.6.1'}
KINDS = [('/pilots', PILOT, 'pilot_id'), ('/grids', GRID, 'grid_id')]


async def registered(api: Api, path: str, entry: dict[str, Any]) -> str:
    answer = await api('POST', path, entry)
    assert answer.status == 201, answer.text
    return str(answer.body['result'])


def is_now(text: str) -> bool:
    time = datetime.strptime(text, '%Y-%m-%dT%H:%M:%S.%f').replace(tzinfo=UTC)
    return abs(datetime.now(UTC) - time) < timedelta(minutes=1)


@pytest.mark.parametrize('role', ['admin', 'system', 'pilot'])
async def test_a_new_pilot_has_what_is_said_and_the_defaults(api: Api, role: str) -> None:
    answer = await api.as_(role)('POST', '/pilots', {**PILOT, 'colour': {'deep': [1]}})

    assert (answer.status, set(answer.body)) == (201, {'result'})
    pilot = (await api.as_(role)('GET', f'/pilots/{answer.body["result"]}')).body
    assert is_now(pilot.pop('submit_date'))
    assert is_now(pilot.pop('last_update'))
    assert pilot == {
        **PILOT, 'colour': {'deep': [1]}, 'pilot_id': answer.body['result'], 'tasks': [], 'host': '', 'site': '',
        'version': '', 'grid_queue_id': '', 'resources_available': {}, 'resources_claimed': {}, 'start_date': '',
        'registered_by': 'someone', 'drain': None,
    }  # fmt: skip


@pytest.mark.parametrize('role', ['admin', 'system'])
async def test_a_new_grid_has_what_is_said_and_the_defaults(api: Api, role: str) -> None:
    answer = await api.as_(role)('POST', '/grids', {**GRID, 'description': 'a farm'})

    assert (answer.status, set(answer.body)) == (201, {'result'})
    grid = (await api.as_(role)('GET', f'/grids/{answer.body["result"]}')).body
    assert grid['start_date'] == grid['last_update']
    assert is_now(grid.pop('start_date'))
    assert grid.pop('last_update')
    assert grid == {**GRID, 'description': 'a farm', 'grid_id': answer.body['result'], 'debug': False}


@pytest.mark.parametrize(('path', 'entry', 'key'), KINDS)
async def test_what_the_service_sets_cannot_be_sent(api: Api, path: str, entry: dict[str, Any], key: str) -> None:
    forged = {key: 'mine', '_id': 5, 'last_update': 'x', 'submit_date' if key == 'pilot_id' else 'start_date': 'x'}

    entry_id = await registered(api, path, entry | forged)

    stored = (await api('GET', f'{path}/{entry_id}')).body
    assert entry_id != 'mine'
    assert 'x' not in stored.values()
    assert seen(await api('GET', f'{path}/mine'))[0] == 404


@pytest.mark.parametrize(
    ('path', 'entry', 'missing'), [(path, entry, key) for path, entry, _ in KINDS for key in entry]
)
async def test_a_missing_key_is_named(api: Api, path: str, entry: dict[str, Any], missing: str) -> None:
    answer = await api('POST', path, {key: value for key, value in entry.items() if key != missing})

    assert seen(answer) == refusal(400, f'missing key: {missing}')


WRONG = [
    *[('/pilots', {key: 5}, f'key {key} should be of type')
      for key in ('queue_host', 'queue_version', 'resources', 'host', 'site', 'version', 'grid_queue_id',
                  'resources_available', 'resources_claimed', 'tasks')],
    ('/pilots', {'tasks': [5]}, 'key tasks: every id should be'), ('/pilots', {'a.b': 1}, 'key body'),
    ('/pilots', {'resources': {'$x': 1}}, 'invalid key'), ('/pilots', {'a': {'b.c': 1}}, 'invalid key'),
    ('/pilots', {'tasks': ['t'] * 1001}, 'key tasks'), ('/pilots', {f'k{n}': n for n in range(120)}, 'key body'),
    *[('/grids', {key: 5}, f'key {key} should be of type') for key in ('host', 'queues', 'version', 'debug')],
    ('/grids', {'queues': ['a']}, "key queues should be of type <class 'dict'>"), ('/grids', {'$x': 1}, 'key body'),
]  # fmt: skip


@pytest.mark.parametrize(('path', 'changes', 'reason'), WRONG)
async def test_what_is_not_valid_is_refused_when_created_and_when_changed(
    api: Api, path: str, changes: dict[str, Any], reason: str
) -> None:
    entry = PILOT if path == '/pilots' else GRID
    place = f'{path}/{await registered(api, path, entry)}'
    before = (await api('GET', place)).body

    for answer in (await api('POST', path, entry | changes), await api('PATCH', place, changes)):
        assert answer.status == 400
        assert answer.body['error'].startswith(reason)

    assert (await api('GET', path)).body == {place.rpartition('/')[2]: before}


@pytest.mark.parametrize('role', ['admin', 'system', 'pilot'])
async def test_a_pilot_with_a_site_is_changed_and_removed(api: Api, role: str) -> None:
    place = f'/pilots/{await registered(api.as_(role), "/pilots", PILOT)}'
    await api.database.pilots.update_many({}, {'$set': {'last_update': datetime(2024, 1, 1, tzinfo=UTC)}})

    changed = await api.as_(role)('PATCH', place, {'site': 'here', 'tasks': ['t1'], 'available': {'gpu': ['0']}})

    assert changed.status == 200
    assert changed.body.items() >= {**PILOT, 'site': 'here', 'tasks': ['t1'], 'available': {'gpu': ['0']}}.items()
    assert is_now(changed.body['last_update'])
    assert (await api('GET', place)).body == changed.body
    assert seen(await api.as_(role)('DELETE', place)) == DONE
    gone = refusal(403, 'authorization failed') if role == 'pilot' else refusal(404, 'Pilot not found')
    assert seen(await api.as_(role)('DELETE', place)) == gone
    assert (await api('GET', '/pilots')).body == {}


async def test_a_merge_replaces_whole_members(api: Api) -> None:
    place = f'/pilots/{await registered(api, "/pilots", {**PILOT, "resources_claimed": {"cpu": 1, "memory": 2}})}'

    await api('PATCH', place, {'resources_claimed': {}, 'resources': {'cpu': '$queue_host'}})

    pilot = (await api('GET', place)).body
    assert (pilot['resources_claimed'], pilot['resources']) == ({}, {'cpu': '$queue_host'})


async def test_a_grid_is_changed(api: Api) -> None:
    place = f'/grids/{await registered(api, "/grids", GRID)}'
    await api.database.grids.update_many({}, {'$set': {'last_update': datetime(2024, 1, 1, tzinfo=UTC)}})

    changed = await api('PATCH', place, {'queues': {}, 'debug': True, 'note': 'x'})

    assert changed.body.items() >= {**GRID, 'queues': {}, 'debug': True, 'note': 'x'}.items()
    assert is_now(changed.body['last_update'])
    assert (await api('GET', place)).body == changed.body


@pytest.mark.parametrize(
    ('path', 'entry', 'field'),
    [('/pilots', PILOT, field) for field in ('pilot_id', 'submit_date', 'last_update', '_id')]
    + [('/grids', GRID, field) for field in ('grid_id', 'start_date', 'last_update', '_id')],
)
async def test_ids_and_what_the_service_sets_cannot_be_changed(
    api: Api, path: str, entry: dict[str, Any], field: str
) -> None:
    place = f'{path}/{await registered(api, path, entry)}'
    before = (await api('GET', place)).body

    answer = await api('PATCH', place, {field: 'x', 'host': 'elsewhere'})

    assert seen(answer) == refusal(400, f'key {field} cannot be changed')
    assert (await api('GET', place)).body == before


@pytest.mark.parametrize(('path', 'entry', 'key'), KINDS)
async def test_an_empty_change_is_refused(api: Api, path: str, entry: dict[str, Any], key: str) -> None:
    place = f'{path}/{await registered(api, path, entry)}'

    assert seen(await api('PATCH', place, {})) == refusal(400, 'Missing update data')


@pytest.mark.parametrize(('path', 'kind'), [('/pilots/nobody', 'Pilot'), ('/grids/nobody', 'Grid')])
async def test_what_is_not_there_is_404(api: Api, path: str, kind: str) -> None:
    assert seen(await api('GET', path)) == refusal(404, f'{kind} not found')
    assert seen(await api('PATCH', path, {'host': 'x'})) == refusal(404, f'{kind} not found')


@pytest.mark.parametrize(
    ('said', 'shown'),
    [
        ('2024-03-01T12:00:00.123456', '2024-03-01T12:00:00.123000'),
        ('2024-03-01T12:00:00', '2024-03-01T12:00:00.000000'),
        ('2024-03-01T12:00:00+02:00', '2024-03-01T10:00:00.000000'), ('', ''),
    ],
)  # fmt: skip
async def test_a_pilot_says_when_it_began(api: Api, said: str, shown: str) -> None:
    place = f'/pilots/{await registered(api, "/pilots", PILOT)}'

    assert (await api('PATCH', place, {'start_date': said})).body['start_date'] == shown
    wrong = await api('PATCH', place, {'start_date': 'soon'})
    assert seen(wrong) == refusal(400, '"start_date" is not a time, like 2026-11-21T06:14:15.985000')


async def test_pilots_are_listed_by_what_they_say(api: Api) -> None:
    kinds: list[dict[str, Any]] = [{}, {'queue_host': 'b'}, {'queue_version': '3', 'host': 'n1'}, {'version': '9'}]
    ids = [await registered(api, '/pilots', PILOT | changes) for changes in kinds]

    async def listed(query: str) -> list[int]:
        return [ids.index(pilot_id) for pilot_id in (await api('GET', f'/pilots?{query}')).body]

    assert await listed('') == await listed('host=') == [0, 1, 2, 3]
    assert await listed('queue_host=sub.example') == [0, 2, 3]
    assert await listed('queue_host=sub.example&queue_version=2.6.1') == [0, 3]
    assert (await listed('host=n1'), await listed('version=9'), await listed('site=x&host=nope')) == ([2], [3], [])
    shown = (await api('GET', '/pilots?host=n1&keys=host|nope')).body
    assert shown == {ids[2]: {'pilot_id': ids[2], 'host': 'n1'}}


async def test_grids_are_listed(api: Api) -> None:
    ids = [await registered(api, '/grids', GRID) for _ in range(2)]

    grids = (await api('GET', '/grids')).body

    assert list(grids) == ids
    assert grids[ids[0]] == (await api('GET', f'/grids/{ids[0]}')).body


async def test_an_entry_that_grows_past_what_a_document_can_hold_is_413(api: Api) -> None:
    place = f'/pilots/{await registered(api, "/pilots", PILOT)}'
    await api.database.pilots.update_one({}, {'$set': {'much': 'x' * 16_000_000}})

    answer = await api('PATCH', place, {'more': 'x' * 1_000_000})

    assert answer.status == 413
    assert answer.body['error'] == 'the document would be too large for the database'
    assert 'more' not in (await api('GET', place)).body


@pytest.mark.parametrize('role', ['admin', 'system'])
async def test_operators_have_a_pilot_drain_and_its_next_sign_of_life_says_so(api: Api, role: str) -> None:
    pilot = api.as_('pilot', 'p1')
    pilot_id = (await pilot('POST', '/pilots', PILOT)).body['result']

    answer = await api.as_(role, 'ada')('PUT', f'/pilots/{pilot_id}/drain', {'drain': True, 'reason': 'new disks'})
    heard = (await pilot('PATCH', f'/pilots/{pilot_id}', {'tasks': []})).body['drain']

    assert answer.status == 200
    assert (heard['who'], heard['why']) == ('ada', 'new disks')
    await api('PUT', f'/pilots/{pilot_id}/drain', {'drain': False})
    assert (await pilot('GET', f'/pilots/{pilot_id}')).body['drain'] is None


async def test_no_pilot_gives_such_orders_and_none_can_be_patched_away(api: Api) -> None:
    pilot = api.as_('pilot', 'p1')
    pilot_id = (await pilot('POST', '/pilots', {**PILOT, 'drain': {'who': 'me'}})).body['result']

    assert (await pilot('GET', f'/pilots/{pilot_id}')).body['drain'] is None
    assert (await pilot('PUT', f'/pilots/{pilot_id}/drain', {'drain': True})).status == 403
    assert (await pilot('PATCH', f'/pilots/{pilot_id}', {'drain': None})).status == 400
    assert (await api('PUT', '/pilots/none/drain', {'drain': True})).status == 404
    for wrong in ({}, {'drain': 'yes'}, {'drain': True, 'more': 1}):
        assert (await api('PUT', f'/pilots/{pilot_id}/drain', wrong)).status == 400
