"""HTCondor: pilots are the jobs of clusters, one cluster for each command that submits."""

import json
import os
import pwd
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from iceprod_tasks.batch.commands import output_of
from iceprod_tasks.batch.job import SERVER_VARIABLE, TOKEN_VARIABLE, Job, checked_path
from iceprod_tasks.batch.place import Place
from iceprod_tasks.batch.system import AT_ONCE, BatchTrouble, NothingDone, Pilot, State

NOTICE_SECONDS = 120
"""How long a pilot has to hand its tasks back before it is killed."""

_TOKEN_FILE = 'iceprod-tasks-token'  # noqa: S105 - a name
_STATES: Mapping[int, State] = {1: 'pending', 2: 'running', 3: 'ended', 4: 'ended', 5: 'pending'}
"""By JobStatus: idle, running, removed, completed, held. Whatever else there is may run."""
_NOT_RUNNING = '(JobStatus == 1 || JobStatus == 5)'

# What would take the pilots' token or names away, or would submit something else.
_OURS = frozenset({'arguments', 'executable', 'queue', 'transfer_input_files', 'include', 'universe'})
_OUR_ATTRIBUTES = re.compile(r'(\+|my\.)\s*iceprodtasks', re.IGNORECASE)
_SUBMITTED = re.compile(r'(\d+)\.0 - \1\.(\d+)')
_NO_JOBS = re.compile(r'(?<!\d)0 jobs;')


class Condor:
    """HTCondor, as its commands show it.

    Args:
        job: what is submitted.
        environment: of the commands; the service's address and the token are in it.
        place: a folder, in which the script and the token's file are for as long as pilots may start.
        lines: further ones of the submit file.
        timeout_seconds: of each command.

    Raises:
        ValueError: a line is none, or would undo what the supervisor relies on.
    """

    def __init__(
        self,
        job: Job,
        environment: Mapping[str, str],
        place: Place,
        *,
        lines: Sequence[str] = (),
        timeout_seconds: float = 60.0,
    ) -> None:
        for line in lines:
            _check(line)
        checked_path(str(place.folder))
        self._job = job
        self._token = environment.get(TOKEN_VARIABLE, '')
        self._server = environment.get(SERVER_VARIABLE, '')
        self._environment = {name: value for name, value in environment.items() if name != TOKEN_VARIABLE}
        self._place = place
        self._lines = tuple(lines)
        self._timeout_seconds = timeout_seconds

    async def pilots(self) -> list[Pilot]:
        """Those of this supervisor's name and this user."""
        constraint = self._constraint()
        attributes = 'ClusterId,ProcId,JobStatus,IceprodTasksTag'
        listed = await self._output('condor_q', '-json', '-attributes', attributes, '-constraint', constraint)
        if not listed.strip():
            # So it looks where there are none, and also where something went wrong.
            totals = await self._output('condor_q', '-totals', '-constraint', constraint)
            if not _NO_JOBS.search(totals):
                raise BatchTrouble('condor_q printed nothing, although it knows of jobs')
            return []
        try:
            return [_pilot(row) for row in json.loads(listed)]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BatchTrouble(f'condor_q printed something else than a list of jobs: {error!r}') from error

    async def submit(self, number: int, tag: str) -> None:
        """Submit pilots by one condor_submit."""
        try:
            self._place.write(_TOKEN_FILE, self._token, 0o600)
            self._place.write('pilot.sh', self._script(), 0o700)
            file = self._place.write('pilot.sub', self._submit_file(number, tag), 0o600)
        except OSError as error:
            raise NothingDone(f'cannot write: {error}') from error
        said = await self._output('condor_submit', '-terse', str(file))
        found = _SUBMITTED.search(said)
        if not found or int(found[2]) != number - 1:
            raise BatchTrouble(f'condor_submit printed {said[:100]!r} in place of the ids of {number} jobs')

    async def cancel(self, ids: Sequence[str], *, running: bool) -> None:
        """Cancel pilots by condor_rm."""
        for start in range(0, len(ids), AT_ONCE):
            some = ','.join(ids[start : start + AT_ONCE])
            these = f'stringListMember(strcat(ClusterId, ".", ProcId), "{some}")'
            which = '' if running else f'{_NOT_RUNNING} && '
            await self._output('condor_rm', '-constraint', f'{self._constraint()} && {which}{these}')

    def shown(self, number: int) -> str:
        """The submit file and the script that it names."""
        return f'{self._submit_file(number, "TAG")}\n{self._script()}'

    def _constraint(self) -> str:
        owner = pwd.getpwuid(os.getuid()).pw_name
        return f'IceprodTasksName == "{self._job.name}" && Owner == "{owner}"'

    def _script(self) -> str:
        # The file is gone before any task runs.
        return self._job.script(
            f'{TOKEN_VARIABLE}=$(cat {_TOKEN_FILE}) || exit 1',
            f'rm -f {_TOKEN_FILE}',
            f'{SERVER_VARIABLE}={shlex.quote(self._server)}',
            f'export {TOKEN_VARIABLE} {SERVER_VARIABLE}',
        )

    def _submit_file(self, number: int, tag: str) -> str:
        job, folder = self._job, self._place.folder
        log = f'{job.log_folder}/{job.batch_name}-$(ClusterId)_$(ProcId).log' if job.log_folder else '/dev/null'
        given = {
            'universe': 'vanilla',
            'batch_name': job.batch_name,
            'executable': folder / 'pilot.sh',
            'should_transfer_files': 'YES',
            'when_to_transfer_output': 'ON_EXIT',
            'transfer_input_files': folder / _TOKEN_FILE,
            'transfer_output_files': '""',
            'output': log,
            'error': log,
            'notification': 'never',
            'request_cpus': job.cores,
            'request_memory': f'{job.memory_mib}MB',
            'request_disk': f'{int(job.slots * job.disk_gb * 1e9 / 2**10)}KB',
            'kill_sig': 'SIGTERM',
            'job_max_vacate_time': NOTICE_SECONDS,
            '+IceprodTasksName': f'"{job.name}"',
            '+IceprodTasksTag': f'"{tag}"',
        }
        if job.gpu:
            given['request_gpus'] = job.slots * job.gpu
        if job.minutes is not None:
            over = f'time() - EnteredCurrentStatus > {job.minutes * 60}'
            given['periodic_remove'] = f'JobStatus == 2 && {over}'
        lines = [f'{name} = {value}' for name, value in given.items()]
        return '\n'.join([*lines, *self._lines, f'queue {number}', ''])

    async def _output(self, *argv: str) -> str:
        return await output_of(
            argv,
            environment=self._environment,
            timeout_seconds=self._timeout_seconds,
            keep_open=self._place.lock,
        )


def _check(line: str) -> None:
    word = line.strip().partition('=')[0].split()[:1]
    if not word or any(not each.isprintable() for each in line) or line.rstrip().endswith('\\'):
        raise ValueError(f'{line!r} is no line of a submit file')
    if word[0].lower() in _OURS or _OUR_ATTRIBUTES.match(line.strip()):
        raise ValueError(f'{word[0]} in the submit file is set by the supervisor')


def _pilot(row: Any) -> Pilot:
    state = _STATES.get(int(row['JobStatus']), 'running')
    return Pilot(f'{int(row["ClusterId"])}.{int(row["ProcId"])}', str(row['IceprodTasksTag']), state)
