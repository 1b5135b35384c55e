"""Operations by HTTP: what is accepted, and each refusal in the words of Drove."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from iceprod_tasks.dialects.drove.envelope import INVALID, UNREADABLE
from iceprod_tasks.scheduler.operations import Operations
from tests.actions.operated import another_leads, claimed, report
from tests.dialects.drove.bodies import SEED_CREATE, SEED_KILL, create, docker, kill, of_seed, spec
from tests.dialects.drove.conftest import OPERATIONS, READER, Drove, basic, has_no_null, reasons


async def test_the_seeds_requests_have_the_seeds_answers(drove: Drove) -> None:
    created = await drove.operate(of_seed(SEED_CREATE))
    killed = await drove.operate(of_seed(SEED_KILL))

    assert created.status == killed.status == 200
    assert created.body == {'status': 'SUCCESS', 'data': {'taskId': 'TEST_APP-T0012'}, 'message': 'success'}
    assert killed.body == {'status': 'SUCCESS', 'data': {'taskId': 'T0012'}, 'message': 'success'}
    assert await drove.history() == [('CREATE', 'SUPERSEDED'), ('KILL', 'DONE')]
    info = await drove.info()
    assert (info['state'], info['taskResult']) == ('STOPPED', {'status': 'CANCELLED', 'exitCode': -1})


async def test_a_twin_is_refused_in_droves_words(drove: Drove) -> None:
    await drove.operate(create())

    again = await drove.operate(create())

    assert reasons(again) == ['Task already exists for TEST_APP/T0012 with taskID: TEST_APP-T0012']
    assert again.body['message'] == INVALID


async def test_names_are_pairs_and_not_joined(drove: Drove) -> None:
    for app, task in (('A-1', '2'), ('A', '1-2')):
        answer = await drove.operate(create(spec(sourceAppName=app, taskId=task)))
        assert answer.body['data'] == {'taskId': 'A-1-2'}

    assert await drove.api.database.tasks.count_documents({}) == 2


@pytest.mark.parametrize('ended', [False, True])
async def test_what_is_not_there_is_not_killed(drove: Drove, ended: bool) -> None:
    if ended:
        await drove.operate(create())
        await drove.operate(kill())

    answer = await drove.operate(kill())

    assert reasons(answer) == ['Either task does not exist or has already finished for TEST_APP/T0012']


async def test_a_second_kill_is_refused(drove: Drove) -> None:
    await drove.operate(create())
    await claimed(drove.api)
    await drove.operate(kill())

    answer = await drove.operate(kill())

    assert reasons(answer)[0].startswith('Another operation is active on TEST_APP/T0012')


async def test_of_many_kills_at_once_exactly_one_is_accepted(drove: Drove) -> None:
    await drove.operate(create())
    await claimed(drove.api)

    answers = await asyncio.gather(*(drove.operate(kill()) for _ in range(8)))

    assert Counter(answer.status for answer in answers) == {200: 1, 400: 7}


async def test_a_kill_tells_why_and_who(drove: Drove) -> None:
    await drove.operate(create())

    await drove.operate(kill() | {'reason': 'not needed'})

    assert (await drove.info())['errorMessage'] == 'not needed'
    answer = await drove('GET', '/apis/v1/tasks/TEST_APP/instances/T0012/operations')
    last = answer.body['data'][0]
    assert (last['type'], last['user'], last['reason']) == ('KILL', 'operator', 'not needed')
    assert last['accepted'] < last['deadline'] == last['accepted'] + 300_000
    assert has_no_null(answer.body)


@pytest.mark.parametrize(
    ('body', 'message', 'told'),
    [
        ({}, UNREADABLE, 'type must be one of CREATE, KILL'),
        ({'type': 'create'}, UNREADABLE, 'type must be one of CREATE, KILL'),
        ({'type': ['CREATE']}, UNREADABLE, 'type must be one of CREATE, KILL'),
        (create(spec(taskId=None)), INVALID, 'spec.taskId - Task ID is mandatory'),
        (create(parallelism=0), INVALID, 'opSpec.parallelism must be greater than or equal to 1'),
        (create(timeout='5'), UNREADABLE, 'opSpec.timeout - Invalid duration'),
        (kill(''), INVALID, 'sourceAppName - Source app name is mandatory'),
        (kill() | {'reason': 'x' * 1001}, INVALID, 'reason - must have at most 1000 characters'),
    ],
)
async def test_what_is_wrong_is_told_and_changes_nothing(
    drove: Drove, body: dict[str, Any], message: str, told: str
) -> None:
    answer = await drove.operate(body)

    assert [reason for reason in reasons(answer) if reason.startswith(told)], answer.text
    assert answer.body['message'] == message
    assert await drove.api.database.tasks.count_documents({}) == 0
    assert await drove.api.database.operations.count_documents({}) == 0


@pytest.mark.parametrize('text', ['', '{', '[]', '"x"', '{"type": NaN}', '{"a": 1, "a": 2}'])
async def test_what_is_no_json_object_is_unreadable(drove: Drove, text: str) -> None:
    answer = await drove.operate(text)

    assert reasons(answer)
    assert answer.body['message'] == UNREADABLE


async def test_a_user_reads_and_does_not_operate(drove: Drove) -> None:
    refused = await drove.operate(create(), READER)
    checked = await drove('POST', '/apis/v1/tasks/validate/spec', spec(), user=READER)

    assert refused.status == 403
    assert (refused.body['status'], 'message' in refused.body) == ('FAILED', True)
    assert (checked.status, checked.body) == (200, {'status': 'SUCCESS', 'message': 'success'})


@pytest.mark.parametrize('headers', [basic('operator', 'wrong'), basic('nobody'), {'Authorization': ''}])
async def test_whoever_is_not_known_is_told_so_in_plain_text(drove: Drove, headers: dict[str, str]) -> None:
    answer = await drove.api('GET', '/apis/v1/ping', headers=headers)

    assert answer.status == 401
    assert answer.headers['WWW-Authenticate'].startswith('Basic realm=')
    assert answer.headers['Content-Type'].startswith('text/plain')
    assert answer.text
    assert not answer.text.startswith('{')


async def test_a_token_does_as_well(drove: Drove) -> None:
    answer = await drove.api.as_('system', 's')('POST', OPERATIONS, create())
    assert answer.status == 200


async def test_only_the_leader_answers_and_others_name_it(drove: Drove) -> None:
    async with another_leads(drove.api):
        await drove.api.service.store.leaders.current()
        drove.api.service.leadership._asked -= 1e6  # it has not heard of it lately
        for method, path, body in (
            ('GET', '/apis/v1/ping', None),
            ('GET', '/apis/v1/tasks', None),
            ('POST', OPERATIONS, create()),
            ('POST', OPERATIONS, {}),
        ):
            answer = await drove(method, path, body)
            assert answer.body['message'] == 'This node is not the leader controller', answer.text
            assert reasons(answer) == ['The leader is http://other:1']
        # Who may not ask hears nothing of it.
        assert (await drove.operate(create(), READER)).status == 403


@pytest.mark.parametrize('path', [OPERATIONS, '/apis/v1/tasks/validate/spec'])
async def test_maintenance_is_over_before_operations_are_accepted(drove: Drove, path: str) -> None:
    answer = await drove('POST', '/apis/v1/cluster/maintenance/set', {})
    assert answer.body['data']['state'] == 'MAINTENANCE'

    refused = await drove('POST', path, create() if path == OPERATIONS else spec())

    if path == OPERATIONS:
        assert reasons(refused) == ['Cluster is in maintenance mode']
        # What is wrong with a request is told before that.
        assert 'type' in reasons(await drove.operate({}))[0]
    else:
        assert refused.status == 200
    assert (await drove('POST', '/apis/v1/cluster/maintenance/unset', {})).body['data']['state'] == 'NORMAL'
    assert (await drove.operate(create())).status == 200


async def test_the_same_key_is_one_operation(drove: Drove) -> None:
    first = await drove.operate(create(), **{'Idempotency-Key': 'k1'})
    again = await drove.operate(create(), **{'Idempotency-Key': 'k1'})
    other = await drove.operate(create(spec(taskId='other')), **{'Idempotency-Key': 'k1'})

    assert (first.status, first.body) == (again.status, again.body)
    assert again.headers['Idempotency-Replayed'] == 'true'
    assert 'Idempotency-Key' in reasons(other)[0] if other.status == 400 else other.status == 409
    assert await drove.api.database.tasks.count_documents({}) == 1


async def test_a_dry_run_checks_all_and_does_nothing(drove: Drove) -> None:
    good = await drove('POST', f'{OPERATIONS}?dryRun=true', create())
    bad = await drove('POST', f'{OPERATIONS}?dryRun=true', create(spec(taskId='')))

    assert (good.status, bad.status) == (200, 400)
    assert await drove.api.database.tasks.count_documents({}) == 0


async def test_a_specification_by_itself_is_checked(drove: Drove) -> None:
    answer = await drove('POST', '/apis/v1/tasks/validate/spec', spec(taskId=''))
    assert reasons(answer) == ['taskId - Task ID is mandatory']


async def test_an_operation_has_the_time_that_it_says(drove: Drove) -> None:
    await drove.operate(create(timeout='90 seconds'))

    answer = await drove('GET', '/apis/v1/tasks/TEST_APP/instances/T0012/operations')

    [operation] = answer.body['data']
    assert operation['opSpec'] == {'timeout': '90s', 'parallelism': 1, 'failureStrategy': 'STOP'}
    assert operation['outcome'] == 'ACTIVE'
    assert 'ended' not in operation


async def test_a_pilot_gets_all_that_was_asked_for(drove: Drove) -> None:
    policy = {'type': 'MATCH_TAG', 'tag': 'fast'}
    given = spec(executable={'type': 'SHELL', 'url': '/bin/echo'}, args=['a', '${x}'], env={'A': '${b}'},
                 placementPolicy=policy, maxRunTime='1m')  # fmt: skip
    await drove.operate(create(given))

    offer = {'cpu': 1, 'memory': 1, 'work': True}
    without = await drove.api.as_('pilot', 'p')('POST', '/task_actions/process', {'requirements': offer})
    tagged = {'requirements': {**offer, 'tagged': ['fast', 'x']}, 'claim_id': 'c' * 32, 'lease_seconds': 900}
    claim = await drove.api.as_('pilot', 'p')('POST', '/task_actions/process', tagged)

    assert without.status == 404
    assert claim.body['work']['command'] == ['/bin/echo', 'a', '${x}']
    assert claim.body['work']['timeout_seconds'] == 60
    assert claim.body['lease_seconds'] == 60
    told = claim.body['work']['env']['DROVE_INSTANCE_ID'].replace('${task_id}', claim.body['task_id'])
    assert told == (await drove.info())['instanceId']
    assert claim.body['requirements'] == {
        'cpu': 1, 'memory': 0.536870912, 'work': True, 'tagged': [['fast']],
    }  # fmt: skip


async def test_a_container_goes_to_pilots_with_containers(drove: Drove) -> None:
    await drove.operate(create(docker()))

    [task] = [each async for each in drove.api.database.tasks.find({})]
    assert task['requirements']['container'] is True


async def test_a_task_that_waits_too_long_has_timed_out(drove: Drove) -> None:
    await drove.operate(create(timeout='1ms'))
    await asyncio.sleep(0.01)

    await Operations(drove.api.service).turn()

    info = await drove.info()
    assert (info['state'], info['taskResult']) == ('STOPPED', {'status': 'TIMED_OUT', 'exitCode': -1})
    assert await drove.history() == [('CREATE', 'TIMED_OUT')]


async def test_the_states_on_the_way_are_told(drove: Drove) -> None:
    await drove.operate(create())
    claim = await claimed(drove.api)
    await report(drove.api, claim, 'heartbeat', phase='running')
    await drove.operate(kill())
    running = (await drove.info())['state']
    await report(drove.api, claim, 'heartbeat', phase='deprovisioning')
    leaving = (await drove.info())['state']
    await report(drove.api, claim, 'hand_back', reason='called off')

    info = await drove.info()
    assert (running, leaving, info['state']) == ('RUNNING', 'DEPROVISIONING', 'STOPPED')
    assert [each['state'] for each in info['states']] == [
        'PENDING', 'PROVISIONING', 'STARTING', 'RUNNING', 'RUN_COMPLETED', 'DEPROVISIONING', 'STOPPED',
    ]  # fmt: skip
    assert info['taskResult'] == {'status': 'CANCELLED', 'exitCode': -1}
    assert has_no_null(info)


@pytest.mark.parametrize(('query', 'told'), [('wait=60&state=RUNNING', 'RUNNING'), ('wait=60', 'STOPPED')])
async def test_a_state_is_waited_for_and_no_longer(drove: Drove, query: str, told: str) -> None:
    await drove.operate(create())
    claim = await claimed(drove.api)
    waiting = asyncio.create_task(drove('GET', f'/apis/v1/tasks/TEST_APP/instances/T0012?{query}'))
    await asyncio.sleep(0.2)
    early = waiting.done()

    await report(drove.api, claim, 'heartbeat', phase='running')
    if told == 'STOPPED':
        await report(drove.api, claim, 'complete')

    answer = await asyncio.wait_for(waiting, 30)
    assert not early
    assert answer.body['data']['state'] == told


async def test_what_is_not_waited_for_is_told_at_once(drove: Drove) -> None:
    await drove.operate(create())

    async with asyncio.timeout(30):
        waited = await drove('GET', '/apis/v1/tasks/TEST_APP/instances/T0012?wait=1&state=RUNNING')
        unknown = await drove('GET', '/apis/v1/tasks/TEST_APP/instances/nobody?wait=60')
        pending = await drove('GET', '/apis/v1/tasks/TEST_APP/instances/T0012?wait=60&state=PENDING')

    assert (waited.body['data']['state'], pending.body['data']['state']) == ('PENDING', 'PENDING')
    assert unknown.body == {'status': 'FAILED', 'message': 'No such task instance TEST_APP/nobody'}
