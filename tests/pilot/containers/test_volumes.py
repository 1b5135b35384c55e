"""What containers of tasks that carry their work see of the machine."""

from dataclasses import replace
from pathlib import Path

import pytest

from iceprod_tasks.pilot.containers import ContainerRules
from tests.pilot.conftest import Fly
from tests.pilot.containers.conftest import RUN_OPTIONS, program
from tests.pilot.fake_service import FakeService


@pytest.fixture
def rules(storage: tuple[str, ...], tmp_path: Path) -> ContainerRules:
    (tmp_path / 'root/in').mkdir(parents=True)
    (tmp_path / 'root/in/file').write_text('from outside\n')
    return ContainerRules(program('podman'), storage, RUN_OPTIONS, volume_roots=(tmp_path / 'root',))


@pytest.mark.parametrize(('read_only', 'written'), [(True, False), (False, True)])
async def test_a_container_sees_its_volumes_and_writes_where_it_may(
    service: FakeService, fly: Fly, rules: ContainerRules, tmp_path: Path, read_only: bool, written: bool
) -> None:
    volume = {'source': f'{tmp_path}/root/in', 'target': '/seen', 'read_only': read_only}
    service.add_work('/bin/sh', '-c', 'cat /seen/file; echo > /seen/new; true', image='box', volumes=[volume])

    [report] = await fly(containers=rules)

    assert (report['action'], report['stdout']) == ('complete', 'from outside\n')
    assert (tmp_path / 'root/in/new').exists() == written


async def test_a_volume_that_the_site_does_not_allow_keeps_it_from_running(
    service: FakeService, fly: Fly, rules: ContainerRules, tmp_path: Path
) -> None:
    (tmp_path / 'root/out').symlink_to('/etc')
    volume = {'source': f'{tmp_path}/root/out', 'target': '/seen', 'read_only': True}
    service.add_work('/bin/sh', '-c', 'true', image='box', volumes=[volume])

    [report] = await fly(containers=rules)

    assert (report['action'], report['cause']) == ('reset', 'provisioning')
    assert 'is not below a folder that this site allows' in report['reason']


async def test_an_image_says_what_is_run_and_the_task_with_which_arguments(
    service: FakeService, fly: Fly, rules: ContainerRules
) -> None:
    service.add_work('a b', '$HOME', image='greeter', entry_point=True)

    [report] = await fly(containers=rules)

    assert (report['action'], report['stdout']) == ('complete', '<a b><$HOME>')


async def test_a_file_that_came_with_the_task_is_where_its_container_looks_for_it(
    service: FakeService, fly: Fly, rules: ContainerRules
) -> None:
    files = [{'name': 'etc/app.yml', 'data': 'aGkK', 'target': '/etc/app.yml'}]
    service.add_work('/bin/sh', '-c', 'cat /etc/app.yml etc/app.yml; echo >> /etc/app.yml', image='box', files=files)

    [report] = await fly(containers=rules)

    assert (report['action'], report['stdout']) == ('reset', 'hi\nhi\n')
    assert 'Read-only file system' in report['stderr']


async def test_an_image_that_does_not_come_keeps_it_from_running(
    service: FakeService, fly: Fly, rules: ContainerRules
) -> None:
    service.add_work('true', image='localhost/no-such-image:1')

    [report] = await fly(containers=replace(rules, run_options=(*rules.run_options, '--pull=never')))

    assert (report['action'], report['cause']) == ('reset', 'provisioning')


async def test_an_image_has_a_time_to_come_and_is_fetched_before_the_task_starts(
    service: FakeService, fly: Fly, rules: ContainerRules, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (slow := tmp_path / 'podman').write_text(
        f'#!/bin/sh\ncase "$*" in *pull*) sleep 60;; *) exec {rules.runtime} "$@";; esac\n'
    )
    slow.chmod(0o755)
    service.add_work('true', image='localhost/no-such-image:1', pull_timeout_seconds=0.5)

    [report] = await fly(containers=replace(rules, runtime=str(slow)))

    assert (report['action'], report['cause']) == ('reset', 'provisioning')
    assert report['reason'].startswith('the image localhost/no-such-image:1 did not come: ')
    assert 'has not answered for 0.5 s' in report['reason']
    assert 'starting' not in [each['phase'] for each in report['phases']]


async def test_the_time_of_a_container_is_over_too(service: FakeService, fly: Fly, rules: ContainerRules) -> None:
    service.add_work('/bin/sh', '-c', 'sleep 60', image='box', timeout_seconds=3, kill_grace_seconds=0.5)

    [report] = await fly(containers=rules)

    assert (report['action'], report['cause'], report['reason']) == ('reset', 'run_time', 'run time of 3 s is over')
