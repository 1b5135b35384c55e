"""How commands ended on nodes: grouped, node by node, and no more of it than there is room for."""

from typing import Any

import pytest

from tests.conftest import Answer, Api
from tests.rest.answers import refusal, seen
from tests.rest.test_outputs import LATER, MINE, claimed

WELL = {
    'exit_code': 0,
    'timed_out': False,
    'why': '',
    'stdout': 'ok',
    'stderr': '',
    'stdout_bytes': 2,
    'stderr_bytes': 0,
}
LATE = {**WELL, 'exit_code': None, 'timed_out': True, 'why': 'time is over', 'stdout': ''}


async def send(api: Api, task_id: str, *results: dict[str, Any], claim: str = MINE, epoch: int = 1) -> Answer:
    body = {'claim_id': claim, 'epoch': epoch, 'results': results}
    return await api('POST', f'/tasks/{task_id}/task_actions/nodes', body)


def result(group: int, part: int, nodes: list[str], **how: Any) -> dict[str, Any]:
    return {'group': group, 'part': part, 'nodes': nodes, **how}


async def test_results_are_read_in_groups_and_node_by_node(api: Api) -> None:
    task_id = await claimed(api)
    assert seen(await send(api, task_id, result(0, 0, ['n1', 'n2'], **WELL), result(1, 0, ['n4'], **LATE))) == (200, {})
    assert (await send(api, task_id, result(0, 1, ['n3']))).status == 200

    groups = (await api('GET', f'/tasks/{task_id}/nodes')).body
    nodes = (await api('GET', f'/tasks/{task_id}/nodes?raw=true')).body

    assert groups == {
        'task_id': task_id, 'epoch': 1,
        'groups': [{'nodes': ['n1', 'n2', 'n3'], **WELL}, {'nodes': ['n4'], **LATE}],
    }  # fmt: skip
    assert nodes == {
        'task_id': task_id, 'epoch': 1,
        'nodes': [*({'node': f'n{number}', **WELL} for number in (1, 2, 3)), {'node': 'n4', **LATE}],
    }  # fmt: skip


async def test_the_same_again_changes_nothing(api: Api) -> None:
    task_id = await claimed(api)
    for _ in range(2):
        await send(api, task_id, result(0, 0, ['n1'], **WELL))

    assert (await api('GET', f'/tasks/{task_id}/nodes')).body['groups'] == [{'nodes': ['n1'], **WELL}]


async def test_results_of_a_later_attempt_take_the_place_of_earlier_ones(api: Api) -> None:
    task_id = await claimed(api)
    await send(api, task_id, result(0, 0, ['n1'], **LATE))
    await api('POST', f'/tasks/{task_id}/task_actions/hand_back', {'claim_id': MINE})
    await claimed(api, LATER, task_id)
    kept = (await api('GET', f'/tasks/{task_id}/nodes')).body

    late = await send(api, task_id, result(1, 0, ['n2'], **WELL))
    await send(api, task_id, result(0, 0, ['n1'], **WELL), claim=LATER, epoch=2)

    assert (kept['epoch'], late.status) == (1, 409)
    found = (await api('GET', f'/tasks/{task_id}/nodes')).body
    assert (found['epoch'], found['groups']) == (2, [{'nodes': ['n1'], **WELL}])
    assert await api.database.node_results.count_documents({}) == 1


async def test_there_is_room_for_so_much_and_no_more(api: Api) -> None:
    task_id = await claimed(api)
    text = {**WELL, 'stdout': 'x' * 65536, 'stderr': 'y' * 65536}
    for start in range(0, 60, 6):
        some = [result(number, 0, [f'n{number}'], **text) for number in range(start, start + 6)]
        assert (await send(api, task_id, *some)).status == 200

    answer = await send(api, task_id, *(result(number, 0, [f'n{number}'], **text) for number in range(60, 66)))

    assert seen(answer) == refusal(413, 'the results of nodes are kept up to 8 MiB')
    assert len((await api('GET', f'/tasks/{task_id}/nodes')).body['groups']) == 60


async def test_a_task_that_was_on_no_nodes_has_no_results(api: Api) -> None:
    task_id = await claimed(api)

    assert (await api('GET', f'/tasks/{task_id}/nodes')).body == {'task_id': task_id, 'epoch': 0, 'groups': []}
    assert (await api('GET', f'/tasks/{task_id}/nodes?raw=true')).body == {'task_id': task_id, 'epoch': 0, 'nodes': []}
    assert seen(await api('GET', '/tasks/none/nodes')) == refusal(404, 'Task not found')


@pytest.mark.parametrize(
    'wrong',
    [
        {'nodes': []}, {'nodes': ['n 1']}, {'nodes': ['-x']  * 1001}, {'nodes': 'n1'}, {'group': -1}, {'part': 1000},
        {'exit_code': 'x'}, {'timed_out': 1}, {'stdout': 5}, {'stdout': 'x' * 65537}, {'more': 1},
    ],
)  # fmt: skip
async def test_what_is_no_result_is_refused_and_nothing_is_kept(api: Api, wrong: dict[str, Any]) -> None:
    task_id = await claimed(api)

    assert (await send(api, task_id, {**result(0, 0, ['n1'], **WELL), **wrong})).status == 400
    assert await api.database.node_results.count_documents({}) == 0


async def test_whose_task_it_is_decides_who_may_send_and_read(api: Api) -> None:
    pilot, stranger = api.as_('pilot', 'p1'), api.as_('pilot', 'p2')
    dataset_id = await api.as_('user', 'ada').add_dataset([{'name': 'a', 'command': 'true'}])
    task_id = await api.add_task(dataset_id=dataset_id)
    await claimed(pilot, task_id=task_id)

    assert (await send(stranger, task_id, result(0, 0, ['n1'], **WELL))).status == 403
    assert (await send(pilot, task_id, result(0, 0, ['n1'], **WELL))).status == 200
    assert (await stranger('GET', f'/tasks/{task_id}/nodes')).status == 403
    found = await api.as_('user', 'ada')('GET', f'/datasets/{dataset_id}/tasks/{task_id}/nodes')
    assert found.body['groups'] == [{'nodes': ['n1'], **WELL}]
