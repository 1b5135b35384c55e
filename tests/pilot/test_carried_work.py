"""Tasks that carry their work: their own command, files and end, whatever the config of their dataset says."""

import base64
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iceprod_tasks.domain.placeholders import NAMES, expand, literal
from iceprod_tasks.domain.work import Volume
from iceprod_tasks.pilot.boxes import NoContainers
from iceprod_tasks.pilot.volumes import allowed
from tests.pilot.conftest import Fly
from tests.pilot.fake_service import FakeService


def file(name: str, text: str) -> dict[str, str]:
    return {'name': name, 'data': base64.b64encode(text.encode()).decode()}


def sh(line: str) -> tuple[str, ...]:
    return ('/bin/sh', '-c', line)


async def test_it_runs_without_a_config(service: FakeService, fly: Fly) -> None:
    service.troubles['config'].append((404, {'code': 404, 'error': 'Config not found'}))
    service.add_work('echo', 'a b', '${x}')

    [report] = await fly()

    assert (report['action'], report['stdout']) == ('complete', 'a b ${x}\n')
    assert len(service.troubles['config']) == 1


async def test_its_variables_may_ask_for_the_host_and_for_ids(service: FakeService, fly: Fly) -> None:
    env = {'HOST': '${host}', 'ID': '${task_id}/${dataset_id}', 'PLAIN': literal('${host} $${x}')}
    service.add_work(*sh('echo $HOST $ID "$PLAIN" $ICEPROD_TASK_ID'), env=env)

    [report] = await fly(host='node7')

    assert report['stdout'] == 'node7 t0/d1 ${host} $${x} t0\n'


async def test_its_files_are_there_before_it_starts_for_its_user_only(service: FakeService, fly: Fly) -> None:
    service.add_work(*sh('cat in/a b; stat -c %a in in/a b'), files=[file('in/a', 'one\n'), file('b', 'two\n')])

    [report] = await fly()

    assert report['stdout'] == 'one\ntwo\n700\n600\n600\n'


async def test_one_that_runs_for_too_long_is_ended_with_that_cause(service: FakeService, fly: Fly) -> None:
    service.add_work('sleep', '60', timeout_seconds=0.3)

    [report] = await fly()

    assert (report['action'], report['cause'], report['reason']) == ('reset', 'run_time', 'run time of 0.3 s is over')


@pytest.mark.parametrize(('own_seconds', 'exit_code'), [(0, 128 + signal.SIGKILL), (30, 3)])
async def test_its_own_grace_counts(service: FakeService, fly: Fly, own_seconds: float, exit_code: int) -> None:
    line = 'trap "sleep 0.5; exit 3" TERM; while :; do sleep 0.05; done'
    service.add_work(*sh(line), timeout_seconds=1, kill_grace_seconds=own_seconds)

    [report] = await fly(grace_seconds=0.1 if own_seconds else 30)

    assert (report['cause'], report['exit_code']) == ('run_time', exit_code)


@pytest.mark.parametrize(
    ('work', 'action', 'why'),
    [
        ({'image': 'docker://box'}, 'reset', 'this pilot runs no containers'),
        ({'files': [file('x' * 300, '')]}, 'failed', 'is too long'),
        ({'files': [file('../x', '')]}, 'failed', "must stay in the task's directory"),
        ({'env': {'A': '${nothing}'}}, 'failed', 'unknown name ${nothing}'),
    ],
)
async def test_what_keeps_it_from_running_is_told_with_that_cause(
    service: FakeService, fly: Fly, monkeypatch: pytest.MonkeyPatch, work: dict[str, Any], action: str, why: str
) -> None:
    monkeypatch.setattr('iceprod_tasks.pilot.containers._PROGRAMS', ())
    service.add_work('true', **work)

    [report] = await fly()

    assert (report['action'], report['cause']) == (action, 'provisioning')
    assert why in report['reason']


async def test_a_command_that_fails_has_no_such_cause(service: FakeService, fly: Fly) -> None:
    service.add_work('false')
    service.add_work('/no/such/program')

    failed, missing = await fly()

    assert (failed['reason'], 'cause' in failed) == ('exit code 1', False)
    assert (missing['action'], 'cause' in missing) == ('failed', False)


def test_volumes_are_known_by_their_real_paths(tmp_path: Path) -> None:
    (tmp_path / 'root/in').mkdir(parents=True)
    (tmp_path / 'link').symlink_to(tmp_path / 'root')
    volume = Volume(f'{tmp_path}/link/in', '/in', True)

    assert allowed([volume], [tmp_path / 'link']) == (replace(volume, source=str(tmp_path.resolve() / 'root/in')),)


@pytest.mark.parametrize('source', ['root2', 'root/out', 'root/absent', 'root/loop', 'root/a:b', 'elsewhere', ''])
def test_volumes_elsewhere_are_refused_also_by_way_of_links(tmp_path: Path, source: str) -> None:
    for folder in ('root', 'root2', 'elsewhere', 'root/a:b'):
        (tmp_path / folder).mkdir()
    (tmp_path / 'root/out').symlink_to(tmp_path / 'elsewhere')
    (tmp_path / 'root/loop').symlink_to(tmp_path / 'root/loop')

    with pytest.raises(NoContainers, match='the volume'):
        allowed([Volume(str(tmp_path / source), '/in')], [tmp_path / 'root'])


def test_a_site_that_names_no_folder_allows_none(tmp_path: Path) -> None:
    with pytest.raises(NoContainers, match='the site allows no folder'):
        allowed([Volume(str(tmp_path), '/in')], [])
    assert allowed([], []) == ()


@given(st.text(st.sampled_from('${}a') | st.characters(), max_size=12))
def test_a_literal_text_stays_what_it_is(text: str) -> None:
    assert expand(literal(text), dict.fromkeys(NAMES, os.sep)) == text
