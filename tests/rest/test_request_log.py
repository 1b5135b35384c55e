"""What the log says of each request, and the audit log of each change."""

import logging
from typing import Any

import pytest

from iceprod_tasks.rest import handler
from iceprod_tasks.rest.handlers.tasks import TasksHandler
from tests.conftest import Api

ADA = ('user', 'ada', ('simprod',))
TASK = [{'name': 'one', 'command': 'true'}]


@pytest.fixture
def lines(api: Api, caplog: pytest.LogCaptureFixture) -> Any:
    """The lines of a logger that were written since the test began, as dictionaries."""
    caplog.set_level(logging.INFO)

    def read(name: str) -> list[dict[str, Any]]:
        return [vars(record) for record in caplog.records if record.name == f'iceprod_tasks.{name}']

    return read


async def test_a_request_is_one_line_with_the_pattern_of_its_route(api: Api, lines: Any) -> None:
    await api('GET', '/tasks/nobody')

    (line,) = lines('access')
    shown = {name: line[name] for name in ('action', 'method', 'route', 'status', 'actor', 'levelname')}
    assert shown == {
        'action': 'request', 'method': 'GET', 'route': '/tasks/{task_id}', 'status': 404, 'actor': 'root',
        'levelname': 'INFO',
    }  # fmt: skip
    assert 0 < line['ms'] < 10_000


async def test_a_path_that_is_no_route_does_not_show(api: Api, lines: Any) -> None:
    await api('GET', '/secret/path')

    (line,) = lines('access')
    assert (line['route'], line['status'], line['actor']) == ('-', 404, '')
    assert 'secret' not in str(line)


async def test_no_query_stands_in_the_log(api: Api, lines: Any) -> None:
    await api('GET', '/tasks?status=zebra&limit=x')

    assert lines('access')
    assert 'zebra' not in str(lines('access'))


async def test_who_has_no_token_has_no_name(api: Api, lines: Any) -> None:
    await api('GET', '/tasks', headers={'Authorization': 'Bearer x'})

    assert [(line['status'], line['actor']) for line in lines('access')] == [(401, '')]


async def test_an_error_of_ours_is_a_warning(api: Api, lines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(self: TasksHandler, task_id: str) -> None:
        raise RuntimeError('on purpose')

    monkeypatch.setattr(TasksHandler, 'get', broken)
    await api('GET', '/tasks/x')

    assert [(line['status'], line['levelname']) for line in lines('access')] == [(500, 'WARNING')]


async def test_an_answer_that_is_cut_off_is_logged_as_failed(
    api: Api, lines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(self: TasksHandler, task_id: str) -> None:
        async def pieces() -> Any:
            yield b' ' * handler._FLUSH_BYTES
            raise RuntimeError('on purpose')

        await self.stream(pieces())

    monkeypatch.setattr(TasksHandler, 'get', broken)
    with pytest.raises(Exception, match=r'incomplete|disconnected|peer closed'):
        await api('GET', '/tasks/x')

    assert [line['status'] for line in lines('access')] == [500]


async def test_a_change_by_a_user_is_audited(api: Api, lines: Any) -> None:
    dataset_id = await api.as_(*ADA).add_dataset(TASK)

    done = await api.as_(*ADA)('PUT', f'/datasets/{dataset_id}/priority', {'priority': 0.5})

    assert done.status == 200
    line = lines('audit')[-1]
    shown = {
        name: line[name]
        for name in ('actor', 'roles', 'method', 'route', 'target', 'filter', 'count', 'status', 'replayed')
    }
    assert shown == {
        'actor': 'ada', 'roles': ['user'], 'method': 'PUT', 'route': '/datasets/{dataset_id}/priority',
        'target': {'dataset_id': dataset_id}, 'filter': {'priority': 0.5}, 'count': 1, 'status': 200, 'replayed': False,
    }  # fmt: skip


async def test_the_audit_says_how_many_were_named_and_how_many_were_changed(api: Api, lines: Any, chores: Any) -> None:
    dataset_id = await api.add_dataset(TASK, jobs=3)
    await chores()
    tasks = list((await api('GET', f'/datasets/{dataset_id}/tasks')).body)

    done = await api(
        'POST', f'/datasets/{dataset_id}/task_actions/suspend', {'tasks': tasks[:2], 'statuses': ['queued']}
    )

    assert done.body['changed'] == 2, done.text
    line = lines('audit')[-1]
    assert line['filter'] == {'tasks': 2, 'statuses': ['queued']}
    assert line['count'] == 2
    assert tasks[0] not in str(line)


async def test_a_trial_changes_nothing_in_the_audit_either(api: Api, lines: Any, chores: Any) -> None:
    dataset_id = await api.add_dataset(TASK)
    await chores()

    await api('POST', f'/datasets/{dataset_id}/dataset_actions/suspend', {'dry_run': True})

    assert (lines('audit')[-1]['filter'], lines('audit')[-1]['count']) == ({'dry_run': True}, 0)


async def test_what_was_made_is_named(api: Api, lines: Any) -> None:
    dataset_id = await api.add_dataset(TASK)

    assert lines('audit')[-1]['result'].endswith(dataset_id)


async def test_a_deletion_counts_what_is_gone(api: Api, lines: Any, chores: Any) -> None:
    dataset_id = await api.add_dataset(TASK)
    await chores()

    done = await api('DELETE', f'/datasets/{dataset_id}?force=true')

    line = lines('audit')[-1]
    assert (line['filter'], line['count']) == ({'force': True}, sum(done.body['deleted'].values()))


async def test_a_repeat_with_the_same_key_is_told_from_the_first(api: Api, lines: Any) -> None:
    body = {'dataset_id': 'd1', 'job_id': 'j1', 'task_index': 0, 'job_index': 0, 'name': 'gen', 'depends': [],
            'requirements': {}}  # fmt: skip
    for _ in range(2):
        await api('POST', '/tasks', body, headers={'Idempotency-Key': 'k'})

    assert [(line['replayed'], line['count']) for line in lines('audit')] == [(False, 1), (True, 0)]


async def test_a_change_that_is_refused_is_audited_and_changes_nothing(api: Api, lines: Any) -> None:
    dataset_id = await api.add_dataset(TASK)

    await api.as_('user', 'eve')('PUT', f'/datasets/{dataset_id}/priority', {'priority': 1})

    line = lines('audit')[-1]
    assert (line['actor'], line['status'], line['count']) == ('eve', 403, 0)


async def test_what_pilots_do_all_day_is_not_audited(api: Api, lines: Any) -> None:
    task_id = await api.add_task()
    before = len(lines('audit'))

    for role in ('pilot', 'system'):
        await api.as_(role)('POST', '/task_actions/process', {'requirements': {}})
        await api.as_(role)('POST', f'/tasks/{task_id}/task_actions/heartbeat', {})

    assert len(lines('audit')) == before


async def test_what_people_do_in_the_place_of_a_pilot_is_audited(api: Api, lines: Any) -> None:
    task_id = await api.add_task()

    await api('POST', f'/tasks/{task_id}/task_actions/reset', {'reason': 'by hand'})

    assert lines('audit')[-1]['route'] == '/tasks/{task_id}/task_actions/reset'


async def test_reading_is_not_audited(api: Api, lines: Any) -> None:
    await api('GET', '/tasks')

    assert lines('audit') == []


async def test_nothing_that_was_stored_is_in_the_audit(api: Api, lines: Any) -> None:
    await api('POST', '/logs', {'data': 'zebra', 'name': 'zebra'})

    assert lines('audit')
    assert 'zebra' not in str(lines('audit'))
