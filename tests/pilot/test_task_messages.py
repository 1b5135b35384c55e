"""What a running task says of itself reaches the service: in order, once, and all of it before its report."""

import asyncio
import sys
import time
from typing import Any

import pytest

from tests.pilot.conftest import ENVIRONMENT, Fly
from tests.pilot.fake_service import FakeService

LOST = 409, {'code': 409, 'error': 'lost', 'action': 'stop', 'why': ''}


def messages(service: FakeService) -> list[dict[str, Any]]:
    """All that was posted, each once, without its id."""
    found = {note['message_id']: note for beat in service.beats for note in beat.get('messages', ())}
    return [{key: value for key, value in note.items() if key != 'message_id'} for note in found.values()]


def steps(service: FakeService) -> list[tuple[int, int]]:
    """What was said of the progress."""
    return [(said['completed'], said['total']) for beat in service.beats if (said := beat.get('progress'))]


def fail_first(service: FakeService, code: int) -> None:
    """Answer the first heartbeat that has messages with an error."""
    heartbeat = service.heartbeat

    def answer(task_id: str, body: dict[str, Any]) -> Any:
        if 'messages' in body and not messages(service):
            service.troubles['heartbeat'].append((code, {'code': code, 'error': 'no'}))
        return heartbeat(task_id, body)

    service.heartbeat = answer  # type: ignore[method-assign]


async def test_each_kind_of_message_reaches_the_service(service: FakeService, fly: Fly) -> None:
    service.add(
        'iceprod-task-message begun with   spaces; iceprod-task-message --silent quiet; '
        'printf "one\\ntwo\\n" | iceprod-task-message --error --name KeyError --stacktrace - "no such key"; '
        'echo 42 | iceprod-task-message --result -'
    )

    [report] = await fly()

    assert (report['action'], report['stderr']) == ('complete', '')
    assert messages(service) == [
        {'mtype': 'notification', 'text': 'begun with spaces'},
        {'mtype': 'silent', 'text': 'quiet'},
        {'mtype': 'error', 'text': 'no such key', 'name': 'KeyError', 'stacktrace': 'one\ntwo'},
        {'mtype': 'result', 'result': '42'},
    ]
    assert all(len(note['message_id']) == 32 for beat in service.beats for note in beat.get('messages', ()))


@pytest.mark.parametrize('command', ['iceprod-task-message last', 'iceprod-task-message last; exit 3', None])
async def test_the_last_words_come_before_the_report_whatever_it_says(
    service: FakeService, fly: Fly, command: str | None
) -> None:
    if command is None:
        service.add('iceprod-task-message last; sleep 60', timeout=0.3)
    else:
        service.add(command)
    heard_before = []
    report = service.report

    def reported(*given: Any) -> Any:
        heard_before.extend(messages(service))
        return report(*given)

    service.report = reported  # type: ignore[method-assign]

    await fly()

    assert heard_before == [{'mtype': 'notification', 'text': 'last'}]


async def test_a_message_is_heard_while_the_task_runs(service: FakeService, fly: Fly) -> None:
    service.add('iceprod-task-message early; iceprod-task-progress 1/3; sleep 60')
    service.left = 0
    flying = asyncio.ensure_future(fly())

    await service.until(lambda: messages(service), 5)

    assert (messages(service)[0]['text'], steps(service)) == ('early', [(1, 3)])
    service.orders['t0'] = LOST
    flying.cancel()
    await asyncio.gather(flying, return_exceptions=True)


async def test_progress_counts_from_what_was_said_last(service: FakeService, fly: Fly) -> None:
    service.add(
        'say() { iceprod-task-progress "$@"; sleep 1.1; }; '
        'say --total 5; say +1; say +2; say 1; say 7 6; say 2/0; say +0 --total=9'
    )

    await fly()

    assert steps(service) == [(0, 5), (1, 5), (3, 5), (1, 5), (7, 6), (2, 0), (2, 9)]


async def test_what_the_task_has_said_of_its_total_before_holds(service: FakeService, fly: Fly) -> None:
    service.add('iceprod-task-progress +1')
    service.tasks[0]['steps'] = {'completed': 4, 'total': 8}

    await fly()

    assert steps(service) == [(1, 8)]


async def test_a_task_that_says_nothing_costs_no_heartbeat(service: FakeService, fly: Fly) -> None:
    service.add('true')

    await fly()

    assert service.beats == []


async def test_a_hundred_processes_at_once_lose_nothing(service: FakeService, fly: Fly) -> None:
    service.add(
        'i=0; while [ $i -lt 100 ]; do i=$((i + 1)); '
        '(iceprod-task-progress +1; iceprod-task-message "from $i") & done; wait'
    )

    [report] = await fly()

    assert report['stderr'] == ''
    assert sorted(note['text'] for note in messages(service)) == sorted(f'from {i}' for i in range(1, 101))
    assert steps(service)[-1] == (100, 1)
    assert all(len(beat.get('messages', ())) <= 100 for beat in service.beats)


