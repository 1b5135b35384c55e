"""`iceprod-tasks pilots submit`, with a real service and programs that stand in for the batch system's."""

from pathlib import Path
from typing import Any

import pytest

from tests.batch.stand_in import StandIn
from tests.cli.typed import Said, typed
from tests.conftest import Api

SUBMIT = ('pilots', 'submit', '--slurm', '--site', 'here', '--max', '5', '--once')


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """The batch system, in the PATH."""
    (tmp_path / 'bin').mkdir()
    monkeypatch.setenv('PATH', str(tmp_path / 'bin'))
    monkeypatch.setenv('XDG_STATE_HOME', str(tmp_path / 'state'))
    return StandIn(tmp_path / 'bin')


@pytest.fixture
async def busy(api: Api) -> Api:
    """A service where three tasks fit a pilot, and one does not."""
    for memory in (1, 1, 2, 200):
        await api.add_task(requirements={'memory': memory})
    return api


@pytest.mark.parametrize('kind', ['--slurm', '--condor'])
async def test_a_round_submits_what_the_queue_needs(busy: Api, queue: StandIn, kind: str) -> None:
    words = [word for word in SUBMIT if word != '--slurm']

    for _ in range(2):
        await typed(busy, *words, kind)

    assert queue.number() == 3


async def test_a_dry_run_says_what_it_would_do_and_does_nothing(busy: Api, queue: StandIn, tmp_path: Path) -> None:
    token = busy.token('pilot')

    said = await typed(busy, *SUBMIT, '--dry-run', token=token)

    assert said.out.startswith('submit 3 pilots, cancel 0\n\nsbatch --parsable --job-name=iceprod-here ')
    assert ' pilot --slots=1 --cpu=1 --memory=2.0 ' in said.out
    assert token not in said.out
    assert queue.number() == 0
    assert not (tmp_path / 'state').exists()


async def test_the_token_reaches_sbatch_by_its_environment(busy: Api, queue: StandIn) -> None:
    token = busy.token('pilot')

    await typed(busy, *SUBMIT, token=token)

    [call] = queue.calls('sbatch')
    assert call['environment']['ICEPROD_TASKS_TOKEN'] == token
    assert call['environment']['ICEPROD_TASKS_SERVER'] == busy.url


async def test_what_is_said_of_slurm_goes_to_sbatch(busy: Api, queue: StandIn, tmp_path: Path) -> None:
    given = ('--partition', 'long', '--account', 'physics', '--sbatch-option=--qos=low', '--name', 'night')

    await typed(busy, *SUBMIT, *given, '--log-folder', str(tmp_path / 'logs'), '--python', '/opt/python')

    [call] = queue.calls('sbatch')
    assert call['argv'][-3:] == ['--partition=long', '--account=physics', '--qos=low']
    assert '--job-name=iceprod-night' in call['argv']
    assert f'--output={tmp_path}/logs/%x-%A_%a.log' in call['argv']
    assert 'exec /opt/python -P -m iceprod_tasks.cli.main pilot ' in queue.read()['jobs'][0]['script']


async def test_what_is_said_of_condor_goes_into_the_submit_file(busy: Api, queue: StandIn) -> None:
    words = [word for word in SUBMIT if word != '--slurm']

    await typed(busy, *words, '--condor', '--account', 'physics', '--condor-line', 'requirements = Fast')

    assert 'accounting_group = physics\nrequirements = Fast\nqueue 3\n' in queue.read()['jobs'][0]['script']


async def refused(api: Api, *words: Any, code: int) -> Said:
    return await typed(api, *(str(word) for word in words), code=code)


@pytest.mark.parametrize(
    ('words', 'why'),
    [
        (['--condor'], 'say --slurm or --condor'),
        (['--condor-line', 'a = b'], '--condor-line does not go with --slurm'),
        (['--python', '/p', '--pilot-command', 'p'], 'two ways to say the same'),
        (['--name', 'a b'], 'a name has up to 64 letters'),
        (['--min', '6'], 'at least 6 and at most 5 pilots is no range'),
        (['--sbatch-option=--export=ALL'], 'is set by the supervisor'),
        (['--workdir', 'a\nb'], 'cannot be printed'),
        (['--pilot-command', "a 'b"], 'No closing quotation'),
    ],
)
async def test_what_cannot_be_done_is_said_and_nothing_is_done(
    busy: Api, queue: StandIn, words: list[str], why: str
) -> None:
    said = await refused(busy, *SUBMIT, *words, code=2)

    assert why in said.err
    assert queue.read()['calls'] == []


async def test_a_round_that_fails_is_an_error(busy: Api, queue: StandIn) -> None:
    queue.feel(squeue='fails')

    said = await refused(busy, *SUBMIT, code=1)

    assert said.err == 'iceprod-tasks: squeue ended with 1: the controller does not answer\n'


async def test_who_may_not_ask_for_the_demand_is_told(busy: Api, queue: StandIn) -> None:
    await typed(busy, *SUBMIT, token=busy.token('user'), code=4)

    assert queue.number() == 0
