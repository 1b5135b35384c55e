"""What stands in scripts, command lines and submit files, and what may not; and lists in the shapes of two releases."""

import json
import os
import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iceprod_tasks.batch import BatchTrouble, Condor, Job, Slurm
from iceprod_tasks.batch.place import Place, Taken, place
from iceprod_tasks.batch.system import Pilot

JOB = Job(name='here', site='here', command=('pilot',))
ENVIRONMENT = {'ICEPROD_TASKS_TOKEN': 'very secret', 'ICEPROD_TASKS_SERVER': "http://it's here/"}
PRINTABLE = st.text(st.characters(min_codepoint=32, exclude_characters='\x7f', exclude_categories=['Cs']))


def slurm(job: Job = JOB, **more: Any) -> Slurm:
    return Slurm(job, ENVIRONMENT, **more)


def condor(tmp_path: Path, job: Job = JOB, **more: Any) -> Condor:
    return Condor(job, ENVIRONMENT, Place(tmp_path, -1), **more)


@given(site=PRINTABLE.filter(bool), workdir=PRINTABLE)
def test_a_shell_sees_every_word_as_it_was_given(site: str, workdir: str) -> None:
    job = replace(JOB, site=site, workdir=workdir, command=('env', 'printf', '%s\\0'))

    said = subprocess.run(['/bin/sh'], input=job.script().encode(), capture_output=True, check=True).stdout

    words = said.decode().split('\0')
    assert f'--site={site}' in words
    assert (f'--workdir={workdir}' in words) == bool(workdir)


@pytest.mark.parametrize('field', ['site', 'workdir', 'os', 'log_folder'])
@pytest.mark.parametrize('odd', ['a\nqueue 1000', 'a\0b', 'a\rb', 'a\x1b[0m'])
def test_words_with_line_breaks_are_refused(field: str, odd: str) -> None:
    with pytest.raises(ValueError, match=r'character|batch system'):
        replace(JOB, **{field: odd})


@pytest.mark.parametrize('folder', ['/a%j', '/a"b', "/a'b", '/a$(b)', '/a\\b', '/a,b', '/a;b', '/a`b`'])
def test_a_folder_that_a_batch_system_may_misread_is_refused(folder: str) -> None:
    with pytest.raises(ValueError, match='may take for something else'):
        replace(JOB, log_folder=folder)


@pytest.mark.parametrize('name', ['', 'a b', 'a"', '../a', '-a', 'a/b', 'x' * 65, 'ä', 'a\n'])
def test_a_name_is_a_plain_word(name: str) -> None:
    with pytest.raises(ValueError, match='a name has'):
        replace(JOB, name=name)


@pytest.mark.parametrize(
    'option',
    ['main', '', '-', '--', '--export=ALL', '--exp=ALL', '--wrap=true', '--array=1-9', '--job-name=x', '-J', '-Jx',
     '-a1', '--comment=x', '--parsable', '--qos=a\nb', '--wait'],
)  # fmt: skip
def test_an_option_that_would_undo_what_the_supervisor_relies_on_is_refused(option: str) -> None:
    with pytest.raises(ValueError, match='sbatch'):
        slurm(options=[option])


def test_options_of_sbatch_come_last_and_as_they_are() -> None:
    shown = slurm(options=['--qos=a b', '--mem=0']).shown(3).partition('\n')[0]

    assert shlex.split(shown)[-2:] == ['--qos=a b', '--mem=0']


def test_slurm_gets_what_a_whole_pilot_needs() -> None:
    job = replace(JOB, slots=3, cpu=2, memory_gb=4, gpu=1, time_hours=1.51, log_folder='/logs')
    words = shlex.split(slurm(job).shown(7).partition('\n')[0])

    assert {'--cpus-per-task=6', '--mem=11445M', '--gres=gpu:3', '--time=91', '--array=1-7'} < set(words)
    assert {'--export=ICEPROD_TASKS_SERVER,ICEPROD_TASKS_TOKEN', '--output=/logs/%x-%A_%a.log'} < set(words)


def test_the_pilot_offers_what_it_was_submitted_for() -> None:
    job = replace(JOB, slots=3, cpu=2, memory_gb=4, time_hours=8, os='debian_12')
    words = job.argv()

    assert job.offer() == {
        'cpu': 2, 'gpu': 0, 'memory': 4, 'disk': 10.0, 'site': 'here', 'time': 8, 'os': 'debian_12',
        # What every pilot offers.
        'work': True, 'tagged': ['here'],
    }  # fmt: skip
    assert words[0] == 'pilot'
    told = {key: value for key, value in job.offer().items() if key not in ('work', 'tagged')}
    assert {f'--{key}={value}' for key, value in told.items()} <= set(words)


@pytest.mark.parametrize(
    'line',
    ['', '  ', 'a = b\nqueue 10', 'queue 10', ' QUEUE', 'Executable = /bin/sh', '+IceprodTasksTag = "x"',
     'MY.IceprodTasksName = "x"', 'transfer_input_files = x', 'include : x', 'a = b\\'],
)  # fmt: skip
def test_a_line_that_would_undo_what_the_supervisor_relies_on_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(ValueError, match='submit file'):
        condor(tmp_path, lines=[line])


def test_the_submit_file_says_what_a_whole_pilot_needs(tmp_path: Path) -> None:
    job = replace(JOB, slots=3, cpu=2, memory_gb=4, gpu=1, time_hours=1.5, log_folder='/logs')
    shown = condor(tmp_path, job, lines=['requirements = Fast']).shown(7)

    lines = shown.partition('\n\n')[0].splitlines()
    assert {'request_cpus = 6', 'request_memory = 11445MB', 'request_gpus = 3', 'request_disk = 29296875KB'} < set(
        lines
    )
    assert 'periodic_remove = JobStatus == 2 && time() - EnteredCurrentStatus > 5400' in lines
    assert lines[-2:] == ['requirements = Fast', 'queue 7']