async def test_a_program_in_any_language_writes_into_the_spool(service: FakeService, fly: Fly) -> None:
    program = (
        'import os, subprocess\n'
        'place = os.environ["ICEPROD_TASK_SPOOL"]\n'
        'open(f"{place}/.1", "w").write("mtype=error\\0text=a\\nb\\0name=E\\0future=x\\0")\n'
        'os.rename(f"{place}/.1", f"{place}/1")\n'
        'subprocess.run(["iceprod-task-progress", "+1"], check=True)\n'
    )
    service.add([sys.executable, '-c', program])

    [report] = await fly()

    assert report['stderr'] == ''
    assert messages(service) == [{'mtype': 'error', 'text': 'a\nb', 'name': 'E'}]
    assert steps(service) == [(1, 1)]


async def test_a_repeated_heartbeat_has_the_same_messages(service: FakeService, fly: Fly) -> None:
    service.add('iceprod-task-message once; iceprod-task-progress +1; sleep 0.7')
    fail_first(service, 503)

    await fly()

    told = [beat['messages'] for beat in service.beats if 'messages' in beat]
    assert len(told) == 2
    assert told[0] == told[1]
    assert set(steps(service)) == {(1, 1)}


async def test_what_follows_a_heartbeat_that_failed_carries_no_messages(service: FakeService, fly: Fly) -> None:
    service.add('iceprod-task-message once; sleep 0.7')
    fail_first(service, 503)

    await fly()

    told = ['messages' in beat for beat in service.beats]
    assert told[told.index(True) :] == [True, False, True]


@pytest.mark.parametrize('code', [400, 413])
async def test_messages_that_the_service_refuses_do_not_cost_the_task(
    service: FakeService, fly: Fly, code: int
) -> None:
    service.add('iceprod-task-message bad; sleep 1.2; iceprod-task-message good')
    fail_first(service, code)

    [report] = await fly()

    assert report['action'] == 'complete'
    told = [note['text'] for beat in service.beats for note in beat.get('messages', ())]
    assert told == ['bad', 'good']


async def test_more_than_a_heartbeat_takes_goes_in_portions_and_in_order(service: FakeService, fly: Fly) -> None:
    service.add('i=100; while [ $i -lt 350 ]; do i=$((i + 1)); printf "text=$i\\0" > ../spool/$i; done')

    await fly()

    told = [len(beat['messages']) for beat in service.beats if 'messages' in beat]
    assert [note['text'] for note in messages(service)] == [str(i) for i in range(101, 351)]
    assert sum(told) == 250
    assert max(told) == 100


async def test_long_messages_do_not_make_a_heartbeat_longer_than_the_service_takes(
    service: FakeService, fly: Fly
) -> None:
    # A character that takes six bytes as it is sent.
    service.add(
        [sys.executable, '-c', 'for i in range(30): open(f"../spool/{i:02}", "w").write("text=" + "\1" * 16384)']
    )

    await fly()

    # The stand-in takes no more than a MiB, as the service does.
    assert [len(note['text']) for note in messages(service)] == [16384] * 30


async def test_a_lost_task_says_nothing_more(service: FakeService, fly: Fly) -> None:
    service.add('trap "" TERM; sleep 0.7; iceprod-task-message late; sleep 60')
    service.left, service.again_in = 0, 0.1
    service.orders['t0'] = LOST

    assert await fly(heartbeat_seconds=0.2) == []
    assert messages(service) == []


async def test_a_task_that_is_lost_while_its_last_words_are_sent_is_not_waited_for(
    service: FakeService, fly: Fly
) -> None:
    service.add('iceprod-task-message last')
    service.orders['t0'] = LOST
    began = time.monotonic()

    await fly()

    assert len(service.beats) == 1
    assert time.monotonic() - began < 4


async def test_a_service_that_is_away_at_the_end_is_not_waited_for_long(
    service: FakeService, fly: Fly, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('iceprod_tasks.pilot.attempt.LAST_OUTPUT_SECONDS', 0.3)
    service.add('iceprod-task-message never')
    service.troubles['heartbeat'].extend([(503, {})] * 100)

    [report] = await fly()

    assert report['action'] == 'complete'


async def test_a_task_that_says_far_too_much_holds_up_nobody(
    service: FakeService, fly: Fly, caplog: pytest.LogCaptureFixture
) -> None:
    program = (
        'import os\n'
        'for i in range(5000):\n'
        '    kind = "silent" if i % 2 else "notification"\n'
        '    open("../spool/.draft", "w").write(f"mtype={kind}\\0text={i}\\0")\n'
        '    os.rename("../spool/.draft", f"../spool/{i:05}")\n'
    )
    service.add([sys.executable, '-c', program])

    [report] = await fly()

    heard = [int(note['text']) for note in messages(service)]
    assert (report['action'], report['stderr']) == ('complete', '')
    assert heard == sorted(heard)
    assert heard[-1] in (4998, 4999)
    assert 1000 <= len(heard) < 3000
    assert 'messages were left out' in caplog.text


async def test_nothing_is_left_of_spool_and_programs(service: FakeService, fly: Fly) -> None:
    service.add('ls -A ../bin ../spool; iceprod-task-message x')

    [report] = await fly(slots=({**ENVIRONMENT, 'PATH': '/bin'},))

    assert report['stdout'].split() == ['../bin:', 'iceprod-task-message', 'iceprod-task-progress', '../spool:']
