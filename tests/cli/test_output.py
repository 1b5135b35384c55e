"""`iceprod-tasks output`: what a task prints, as it comes, and how it ended on its nodes."""

import asyncio
from typing import Any

import pytest

from iceprod_tasks.client import AsyncClient, Claim
from tests.cli.typed import typed
from tests.conftest import Api

WELL = {
    'exit_code': 0,
    'timed_out': False,
    'why': '',
    'stdout': 'ok',
    'stderr': '',
    'stdout_bytes': 2,
    'stderr_bytes': 0,
}
GROUPS: list[dict[str, Any]] = [
    {'group': 0, 'part': 0, 'nodes': ['n1', 'n2', 'n4'], **WELL},
    {'group': 1, 'part': 0, 'nodes': ['n3'], **WELL, 'exit_code': 3, 'stdout': '', 'stderr': 'oh\nno'},
    {'group': 2, 'part': 0, 'nodes': ['n5'], **WELL, 'exit_code': None, 'timed_out': True, 'why': 'time is over'},
]


@pytest.fixture
async def claim(api: Api) -> Claim:
    """A task that is being worked on."""
    await api.add_task()
    async with AsyncClient(api.url, api.token('pilot')) as client:
        return await client.claim({})


def pilot(api: Api) -> AsyncClient:
    return AsyncClient(api.url, api.token('pilot'))


async def test_all_that_is_kept_is_printed_as_it_is(api: Api, claim: Claim) -> None:
    text = 'grüße\n' * 50_000
    data = text.encode()
    async with pilot(api) as client:
        for start in range(0, len(data), 2**17):
            await client.append_output(claim, [('stdout', start, data[start : start + 2**17]), ('stderr', 0, b'oh')])

    said = await typed(api, 'output', claim.task_id)
    errors = await typed(api, 'output', claim.task_id, '--stderr')
    tail = await typed(api, 'output', claim.task_id, '--tail', '8')

    assert (said.out, said.err) == (text, '')
    assert errors.out == 'oh'
    assert tail.out == 'grüße\n'


async def test_what_is_not_kept_is_said(api: Api, claim: Claim) -> None:
    async with pilot(api) as client:
        await client.append_output(claim, [('stdout', 0, b'beginning')])
        await client.append_output(claim, [('stdout', 5_000_000, b'end')])

    said = await typed(api, 'output', claim.task_id)

    assert said.out.endswith('end')
    assert said.err.endswith(' bytes are not kept]\n')


async def test_it_is_followed_until_the_attempt_is_over(api: Api, claim: Claim) -> None:
    following = asyncio.ensure_future(typed(api, 'output', claim.task_id, '-f'))
    async with pilot(api) as client:
        for number in range(3):
            await client.append_output(claim, [('stdout', 2 * number, b'%d\n' % number)])
            await asyncio.sleep(0.2)
        assert not following.done()
        await client.complete(claim)

    async with asyncio.timeout(20):
        assert (await following).out == '0\n1\n2\n'


async def test_results_of_nodes_are_gathered(api: Api, claim: Claim) -> None:
    async with pilot(api) as client:
        await client.add_node_results(claim, GROUPS)

    said = await typed(api, 'output', claim.task_id, '--nodes')

    line = '-' * 15
    assert said.out == (
        f'{line}\nn[1-2,4] (3)\n{line}\nok\n{line}\nn3\n{line}\nstderr:\noh\nno\n[exit code 3]\n'
        f'{line}\nn5\n{line}\nok\n[time is over]\n'
    )


async def test_results_of_nodes_are_printed_line_by_line(api: Api, claim: Claim) -> None:
    async with pilot(api) as client:
        await client.add_node_results(claim, GROUPS)

    said = await typed(api, 'output', claim.task_id, '--nodes', '--raw')

    assert said.out == 'n1: ok\nn2: ok\nn4: ok\nn5: ok\n'
    assert said.err == 'n3: oh\nn3: no\nn3: [exit code 3]\nn5: [time is over]\n'


async def test_results_of_nodes_are_a_document(api: Api, claim: Claim) -> None:
    async with pilot(api) as client:
        await client.add_node_results(claim, GROUPS)

    said = await typed(api, 'output', claim.task_id, '--nodes', '--json')

    assert said.json == (await api('GET', f'/tasks/{claim.task_id}/nodes')).body


@pytest.mark.parametrize('wrong', [['--raw'], ['--json'], ['--nodes', '--follow'], ['--tail', '0']])
async def test_what_does_not_go_together_is_refused(api: Api, wrong: list[str]) -> None:
    await typed(api, 'output', 'T', *wrong, code=2)


async def test_an_unknown_task_is_not_found(api: Api) -> None:
    said = await typed(api, 'output', 'none', code=3)

    assert said.err == 'iceprod-tasks: Task not found (404)\n'
