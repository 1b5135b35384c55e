"""Stand-ins for the commands of Slurm and HTCondor: programs with one queue in a folder, and moods to fail in.

As a program it is the command whose name it is called by. Whatever a mood is, it is one of the next call of a command:
`fails` does nothing and ends with 1; `hangs` does nothing for ever; `garbage` does nothing, and prints what nobody
expects, with 0. With `late-` before it, the command does its work first.
"""

import fcntl
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

COMMANDS = ('sbatch', 'squeue', 'scancel', 'condor_submit', 'condor_q', 'condor_rm')
_CONDOR_STATES = {'PENDING': 1, 'RUNNING': 2, 'CANCELLED': 3, 'COMPLETED': 4}


class StandIn:
    """The queue, as tests see it.

    Args:
        folder: of the programs; it goes into a PATH.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = f'#!{sys.executable} -SEs\n{Path(__file__).read_text(encoding="utf-8")}'
        for name in COMMANDS:
            (folder / name).write_text(program, encoding='utf-8')
            (folder / name).chmod(0o755)
        self.write(jobs=[], moods={}, calls=[])

    def read(self) -> dict[str, Any]:
        """All that is known."""
        with (self.folder / 'queue.json').open() as opened:
            # A command may be in the middle of writing it.
            fcntl.flock(opened, fcntl.LOCK_SH)
            return dict(json.load(opened))

    def write(self, **changes: Any) -> None:
        """Set parts of it."""
        with (self.folder / 'queue.json').open('a+') as opened:
            fcntl.flock(opened, fcntl.LOCK_EX)
            opened.seek(0)
            old = json.loads(opened.read() or '{}')
            opened.truncate(0)
            json.dump({**old, **changes}, opened)

    def feel(self, **moods: str) -> None:
        """Give commands moods, words with spaces between them, one a call."""
        self.write(moods={name: words.split() for name, words in moods.items()})

    def become(self, state: str, number: int, before: str = 'PENDING') -> None:
        """Let the first jobs of a state come to another one."""
        jobs = self.read()['jobs']
        for job in [job for job in jobs if job['state'] == before][:number]:
            job['state'] = state
        self.write(jobs=jobs)

    def number(self, *states: str) -> int:
        """How many jobs are in some states."""
        return sum(job['state'] in (states or ('PENDING', 'RUNNING')) for job in self.read()['jobs'])

    def calls(self, name: str) -> list[dict[str, Any]]:
        """How a command was called, each time."""
        return [call for call in self.read()['calls'] if call['argv'][0] == name]


def _submit(state: dict[str, Any], number: int, **job: Any) -> int:
    array = len(state['jobs']) + 1
    state['jobs'] += [{**job, 'array': array, 'element': place, 'state': 'PENDING'} for place in range(number)]
    return array


def _option(argv: list[str], name: str) -> str:
    return next(word.partition('=')[2] for word in argv if word.startswith(f'--{name}='))


def sbatch(state: dict[str, Any], argv: list[str], stdin: str) -> str:
    number = int(_option(argv, 'array').partition('-')[2])
    job = _submit(state, number, name=_option(argv, 'job-name'), tag=_option(argv, 'comment'), script=stdin)
    return f'{job}\n'


def squeue(state: dict[str, Any], argv: list[str], stdin: str) -> str:
    rows = [
        {
            'name': job['name'], 'user_id': os.getuid(), 'job_state': job['state'], 'comment': job['tag'],
            'job_id': job['array'], 'array_job_id': job['array'], 'array_task_id': job['element'],
            'array_task_string': '',
        }
        for job in state['jobs']
    ]  # fmt: skip
    return json.dumps({'jobs': rows, 'errors': []})


def scancel(state: dict[str, Any], argv: list[str], stdin: str) -> str:
    wanted = _option(argv, 'state')
    for job in state['jobs']:
        if f'{job["array"]}_{job["element"]}' in argv and job['state'] == wanted:
            job['state'] = 'CANCELLED'
    return ''


def condor_submit(state: dict[str, Any], argv: list[str], stdin: str) -> str:
    text = Path(argv[-1]).read_text(encoding='utf-8')
    number = int(re.findall(r'^queue (\d+)$', text, re.M)[0])
    name, tag = (re.findall(rf'^\+Iceprod{word} = "(.*)"$', text, re.M)[0] for word in ('TasksName', 'TasksTag'))
    job = _submit(state, number, name=name, tag=tag, script=text)
    return f'{job}.0 - {job}.{number - 1}\n'


def condor_q(state: dict[str, Any], argv: list[str], stdin: str) -> str:
    jobs = [job for job in state['jobs'] if job['state'] in ('PENDING', 'RUNNING')]
    if '-totals' in argv:
        return f'\nTotal for query: {len(jobs)} jobs; 0 completed\n'
    rows = [
        {
            'ClusterId': job['array'], 'ProcId': job['element'], 'JobStatus': _CONDOR_STATES[job['state']],
            'IceprodTasksTag': job['tag'],
        }
        for job in jobs
    ]  # fmt: skip
    return json.dumps(rows) if rows else ''


def condor_rm(state: dict[str, Any], argv: list[str], stdin: str) -> str:
    constraint = argv[-1]
    for job in state['jobs']:
        named = f'{job["array"]}.{job["element"]}' in re.split('[",]', constraint)
        if named and (job['state'] == 'PENDING' or 'JobStatus' not in constraint):
            job['state'] = 'CANCELLED'
    return ''


def main() -> None:
    """Be one of the commands."""
    name, file = Path(sys.argv[0]).name, Path(sys.argv[0]).with_name('queue.json')
    stdin = sys.stdin.read()
    with file.open('r+') as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        state = json.load(opened)
        mood = (state['moods'].get(name) or ['']).pop(0)
        state['calls'].append({'argv': [name, *sys.argv[1:]], 'environment': dict(os.environ)})
        late, said = not mood or mood.startswith('late-'), ''
        if late:
            said = globals()[name](state, sys.argv[1:], stdin)
        opened.seek(0)
        opened.truncate()
        json.dump(state, opened)
    mood = mood.removeprefix('late-')
    if mood == 'hangs':
        time.sleep(600)
    sys.stdout.write('?{["' if mood == 'garbage' else said)
    sys.stderr.write('the controller does not answer' if mood == 'fails' else '')
    raise SystemExit(mood == 'fails')


if __name__ == '__main__' and Path(sys.argv[0]).name in COMMANDS:
    main()
