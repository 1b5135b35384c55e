"""What a task finds: its environment, its folder, its place in the dataset."""

from pathlib import Path

import pytest

from iceprod_tasks.pilot import Plan
from iceprod_tasks.pilot.command import clean_environment
from tests.pilot.conftest import Fly
from tests.pilot.fake_service import FakeService


async def test_a_task_knows_who_it_is(service: FakeService, fly: Fly) -> None:
    service.add('env | grep ^ICEPROD_ | sort; cd ../spool; pwd')

    [report] = await fly()

    *variables, spool = report['stdout'].splitlines()
    assert variables == [
        'ICEPROD_DATASET_ID=d1',
        'ICEPROD_JOB_ID=j7',
        'ICEPROD_JOB_INDEX=7',
        'ICEPROD_TASK_EPOCH=4',
        'ICEPROD_TASK_FAILURES=2',
        'ICEPROD_TASK_ID=t0',
        'ICEPROD_TASK_INDEX=0',
        'ICEPROD_TASK_NAME=task0',
        f'ICEPROD_TASK_SPOOL={spool}',
    ]


async def test_placeholders_are_filled_in_command_and_environment(service: FakeService, fly: Fly) -> None:
    service.add(
        ['/bin/sh', '-c', 'echo ${job_index} ${task_id} $${HOME}x $WHERE'], env={'WHERE': '${dataset_id}/${job_id}'}
    )

    [report] = await fly()

    assert report['stdout'] == '7 t0 x d1/j7\n'


async def test_a_word_of_an_argv_list_is_never_split(service: FakeService, fly: Fly) -> None:
    service.add(['printf', '[%s]', 'a b', '$HOME', ''])

    [report] = await fly()

    assert report['stdout'] == '[a b][$HOME][]'


async def test_the_pilots_own_environment_stays_outside(
    service: FakeService, fly: Fly, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('ICEPROD_TASKS_TOKEN', 'secret')
    service.add('env')

    [report] = await fly()

    names = {line.partition('=')[0] for line in report['stdout'].splitlines()}
    assert {name for name in names if not name.startswith('ICEPROD_')} <= {'PATH', 'TMPDIR', 'PWD', 'SHLVL', '_'}
    assert 'secret' not in report['stdout']


def test_only_plain_variables_and_those_asked_for_are_let_through() -> None:
    environment = {'HOME': '/h', 'LC_ALL': 'C', 'TMPDIR': '/t', 'LD_PRELOAD': 'x', 'LICENSE': 'l', 'SECRET': 's'}

    seen = clean_environment(environment, ['LICENSE', 'ABSENT'])

    assert set(seen) == {'PATH', 'HOME', 'LC_ALL', 'LICENSE'}


async def test_each_attempt_has_a_fresh_folder_that_is_gone_afterwards(
    service: FakeService, fly: Fly, plan: Plan
) -> None:
    service.add('ls -A; pwd; touch left-behind')
    service.add('ls -A; pwd; mkdir -p a/b; touch a/b/c "$TMPDIR/d"; chmod -R a-w a; chmod 000 a')

    first, second = await fly()

    assert len(first['stdout'].splitlines()) == len(second['stdout'].splitlines()) == 1
    assert first['stdout'] != second['stdout']
    assert first['stdout'].startswith(str(plan.workdir))
    assert list(plan.workdir.iterdir()) == []


async def test_removing_a_folder_leaves_what_its_links_point_at(service: FakeService, fly: Fly, tmp_path: Path) -> None:
    precious = tmp_path / 'precious'
    precious.mkdir(mode=0o755)
    (precious / 'file').touch()
    service.add(f'ln -s {precious} link')

    await fly()

    assert (precious / 'file').exists()
    assert precious.stat().st_mode & 0o777 == 0o755


async def test_folders_can_be_kept_for_a_look(service: FakeService, fly: Fly, plan: Plan) -> None:
    service.add('echo printed; touch made')

    await fly(keep_workdirs=True)

    [folder] = plan.workdir.iterdir()
    assert (folder / 'stdout').read_text() == 'printed\n'
    assert (folder / 'work' / 'made').exists()


async def test_each_slot_shows_its_own_environment(service: FakeService, fly: Fly, plan: Plan) -> None:
    for _ in range(2):
        service.add('echo $CUDA_VISIBLE_DEVICES; while [ $(ls ../../ | wc -l) -lt 2 ]; do sleep 0.05; done; sleep 0.5')
    slots = tuple({**plan.slots[0], 'CUDA_VISIBLE_DEVICES': gpu} for gpu in 'AB')

    reports = await fly(slots=slots)

    assert sorted(report['stdout'] for report in reports) == ['A\n', 'B\n']
