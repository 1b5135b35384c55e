"""`iceprod-tasks pilots`: which pilots there are, and having them end."""

import pytest

from tests.cli.typed import typed
from tests.conftest import Api

ABOUT = {
    'queue_host': 'n7', 'queue_version': '1', 'resources': {'cpu': 2}, 'host': 'n7', 'site': 'north', 'slots': 2,
    'resources_available': {'cpu': 4, 'memory': 8.0}, 'state': 'working', 'tasks': ['t1'],
}  # fmt: skip


@pytest.fixture
async def pilot_id(api: Api) -> str:
    await api('POST', '/pilots', {**ABOUT, 'site': 'south', 'host': 'n9'})
    return str((await api('POST', '/pilots', ABOUT)).body['result'])


async def test_pilots_are_listed_with_what_they_offer_and_run(api: Api, pilot_id: str) -> None:
    said = await typed(api, 'pilots', 'list', '--site', 'north')

    head, _, row = said.out.splitlines()
    assert head.split() == ['pilot_id', 'host', 'site', 'state', 'slots', 'running', 'cpu', 'memory', 'last_update']
    assert row.split()[:8] == [pilot_id, 'n7', 'north', 'working', '2', '1', '4', '8.0']
    everywhere = await typed(api, 'pilots', 'list', '--json')
    assert {pilot['host'] for pilot in everywhere.json.values()} == {'n7', 'n9'}


async def test_a_pilot_is_told_to_drain_and_the_order_can_be_taken_back(api: Api, pilot_id: str) -> None:
    await typed(api, 'pilots', 'drain', pilot_id, '--reason', 'new disks')
    ordered = (await api('GET', f'/pilots/{pilot_id}')).body
    shown = await typed(api, 'pilots', 'list', '--site', 'north')
    await typed(api, 'pilots', 'drain', pilot_id, '--undo')

    assert (ordered['drain']['who'], ordered['drain']['why']) == ('someone', 'new disks')
    assert 'told to drain' in shown.out
    assert (await api('GET', f'/pilots/{pilot_id}')).body['drain'] is None


async def test_pilots_that_are_not_there_are_named(api: Api, pilot_id: str) -> None:
    some = await typed(api, 'pilots', 'drain', 'none', pilot_id, code=6)
    none = await typed(api, 'pilots', 'drain', 'none', code=3)

    assert some.err == none.err == 'iceprod-tasks: there is no pilot none\n'
    assert (await api('GET', f'/pilots/{pilot_id}')).body['drain']
