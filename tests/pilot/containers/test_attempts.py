"""A task with an image, from its claim to its report."""

from dataclasses import replace
from pathlib import Path

import pytest

from iceprod_tasks.pilot.containers import ContainerRules
from iceprod_tasks.pilot.files import FileRules
from iceprod_tasks.pilot.limits import limits_of
from tests.pilot.conftest import OFFER, Fly
from tests.pilot.containers.conftest import RUN_OPTIONS, Site, program
from tests.pilot.fake_service import FakeService
from tests.pilot.test_task_messages import messages, steps

DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
"""Of an image that says nothing of it."""


@pytest.fixture
def rules(storage: tuple[str, ...]) -> ContainerRules:
    return ContainerRules(program('podman'), storage, RUN_OPTIONS)


async def test_a_task_runs_in_the_container_of_its_image(service: FakeService, fly: Fly, rules: ContainerRules) -> None:
    service.add('echo "$ICEPROD_TASK_ID"; ls /bin/busybox; ls /work 2>/dev/null; echo file > out; cat out', image='box')

    [report] = await fly(containers=rules)

    assert (report['action'], report['exit_code']) == ('complete', 0)
    assert report['stdout'] == 't0\n/bin/busybox\nfile\n'


@pytest.mark.parametrize('env', [None, {'PATH': '/sbin:/bin'}])
async def test_a_task_in_a_container_finds_the_programs_and_speaks_by_them(
    service: FakeService, fly: Fly, rules: ContainerRules, env: dict[str, str] | None
) -> None:
    service.add(
        'iceprod-task-message in a box; iceprod-task-progress 1/2; iceprod-task-progress +1; '
        'echo x | iceprod-task-message --result -; echo > ../bin/mine; echo $PATH',
        image='box', env=env,
    )  # fmt: skip

    [report] = await fly(containers=rules)

    assert (report['action'], messages(service), steps(service)[-1]) == (
        'complete',
        [{'mtype': 'notification', 'text': 'in a box'}, {'mtype': 'result', 'result': 'x'}],
        (2, 2),
    )
    assert 'Read-only file system' in report['stderr']
    assert report['stdout'].strip().partition(':')[2] == (env or {'PATH': DEFAULT_PATH})['PATH']


async def test_files_come_into_the_container_and_out_of_it(
    service: FakeService, fly: Fly, rules: ContainerRules, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place: Path = tmp_path_factory.mktemp('site')
    (place / 'in').write_text('numbers')
    service.add('cat in in > out', image='box')
    plain = {'type': 'permanent', 'local': '', 'compression': False, 'transfer': True}
    ways = (('input', 'in'), ('output', 'out'))
    service.files['t0'] = [{**plain, 'movement': way, 'remote': f'file://{place}/{name}'} for way, name in ways]

    [report] = await fly(containers=rules, files=FileRules(file_roots=(place,)))

    assert report['action'] == 'complete', report
    assert (place / 'out').read_text() == 'numbersnumbers'


async def test_a_lost_task_leaves_nothing_of_its_container(
    service: FakeService, fly: Fly, rules: ContainerRules, tmp_path: Path
) -> None:
    service.add('sleep 60', image='box')
    service.left, service.again_in = 0, 0.1
    service.orders['t0'] = 409, {'code': 409, 'error': 'lost', 'action': 'stop', 'why': ''}

    assert await fly(containers=rules, heartbeat_seconds=2.0) == []
    assert Site(rules, tmp_path).listed() == []


async def test_a_pilot_without_containers_says_so_and_takes_other_tasks(service: FakeService, fly: Fly) -> None:
    service.add('true', image='box')
    service.add('true')

    first, second = await fly(containers=ContainerRules('no-such-program'))

    assert (first['action'], second['action']) == ('reset', 'complete')
    assert first['reason'] == 'this pilot runs no containers: there is no no-such-program here'


@pytest.mark.parametrize('image', ['-v', 'a b', 'a\nb', '', 7])
async def test_a_name_that_could_be_an_option_fails_the_task(service: FakeService, fly: Fly, image: object) -> None:
    service.add('true', image=image)

    [report] = await fly()

    assert report['action'] == 'failed'


def test_the_limits_of_a_task_are_those_of_its_container() -> None:
    assert limits_of({'memory': 1.5, 'cpu': 2}, replace(OFFER, memory_gb=4.0)).memory_gb == 1.5
