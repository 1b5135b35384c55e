"""Slurm: pilots are elements of job arrays, one array for each command that submits."""

import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from iceprod_tasks.batch.commands import output_of
from iceprod_tasks.batch.job import SERVER_VARIABLE, TOKEN_VARIABLE, Job
from iceprod_tasks.batch.system import AT_ONCE, BatchTrouble, Pilot, State

NOTICE_SECONDS = 120
"""How long before the end of its time a pilot is told: it hands its tasks back meanwhile."""

_PENDING = frozenset({'PENDING', 'REQUEUED', 'REQUEUE_FED', 'REQUEUE_HOLD', 'RESV_DEL_HOLD', 'SPECIAL_EXIT'})
_ENDED = frozenset({
    'BOOT_FAIL', 'CANCELLED', 'COMPLETED', 'COMPLETING', 'DEADLINE', 'FAILED', 'LAUNCH_FAILED', 'NODE_FAIL',
    'OUT_OF_MEMORY', 'PREEMPTED', 'REVOKED', 'STAGE_OUT', 'TIMEOUT',
})  # fmt: skip

# What would take the pilots' token or names away, or would submit something else.
_OURS = (
    '--array', '--comment', '--export', '--export-file', '--help', '--job-name', '--parsable', '--test-only', '--usage',
    '--version', '--wait', '--wrap',
)  # fmt: skip
_OURS_SHORT = ('-a', '-h', '-J', '-V', '-W')
_RANGE = re.compile(r'(\d+)(?:-(\d+)(?::(\d+))?)?')
_SUBMITTED = re.compile(r'\d+(;[\w.-]+)?\n?')


class Slurm:
    """Slurm, as its commands show it.

    Args:
        job: what is submitted.
        environment: of the commands; the service's address and the token are in it.
        options: further ones of sbatch, as they are written there.
        timeout_seconds: of each command.
        keep_open: a file that stays open for as long as a command runs; -1 for none.

    Raises:
        ValueError: an option is none, or would undo what the supervisor relies on.
    """

    def __init__(
        self,
        job: Job,
        environment: Mapping[str, str],
        *,
        options: Sequence[str] = (),
        timeout_seconds: float = 60.0,
        keep_open: int = -1,
    ) -> None:
        for option in options:
            _check(option)
        self._job = job
        # Otherwise Slurm cuts the list of what is pending in an array.
        self._environment = {**environment, 'SLURM_BITSTR_LEN': '0'}
        self._options = tuple(options)
        self._timeout_seconds = timeout_seconds
        self._keep_open = keep_open

    async def pilots(self) -> list[Pilot]:
        """Those of this supervisor's name and this user, ended ones for as long as Slurm lists them."""
        # Slurm before 23 lists everything, whatever is asked for.
        wanted = (f'--name={self._job.batch_name}', f'--user={os.getuid()}', '--states=all')
        listed = await self._output('squeue', '--json', *wanted)
        try:
            answer = json.loads(listed)
            if answer.get('errors'):
                raise BatchTrouble(f'squeue: {str(answer["errors"])[:200]}')
            ours = [row for row in answer['jobs'] if self._is_ours(row)]
            return [pilot for row in ours for pilot in _pilots(row)]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BatchTrouble(f'squeue printed something else than a list of jobs: {error!r}') from error

    async def submit(self, number: int, tag: str) -> None:
        """Submit pilots by one sbatch."""
        said = await self._output(*self._sbatch(number, tag), stdin=self._job.script())
        if not _SUBMITTED.fullmatch(said):
            raise BatchTrouble(f'sbatch printed {said[:100]!r} in place of the id of a job')

    async def cancel(self, ids: Sequence[str], *, running: bool) -> None:
        """Cancel pilots by scancel; those that run are told to end, and hand their tasks back."""
        for start in range(0, len(ids), AT_ONCE):
            some = ids[start : start + AT_ONCE]
            await self._output('scancel', '--state=PENDING', *some)
            if running:
                # The pilot alone: Slurm's own way to cancel signals the tasks' commands as well, which then fail.
                await self._output('scancel', '--state=RUNNING', '--batch', '--signal=TERM', *some)

    def shown(self, number: int) -> str:
        """The command and the script that it reads."""
        return f'{shlex.join(self._sbatch(number, "TAG"))}\n\n{self._job.script()}'

    def _sbatch(self, number: int, tag: str) -> list[str]:
        job = self._job
        return [
            'sbatch', '--parsable', f'--job-name={job.batch_name}', f'--comment={tag}', f'--array=1-{number}',
            # The token goes with the environment, which Slurm shows to nobody.
            f'--export={SERVER_VARIABLE},{TOKEN_VARIABLE}', '--no-requeue', f'--signal=B:TERM@{NOTICE_SECONDS}',
            '--nodes=1', '--ntasks=1', f'--cpus-per-task={job.cores}', f'--mem={job.memory_mib}M',
            *([f'--gres=gpu:{job.slots * job.gpu}'] if job.gpu else []),
            *([] if job.minutes is None else [f'--time={job.minutes}']),
            '--chdir=/', f'--output={job.log_folder}/%x-%A_%a.log' if job.log_folder else '--output=/dev/null',
            *self._options,
        ]  # fmt: skip

    def _is_ours(self, row: Any) -> bool:
        return bool(row['name'] == self._job.batch_name and _number(row['user_id']) == os.getuid())

    async def _output(self, *argv: str, stdin: str = '') -> str:
        return await output_of(
            argv,
            environment=self._environment,
            stdin=stdin,
            timeout_seconds=self._timeout_seconds,
            keep_open=self._keep_open,
        )


def _check(option: str) -> None:
    if not option.startswith('-') or option in ('-', '--') or '\n' in option or '\0' in option:
        raise ValueError(f'an option of sbatch begins with "-", and is one word with its value, unlike {option!r}')
    # sbatch takes the beginning of a long name for the name.
    long = option.partition('=')[0]
    if option.startswith(_OURS_SHORT) or (long.startswith('--') and any(name.startswith(long) for name in _OURS)):
        raise ValueError(f'the option {long} of sbatch is set by the supervisor')


def _pilots(row: Mapping[str, Any]) -> Iterator[Pilot]:
    """The pilots of a row of squeue: one, or all elements of an array that are pending together."""
    state, tag = _state(row['job_state']), str(row['comment'])
    array, element = _number(row['array_job_id']), _number(row['array_task_id'])
    if together := row['array_task_string']:
        for number in _elements(together):
            yield Pilot(f'{array}_{number}', tag, state)
    elif array and element is not None:
        yield Pilot(f'{array}_{element}', tag, state)
    else:
        yield Pilot(f'{int(row["job_id"])}', tag, state)


def _state(said: Any) -> State:
    """The state of a job; newer releases give it as a list of a state and flags."""
    words = {said} if isinstance(said, str) else set(said)
    if not words:
        raise ValueError('a job without a state')
    if words & _PENDING:
        return 'pending'
    # Whatever is not known may run.
    return 'ended' if words & _ENDED else 'running'


def _number(said: Any) -> int | None:
    """A number or none; newer releases give it as an object that says whether it is set."""
    if isinstance(said, Mapping):
        return int(said['number']) if said['set'] else None
    return None if said is None else int(said)


def _elements(text: str) -> Iterator[int]:
    """The elements of an array, such as `2-5,9` or `1-9:2%3`."""
    for part in text.partition('%')[0].split(','):
        found = _RANGE.fullmatch(part)
        if not found:
            raise ValueError(f'{text!r} is no list of elements')
        first, last, step = found.groups()
        yield from range(int(first), int(last or first) + 1, int(step or 1))
