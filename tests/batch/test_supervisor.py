"""The supervisor with commands that fail in every way; Slurm and HTCondor are programs that stand in for them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from iceprod_tasks.batch import BatchSystem, BatchTrouble, Bounds, Condor, Job, Orders, Slurm, Supervisor
from iceprod_tasks.batch.place import place
from iceprod_tasks.client import ServerError
from tests.batch.stand_in import StandIn
from tests.client.wire import client_of, refused, says

JOB = Job(name='here', site='here', command=('pilot',))
ORDERS = Orders(
    bounds=Bounds(slots=2, most=5), offer=JOB.offer(), every_seconds=0.05, starting_seconds=0, shortest_life_seconds=0,
    settle_seconds=60,
)  # fmt: skip
TIMEOUT_SECONDS = 2.0

Make = Callable[..., Supervisor]
SUBMITS = {'slurm': 'sbatch', 'condor': 'condor_submit'}
LISTS = {'slurm': 'squeue', 'condor': 'condor_q'}


@pytest.fixture
def queue(tmp_path: Path) -> StandIn:
    """The batch system."""
    (tmp_path / 'bin').mkdir()
    return StandIn(tmp_path / 'bin')


@pytest.fixture(params=['slurm', 'condor'])
def kind(request: pytest.FixtureRequest) -> str:
    """Which one it is."""
    return str(request.param)


@pytest.fixture
async def system(queue: StandIn, kind: str, tmp_path: Path) -> AsyncIterator[BatchSystem]:
    """The batch system, as the supervisor sees it."""
    environment = {
        'PATH': str(queue.folder), 'ICEPROD_TASKS_TOKEN': 'very secret',
        'ICEPROD_TASKS_SERVER': 'http://service',
    }  # fmt: skip
    with place(tmp_path / 'place') as where:
        yield (
            Slurm(JOB, environment, timeout_seconds=TIMEOUT_SECONDS, keep_open=where.lock)
            if kind == 'slurm'
            else Condor(JOB, environment, where, timeout_seconds=TIMEOUT_SECONDS)
        )


@pytest.fixture
def make(system: BatchSystem) -> Make:
    """Makes a supervisor of a service that always has so many tasks."""

    def supervisor(tasks: int, **changes: Any) -> Supervisor:
        demand = [{'requirements': {'cpu': 1}, 'waiting': tasks, 'queued': 0, 'unmade': 0}]
        client, _ = client_of(says(200, {'demand': demand}))
        return Supervisor(client, system, replace(ORDERS, **changes))

    return supervisor


async def test_there_are_as_many_pilots_as_the_work_needs(queue: StandIn, make: Make) -> None:
    await make(5).round()

    assert queue.number('PENDING') == 3


async def test_they_rise_with_the_work_and_fall_with_it(queue: StandIn, make: Make) -> None:
    numbers = []
    for tasks in (0, 3, 100, 100, 4, 1, 0):
        await make(tasks).round()
        numbers.append(queue.number())

    assert numbers == [0, 2, 5, 5, 2, 1, 0]


async def test_what_runs_is_left_alone(queue: StandIn, make: Make) -> None:
    await make(100).round()
    queue.become('RUNNING', 3)

    await make(0).round()

    assert (queue.number('RUNNING'), queue.number('PENDING')) == (3, 0)


async def test_a_supervisor_that_is_started_again_counts_the_pilots_of_the_last_one(queue: StandIn, make: Make) -> None:
    for _ in range(3):
        await make(6).round()

    assert queue.number() == 3


@pytest.mark.parametrize('kind', ['slurm'], indirect=True)
async def test_pilots_of_another_name_are_not_its_own(queue: StandIn, make: Make) -> None:
    await make(2).round()
    queue.write(jobs=[{**job, 'name': 'iceprod-there'} for job in queue.read()['jobs']])

    await make(0).round()
    await make(2).round()

    assert queue.number() == 2


@pytest.mark.parametrize('mood', ['fails', 'hangs', 'garbage', 'late-fails', 'late-hangs', 'late-garbage'])
async def test_a_submission_of_unknown_outcome_counts_until_it_is_found(
    queue: StandIn, make: Make, kind: str, mood: str
) -> None:
    supervisor = make(4)
    queue.feel(**{SUBMITS[kind]: mood})

    with pytest.raises(BatchTrouble):
        await supervisor.round()
    at_once = queue.number()
    for _ in range(3):
        await supervisor.round()

    assert at_once == (2 if mood.startswith('late-') else 0)
    # Not submitted again before it is known that it was not.
    assert queue.number() == at_once


async def test_what_is_not_found_for_long_is_submitted_again(queue: StandIn, make: Make, kind: str) -> None:
    supervisor = make(4, settle_seconds=0.05)
    queue.feel(**{SUBMITS[kind]: 'fails'})
    with pytest.raises(BatchTrouble):
        await supervisor.round()
    await asyncio.sleep(0.1)

    await supervisor.round()

    assert queue.number() == 2


async def test_what_is_submitted_late_is_found_by_its_tag(queue: StandIn, make: Make, kind: str) -> None:
    supervisor = make(4)
    queue.feel(**{SUBMITS[kind]: 'late-hangs'})
    with pytest.raises(BatchTrouble, match='did not end within 2 s'):
        await supervisor.round()
    await supervisor.round()
    queue.become('RUNNING', 2)

    # Two run and are found: what is not known any more would keep out two that are needed.
    await supervisor.round()

    assert (queue.number('RUNNING'), queue.number('PENDING')) == (2, 2)


@pytest.mark.parametrize('mood', ['fails', 'hangs', 'garbage', 'late-fails', 'late-hangs'])
async def test_without_a_list_nothing_is_submitted(queue: StandIn, make: Make, kind: str, mood: str) -> None:
    queue.feel(**{LISTS[kind]: mood})

    with pytest.raises(BatchTrouble):
        await make(4).round()

    assert queue.number() == 0


@pytest.mark.parametrize('kind', ['condor'], indirect=True)
async def test_an_empty_answer_of_condor_q_is_not_believed_alone(queue: StandIn, make: Make) -> None:
    await make(4).round()
    program = (queue.folder / 'condor_q').read_text().replace('json.dumps(rows) if rows else', '')
    (queue.folder / 'condor_q').write_text(program)

    with pytest.raises(BatchTrouble, match='although it knows of jobs'):
        await make(4).round()

    assert queue.number() == 2


async def test_commands_that_are_not_there_do_nothing_and_are_no_submission(
    queue: StandIn, make: Make, kind: str
) -> None:
    supervisor = make(4)
    command = queue.folder / SUBMITS[kind]
    command.rename(f'{command}.away')
    with pytest.raises(BatchTrouble, match='No such file'):
        await supervisor.round()
    (queue.folder / f'{command.name}.away').rename(command)

    await supervisor.round()

    assert queue.number() == 2


@pytest.mark.parametrize('mood', ['fails', 'late-fails', 'hangs'])
async def test_a_cancellation_that_fails_is_tried_again(queue: StandIn, make: Make, kind: str, mood: str) -> None:
    await make(10).round()
    queue.feel(**{'scancel' if kind == 'slurm' else 'condor_rm': mood})
    with pytest.raises(BatchTrouble):
        await make(0).round()

    await make(0).round()

    assert queue.number() == 0


async def test_without_the_demand_nothing_is_submitted_or_cancelled(
    queue: StandIn, make: Make, system: BatchSystem
) -> None:
    await make(10).round()
    client, _ = client_of(refused(503), retry_seconds=0)

    with pytest.raises(ServerError):
        await Supervisor(client, system, ORDERS).round()

    assert queue.number() == 5


async def _run_for(supervisor: Supervisor, seconds: float) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(supervisor.run(stop))
    await asyncio.sleep(seconds)
    stop.set()
    await asyncio.wait_for(running, 20)


@pytest.mark.parametrize('kind', ['slurm'], indirect=True)
async def test_it_rests_longer_with_each_failure(queue: StandIn, make: Make) -> None:
    queue.feel(squeue='fails ' * 100)

    await _run_for(make(4), 2.5)

    # Rests of 0.1, 0.2, 0.4, 0.8, 1.6 s.
    assert 2 <= len(queue.calls('squeue')) <= 6


@pytest.mark.parametrize('kind', ['slurm'], indirect=True)
async def test_pilots_that_end_at_once_are_followed_by_one_and_longer_rests(queue: StandIn, make: Make) -> None:
    supervisor = make(100, shortest_life_seconds=60)
    submitted = []
    for _ in range(4):
        before = len(queue.read()['jobs'])
        await supervisor.round()
        submitted.append(len(queue.read()['jobs']) - before)
        queue.become('FAILED', 100)

    assert submitted == [5, 1, 1, 1]


@pytest.mark.parametrize('kind', ['slurm'], indirect=True)
async def test_what_it_has_cancelled_has_not_ended_at_once(queue: StandIn, make: Make, system: BatchSystem) -> None:
    def row(tasks: int) -> Any:
        return says(200, {'demand': [{'requirements': {}, 'waiting': tasks, 'queued': 0, 'unmade': 0}]})

    client, _ = client_of(row(100), row(0), row(100))
    supervisor = Supervisor(client, system, replace(ORDERS, shortest_life_seconds=60))

    for _ in range(3):
        await supervisor.round()

    assert queue.number() == 5


async def test_its_pilots_stay_when_it_ends(queue: StandIn, make: Make) -> None:
    await _run_for(make(6), 1)

    assert queue.number() == 3


async def test_all_are_cancelled_at_the_end_where_that_is_wanted(queue: StandIn, make: Make) -> None:
    await make(6).round()
    queue.become('RUNNING', 2)

    await _run_for(make(6, cancel_at_end=True), 0.5)

    assert queue.number() == 0


async def test_it_waits_for_the_command_that_is_under_way(queue: StandIn, make: Make, kind: str) -> None:
    queue.feel(**{SUBMITS[kind]: 'late-hangs'})
    stop = asyncio.Event()
    running = asyncio.create_task(make(4).run(stop))
    async with asyncio.timeout(20):
        while not queue.calls(SUBMITS[kind]):
            await asyncio.sleep(0.05)
    began = time.monotonic()
    stop.set()
    await running

    assert time.monotonic() - began > TIMEOUT_SECONDS / 2


async def test_the_token_is_on_no_command_line_and_in_no_script(
    queue: StandIn, make: Make, kind: str, tmp_path: Path
) -> None:
    await make(4).round()
    await make(0).round()

    state = queue.read()
    assert len(state['calls']) > 3
    assert 'very secret' not in str([call['argv'] for call in state['calls']])
    assert 'very secret' not in str(state['jobs'])
    files = [path for path in (tmp_path / 'place').glob('*') if 'very secret' in path.read_text()]
    assert [path.name for path in files] == ([] if kind == 'slurm' else ['iceprod-tasks-token'])
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files)


@pytest.mark.parametrize('kind', ['condor'], indirect=True)
async def test_condor_is_asked_for_jobs_of_this_name_and_user_only(queue: StandIn, make: Make) -> None:
    await make(4).round()
    await make(0).round()

    constraints = [call['argv'][-1] for name in ('condor_q', 'condor_rm') for call in queue.calls(name)]
    assert len(constraints) > 3
    assert all(each.startswith('IceprodTasksName == "here" && Owner == "') for each in constraints)


async def test_a_service_that_cannot_be_reached_is_no_end(queue: StandIn, system: BatchSystem) -> None:
    client, wire = client_of(httpx2.ConnectError('nobody'), retry_seconds=0)

    await _run_for(Supervisor(client, system, ORDERS), 1.5)

    assert len(wire.requests) > 1
    assert queue.number() == 0
