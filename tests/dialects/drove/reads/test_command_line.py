"""What the real command line makes of tasks in all their states, of logs in any bytes, and of whoever uses it."""

import asyncio
import contextlib
import json
import random
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from iceprod_tasks.actions.lead import campaign
from iceprod_tasks.dialects.drove.names import external
from iceprod_tasks.domain.outputs import BLOCK_BYTES
from tests.actions.operated import another_leads, claimed, killed, made, report
from tests.dialects.drove.bodies import create, spec
from tests.dialects.drove.cli import DroveCli
from tests.dialects.drove.reads.conftest import PASSWORD, Drove
from tests.dialects.drove.reads.pilots import enter
from tests.dialects.drove.reads.printing import running, send

NAME = external('TEST_APP', 'T0012')
TAIL = ('tasks', 'tail', 'A', '1')


async def said(cli: DroveCli, *words: str) -> str:
    """What a command says, which the service in this process answers."""
    return await asyncio.to_thread(cli, *words)


async def said_with(cli: DroveCli, *words: str) -> str:
    """The same without the file of its cluster."""
    program = cli.argv[0]
    return (await asyncio.to_thread(subprocess.run, [program, *words], capture_output=True, text=True)).stdout


@contextlib.asynccontextmanager
async def following(cli: DroveCli, *words: str) -> AsyncIterator['Tail']:
    """What a command prints that does not end by itself."""
    process = cli.start(*words)
    try:
        yield Tail(process)
    finally:
        process.kill()
        await asyncio.to_thread(process.communicate)


