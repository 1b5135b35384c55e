"""Tasks on nodes: over a real ssh to this machine, ended with their pilot, and nowhere that the site does not allow."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from iceprod_tasks.client import AsyncClient
from iceprod_tasks.pilot import Pilot, Plan
from iceprod_tasks.pilot.command import WrongConfig
from iceprod_tasks.pilot.folder import Folder
from iceprod_tasks.pilot.nodes import NodeRules, node_rules, on_nodes, results_of, script
from tests.fanout.conftest import Marked, marked  # noqa: F401 - a fixture
from tests.fanout.sshd import Sshd, sshd
from tests.pilot.conftest import ENVIRONMENT, Fly
from tests.pilot.fake_service import FakeService
from tests.pilot.test_task_messages import steps


@pytest.fixture(scope='module')
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp('sshd')) as running:
        yield running


@pytest.fixture
def rules(server: Sshd) -> NodeRules:
    return node_rules(ENVIRONMENT, ['n[1-9]', 'dead1'], server.options)


def by_node(service: FakeService) -> dict[str, dict[str, Any]]:
    """What came of it on each node."""
    found, groups = {}, {}
    for sent in service.node_results:
        for result in sent['results']:
            groups.setdefault(result['group'], result)
            found |= dict.fromkeys(result['nodes'], groups[result['group']])
    return found


def alone(result: dict[str, Any]) -> tuple[Any, ...]:
    return result['exit_code'], result['timed_out'], result['stdout'], result['stderr']


async def test_a_command_runs_on_each_node_and_equal_results_are_told_once(
    service: FakeService, fly: Fly, rules: NodeRules
) -> None:
    service.add('echo same; echo "$FIRST $ICEPROD_TASK_ID" >&2', nodes='n[1-4]', env={'FIRST': "it's"})

    [report] = await fly(nodes=rules)

    assert (report['action'], report['exit_code']) == ('complete', 0)
    [sent] = service.node_results
    assert (sent['claim_id'], sent['epoch']) == (report['claim_id'], 4)
    [group] = sent['results']
    assert sorted(group['nodes']) == ['n1', 'n2', 'n3', 'n4']
    assert alone(group) == (0, False, 'same', "it's t0")
    assert (group['stdout_bytes'], group['stderr_bytes']) == (4, 7)


async def test_the_steps_of_the_task_are_the_nodes_on_which_it_has_ended(
    service: FakeService, fly: Fly, rules: NodeRules
) -> None:
    # All names are this machine: who comes first to the folder ends at once.
    service.add('mkdir a && exit; sleep 1.5', nodes='n[1-3]')

    await fly(nodes=rules)

    told = steps(service)
    assert told[-1] == (3, 3)
    assert (1, 3) in told


async def test_of_four_nodes_one_fails_and_one_times_out(service: FakeService, fly: Fly, rules: NodeRules) -> None:
    # All names are this machine: who comes first to a folder decides.
    line = 'mkdir a && { echo started; exec sleep 60; }; mkdir b && exit 3; echo ok'
    service.add(f'exec 2>/dev/null; {line}', nodes={'set': 'n[1-4]', 'timeout': 5})

    [report] = await fly(nodes=rules)

    results = by_node(service)
    assert sorted(map(alone, results.values()), key=repr) == [
        (0, False, 'ok', ''), (0, False, 'ok', ''), (3, False, '', ''), (None, True, 'started', ''),
    ]  # fmt: skip
    failed = next(name for name, each in results.items() if each['exit_code'] == 3)
    late = next(name for name, each in results.items() if each['timed_out'])
    assert (report['action'], report['exit_code']) == ('reset', 124)
    assert report['reason'] == f'exit code 124: {failed}: exit code 3; {late}: time is over'


async def test_lines_are_seen_with_their_node_while_it_runs(
    service: FakeService,
    fly: Fly,
    rules: NodeRules,
    marked: Marked,  # noqa: F811
) -> None:
    service.add(f'echo here; exec {marked.sleep}', nodes='n[1-2]')
    service.left = 0
    flying = asyncio.ensure_future(fly(nodes=rules))

    await service.until(lambda: sorted(service.output('t0').splitlines()) == [b'n1: here', b'n2: here'])

    service.again_in = 0.1
    service.orders['t0'] = 409, {'code': 409, 'error': 'lost', 'action': 'stop', 'why': ''}
    await flying
    marked.wait_for(0)
    assert service.reports == []


async def test_a_pilot_that_is_told_to_stop_ends_it_on_all_nodes_and_tells_how_far_it_came(
    service: FakeService,
    rules: NodeRules,
    plan: Plan,
    marked: Marked,  # noqa: F811
) -> None:
    service.add(f'mkdir first 2>/dev/null && exit 0; exec {marked.sleep}', nodes='n[1-3]')
    async with AsyncClient(service.url, 'secret') as client:
        pilot = Pilot(client, replace(plan, nodes=rules))
        flying = asyncio.ensure_future(pilot.run())
        await asyncio.to_thread(marked.wait_for, 2)

        pilot.stop()
        await flying

    assert [report['action'] for report in service.reports] == ['hand_back']
    await asyncio.to_thread(marked.wait_for, 0)
    assert sorted((each['exit_code'] for each in by_node(service).values()), key=repr)[0] == 0
    assert len(by_node(service)) == 3


async def test_a_node_that_cannot_be_reached_is_a_failed_one(service: FakeService, fly: Fly, rules: NodeRules) -> None:
    service.add('echo ok', nodes='n1,dead1')

    [report] = await fly(nodes=rules)

    results = by_node(service)
    assert (results['n1']['exit_code'], results['dead1']['exit_code']) == (0, 255)
    assert 'refused' in results['dead1']['stderr']
    assert (report['action'], report['reason']) == ('reset', 'exit code 255: dead1: exit code 255')


@pytest.mark.parametrize(
    ('nodes', 'why'),
    [
        ('n[1-10]', 'this pilot may not go to n10'),
        ('elsewhere', 'this pilot may not go to elsewhere'),
        ('-oProxyCommand=id', 'no name of a node'),
        ('n1;id', 'no name of a node'),
        ('@all', 'no name of a node'),
        ('n[1-999999999]', 'more than 100000 nodes'),
        ('$SLURM_NODELIST', 'no batch system has given nodes'),
        ({'set': 'n1', 'timeout': -1}, 'nodes.timeout is no positive number'),
        ({'set': 7}, 'nodes is no set of nodes'),
        (7, 'nodes is no set of nodes'),
    ],
)  # fmt: skip
async def test_where_a_task_may_not_go_it_fails_and_nothing_runs(
    service: FakeService, fly: Fly, rules: NodeRules, tmp_path: Path, nodes: Any, why: str
) -> None:
    service.add(f'touch {tmp_path}/ran', nodes=nodes)

    [report] = await fly(nodes=rules)

    assert report['action'] == 'failed'
    assert why in report['reason']
    assert not (tmp_path / 'ran').exists()


def test_without_a_word_of_the_site_tasks_go_nowhere_but_where_the_batch_system_says() -> None:
    rules = node_rules({'SLURM_JOB_NODELIST': 'c[1-3]', 'HOME': '/h', 'ICEPROD_TASKS_TOKEN': 'secret'})

    on = on_nodes('$SLURM_NODELIST', rules)

    assert on is not None and on.nodes == ('c1', 'c2', 'c3')
    assert on_nodes('c2', rules) is not None
    with pytest.raises(WrongConfig, match='may not go to c4'):
        on_nodes('c[3-4]', rules)
    assert rules.ssh_environment == {'HOME': '/h'}


def test_a_value_of_the_environment_cannot_become_a_command(tmp_path: Path) -> None:
    evil = "x'; touch gone; echo '$(touch gone) `touch gone`\n"

    line = script('printf "%s" "$EVIL"', {'EVIL': evil}, tmp_path)

    said = subprocess.run(['/bin/sh', '-c', line], capture_output=True, check=True, cwd='/', text=True)
    assert said.stdout == evil
    assert list(tmp_path.iterdir()) == []


async def test_results_of_many_nodes_come_in_portions(tmp_path: Path) -> None:
    folder = Folder.make(tmp_path)
    names = [f'n{number}' for number in range(2500)]
    alike = {'exit_code': 0, 'timed_out': False, 'why': '', 'stderr': '', 'stdout_bytes': 1, 'stderr_bytes': 0}
    groups = [{'nodes': names, 'stdout': 'a', **alike}]
    groups += [{'nodes': [f'm{number}'], 'stdout': 'x' * 60_000, **alike} for number in range(100)]
    (folder.path / 'node-results.jsonl').write_text(''.join(json.dumps(group) + '\n' for group in groups))

    portions = list(results_of(folder))

    parts = [part for portion in portions for part in portion]
    assert [(part['group'], part['part'], len(part['nodes'])) for part in parts[:4]] == [
        (0, 0, 1000), (0, 1, 1000), (0, 2, 500), (1, 0, 1),
    ]  # fmt: skip
    assert [name for part in parts[:3] for name in part['nodes']] == names
    assert all(len(json.dumps(portion)) < 2**20 for portion in portions)
    assert sum(len(part.get('stdout', '')) for part in parts) <= 4 * 2**20
    assert parts[-1].keys() >= {'exit_code', 'timed_out'} and parts[-1]['stdout'] == ''
    folder.remove()