def test_the_script_for_condor_takes_the_token_from_its_file_and_removes_it(tmp_path: Path) -> None:
    job = replace(JOB, command=('env', 'sh', '-c', 'echo "$ICEPROD_TASKS_SERVER $ICEPROD_TASKS_TOKEN"; ls', 'sh'))
    script = condor(tmp_path, job).shown(1)
    script = script[script.index('#!/bin/sh') :]
    (tmp_path / 'work').mkdir()
    (tmp_path / 'work' / 'iceprod-tasks-token').write_text('very secret')

    done = subprocess.run(['/bin/sh', '-c', script], cwd=tmp_path / 'work', capture_output=True, text=True, check=True)

    assert 'very secret' not in script
    assert done.stdout == "http://it's here/ very secret\n"


def row(**changes: Any) -> dict[str, Any]:
    """A job as Slurm 22.05 lists it."""
    return {
        'name': 'iceprod-here', 'user_id': os.getuid(), 'comment': 'tag', 'job_state': 'RUNNING', 'job_id': 7,
        'array_job_id': 0, 'array_task_id': None, 'array_task_string': '', **changes,
    }  # fmt: skip


def newer(old: dict[str, Any]) -> dict[str, Any]:
    """The same as Slurm lists it since 23.11."""

    def number(value: int | None) -> dict[str, Any]:
        return {'set': value is not None, 'infinite': False, 'number': value or 0}

    numbers = {name: number(old[name]) for name in ('array_job_id', 'array_task_id')}
    return {**old, **numbers, 'job_state': [old['job_state']]}


async def listed(tmp_path: Path, text: str) -> list[Pilot]:
    """What is made of what squeue prints."""
    (tmp_path / 'squeue').write_text(f'#!/bin/sh\necho {shlex.quote(text)}\n')
    (tmp_path / 'squeue').chmod(0o755)
    return await Slurm(JOB, {**ENVIRONMENT, 'PATH': str(tmp_path)}).pilots()


@pytest.mark.parametrize('shape', [dict, newer])
@pytest.mark.parametrize(
    ('changes', 'pilots'),
    [
        ({}, [Pilot('7', 'tag', 'running')]),
        ({'array_job_id': 5, 'array_task_id': 2}, [Pilot('5_2', 'tag', 'running')]),
        ({'array_job_id': 7, 'array_task_string': '2-3,9%2', 'job_state': 'PENDING'},
         [Pilot('7_2', 'tag', 'pending'), Pilot('7_3', 'tag', 'pending'), Pilot('7_9', 'tag', 'pending')]),
        ({'array_job_id': 7, 'array_task_string': '1-5:2', 'job_state': 'CANCELLED'},
         [Pilot('7_1', 'tag', 'ended'), Pilot('7_3', 'tag', 'ended'), Pilot('7_5', 'tag', 'ended')]),
        ({'job_state': 'COMPLETING'}, [Pilot('7', 'tag', 'ended')]),
        ({'job_state': 'CONFIGURING'}, [Pilot('7', 'tag', 'running')]),
        ({'job_state': 'OF_A_LATER_RELEASE'}, [Pilot('7', 'tag', 'running')]),
        ({'name': 'iceprod-there'}, []),
        ({'user_id': os.getuid() + 1}, []),
    ],
)  # fmt: skip
async def test_pilots_are_found_in_the_lists_of_old_and_new_releases(
    tmp_path: Path, shape: Any, changes: dict[str, Any], pilots: list[Pilot]
) -> None:
    answer = {'jobs': [shape(row(**changes))], 'errors': []}

    assert await listed(tmp_path, json.dumps(answer)) == pilots


@pytest.mark.parametrize(
    'text',
    ['', '[]', '{}', 'null', '{"jobs":null}', '{"jobs":[1]}', '{"jobs":[{}]}', '{"jobs":[],"errors":["no controller"]}',
     json.dumps({'jobs': [row(job_state=[])]}), json.dumps({'jobs': [row(array_task_string='1-3,...')]}),
     json.dumps({'jobs': [row()]})[:-3]],
)  # fmt: skip
async def test_what_is_no_list_of_jobs_is_not_believed(tmp_path: Path, text: str) -> None:
    with pytest.raises(BatchTrouble, match='squeue'):
        await listed(tmp_path, text)


def test_one_supervisor_of_a_name_is_at_work_at_a_time(tmp_path: Path) -> None:
    with place(tmp_path / 'here'), pytest.raises(Taken), place(tmp_path / 'here', patience_seconds=0.2):
        pass

    with place(tmp_path / 'here', patience_seconds=0) as again:
        assert again.folder.stat().st_mode & 0o777 == 0o700


def test_a_command_that_a_killed_supervisor_has_left_behind_is_waited_for(tmp_path: Path) -> None:
    with place(tmp_path / 'here') as where:
        left = subprocess.Popen(['sleep', '60'], pass_fds=(where.lock,))
    try:
        with pytest.raises(Taken, match='another supervisor'), place(tmp_path / 'here', patience_seconds=0.2):
            pass
    finally:
        left.kill()
        left.wait()

    with place(tmp_path / 'here', patience_seconds=0):
        pass


def test_every_file_of_a_place_is_its_users_alone(tmp_path: Path) -> None:
    with place(tmp_path / 'here') as where:
        where.write('token', 'old', 0o600)
        path = where.write('token', 'new', 0o600)

    assert path.read_text() == 'new'
    assert path.stat().st_mode & 0o777 == 0o600
    assert not re.search('new', ' '.join(each.name for each in path.parent.iterdir()))