class Tail:
    """What is followed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.read = ''

    async def until(self, text: str) -> str:
        """All that was read, once it ends with a text."""
        assert self._process.stdout is not None
        async with asyncio.timeout(60):
            while not self.read.endswith(text):
                more = await asyncio.to_thread(self._process.stdout.readline)
                assert more, self.read
                self.read += more
        return self.read


async def until_asked(caplog: pytest.LogCaptureFixture) -> None:
    """Once somebody has read a log."""
    async with asyncio.timeout(60):
        while not any('/read/' in record.getMessage() for record in caplog.records):
            await asyncio.sleep(0.02)


async def test_a_log_is_followed_to_the_letter_whatever_is_in_it(
    drove: Drove, cli: DroveCli, caplog: pytest.LogCaptureFixture
) -> None:
    claim = await running(drove.api)
    before = 'vorher: grüße\n'.encode()
    text = ''.join(f'{number} 日本語 größer 😀 {"x" * (number % 40)}\n' for number in range(3000)) + 'the end\n'
    data, sent = text.encode(), await send(drove.api, claim, before)
    assert len(data) > 4 * BLOCK_BYTES

    async with following(cli, *TAIL) as tail:
        await until_asked(caplog)
        for start in range(0, len(data), 10_001):
            sent = await send(drove.api, claim, data[start : start + 10_001], sent)
        read = await tail.until('the end\n')

    assert read == text


async def test_errors_are_followed_by_their_name(drove: Drove, cli: DroveCli, caplog: pytest.LogCaptureFixture) -> None:
    claim = await running(drove.api)

    async with following(cli, *TAIL, '-l', 'error.log') as tail:
        await until_asked(caplog)
        await send(drove.api, claim, b'out\n')
        await send(drove.api, claim, b'oh\n', stream='stderr')

        assert await tail.until('oh\n') == 'oh\n'


async def test_a_file_is_downloaded_byte_by_byte(drove: Drove, cli: DroveCli, tmp_path: Path) -> None:
    claim = await running(drove.api)
    data = random.Random(1).randbytes(150_000)
    await send(drove.api, claim, data)

    printed = await said(cli, 'tasks', 'download', 'A', '1', 'output.log')

    assert 'Downloaded size: 150,000 bytes' in printed
    assert (tmp_path / 'output.log').read_bytes() == data


@pytest.mark.parametrize('words', [('logs', 'A', '1'), ('download', 'A', '1', 'output.log'), ('tail', 'A', '1')])
async def test_of_a_task_that_nobody_knows_the_status_is_said(cli: DroveCli, words: tuple[str, ...]) -> None:
    printed = await said(cli, 'tasks', *words)

    assert 'Error making Drove call: Drove call failed with status: ' in printed


async def test_a_file_that_is_none_ends_following_it(drove: Drove, cli: DroveCli) -> None:
    await made(drove.api)

    assert 'status: 404' in await said(cli, 'tasks', 'tail', 'A', '1', '-l', 'task.json')


async def in_state(drove: Drove, state: str) -> None:
    """Make a task TEST_APP/T0012 that has come so far."""
    await drove('POST', '/tasks/operations', create(spec(env={'KEY': 'x'}, tags={'a': 'b'})))
    if state == 'PENDING':
        return
    if state == 'CANCELLED':
        await killed(drove.api, name=NAME)
        return
    claim = await claimed(drove.api)
    if state == 'SUCCESSFUL':
        await report(drove.api, claim, 'complete')


@pytest.mark.parametrize('state', ['PENDING', 'PROVISIONING', 'SUCCESSFUL', 'CANCELLED'])
async def test_in_every_state_a_task_can_be_shown_and_described(drove: Drove, cli: DroveCli, state: str) -> None:
    await in_state(drove, state)

    shown = await said(cli, 'tasks', 'show', 'TEST_APP', 'T0012')
    described = await said(cli, 'describe', 'task', 'TEST_APP', 'T0012')
    as_json = json.loads(await said(cli, 'describe', 'task', 'TEST_APP', 'T0012', '--json'))

    is_over = state in ('SUCCESSFUL', 'CANCELLED')
    assert 'Drove CLI error' not in shown + described
    assert as_json['state'] == ('STOPPED' if is_over else state)
    assert (f'{state} (Task exit code: ' in shown) == is_over
    assert (f'Status:            {state}' in described) == is_over
    assert as_json['state'] in shown
    assert as_json['state'] in described


@pytest.mark.parametrize('column', range(9))
async def test_a_list_can_be_sorted_by_each_column(drove: Drove, cli: DroveCli, column: int) -> None:
    await in_state(drove, 'PROVISIONING')
    await drove('POST', '/tasks/operations', create(spec(taskId='later')))

    printed = await said(cli, 'tasks', 'list', '-a', 'TEST_APP', '-s', str(column), '-r')

    assert 'Drove CLI error' not in printed
    assert sorted(line.split()[2] for line in printed.splitlines()[2:]) == ['T0012', 'later']


async def test_what_is_over_is_not_listed(drove: Drove, cli: DroveCli) -> None:
    await in_state(drove, 'SUCCESSFUL')

    assert 'T0012' not in await said(cli, 'tasks', 'list')


async def test_as_many_events_come_as_are_asked_for(drove: Drove, cli: DroveCli) -> None:
    await in_state(drove, 'SUCCESSFUL')

    printed = await said(cli, 'cluster', 'events', '-c', '2', '-s', '{type} {metadata}')

    assert [json.loads(line.partition(' ')[2])['CURRENT_STATE'] for line in printed.splitlines()] == [
        'STOPPED', 'DEPROVISIONING',
    ]  # fmt: skip


async def test_events_are_followed(drove: Drove, cli: DroveCli) -> None:
    await in_state(drove, 'PENDING')

    async with following(cli, 'cluster', 'events', '-f', '-s', '{metadata}') as tail:
        await tail.until('}\n')
        # It goes on from its own clock, which it looks at after it has printed.
        await asyncio.sleep(0.5)
        await killed(drove.api, name=NAME)
        read = await tail.until('"killed"}\n')

    assert [json.loads(line)['CURRENT_STATE'] for line in read.splitlines()] == ['PENDING', 'STOPPED']


async def test_an_empty_cluster_is_shown(cli: DroveCli) -> None:
    assert 'Total: 0 Used: 0 Free: 0' in await said(cli, 'cluster', 'summary')
    for words in (('cluster', 'events'), ('cluster', 'endpoints'), ('tasks', 'list'), ('describe', 'cluster')):
        assert 'rror' not in await said(cli, *words)


@pytest.mark.parametrize('words', [('info',), ('tasks',), ('appinstances',), ('lsinstances',)])
async def test_an_executor_can_be_looked_at_from_all_sides(drove: Drove, cli: DroveCli, words: tuple[str, ...]) -> None:
    await enter(drove.api, 'one', cpu=2, memory=4.0)

    assert 'rror:' not in await said(cli, 'executor', *words, 'one')
    assert 'No such executor nobody' in await said(cli, 'executor', *words, 'nobody')


async def test_a_token_does_in_place_of_a_name_and_a_password(drove: Drove, cli: DroveCli) -> None:
    token = drove.api.token('user', 'una')

    known = await said_with(cli, '-e', f'{drove.api.url}/', '-t', f'Bearer {token}', 'cluster', 'ping')
    wrong = await said_with(cli, '-e', drove.api.url, '-t', 'Bearer x', 'cluster', 'ping')
    nobody = await said_with(cli, '-e', drove.api.url, 'cluster', 'ping')

    assert known == 'Cluster ping successful\n'
    for printed in (wrong, nobody):
        assert 'Credentials are required to access this resource.' in printed


@pytest.mark.parametrize('name', ['pip', 'una'])
async def test_whoever_may_not_is_told_so(drove: Drove, cli: DroveCli, tmp_path: Path, name: str) -> None:
    theirs = DroveCli(tmp_path, drove.api.url, name, PASSWORD)

    printed = await said(theirs, 'cluster', 'maintenance-on')

    assert 'Cluster state' not in printed
    assert '403' in printed


async def test_a_service_that_does_not_lead_is_no_cluster(drove: Drove, cli: DroveCli) -> None:
    async with another_leads(drove.api):
        await campaign(drove.api.service)
        printed = await said(cli, 'tasks', 'list')

    assert 'This node is not the leader controller' in printed
    assert '  - The leader is http://other:1' in printed
