"""What a command prints is seen while it runs, costs no more than its bounds, and comes in full where it can."""

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from iceprod_tasks.client import AsyncClient, Claim
from iceprod_tasks.pilot import streaming
from iceprod_tasks.pilot.streaming import KEPT_BYTES, SPOOL_BYTES, Streaming
from tests.pilot.conftest import Fly
from tests.pilot.fake_service import FakeService

CLAIM = Claim({'task_id': 't0'}, 'c' * 32, 4)


async def test_output_comes_while_the_command_runs(service: FakeService, fly: Fly) -> None:
    service.add('echo early; echo bad >&2; sleep 60; echo late')
    service.left = 0
    flying = asyncio.ensure_future(fly())

    await service.until(lambda: service.output('t0') == b'early\n' and service.output('t0', 'stderr') == b'bad\n', 5)

    service.orders['t0'] = 409, {'code': 409, 'error': 'lost'}
    await flying


async def test_output_comes_within_a_second(service: FakeService, fly: Fly) -> None:
    service.add('sleep 0.6; date +%s.%N; sleep 1.5')
    flying = asyncio.ensure_future(fly())

    await service.until(lambda: service.output('t0'))
    assert time.time() - float(service.output('t0')) < 1
    await flying


async def test_all_of_it_has_come_before_the_report(service: FakeService, fly: Fly) -> None:
    service.add([sys.executable, '-c', 'import os; os.write(1, bytes(range(256)) * 2000)'])

    [report] = await fly()

    assert report['action'] == 'complete'
    assert service.output('t0') == bytes(range(256)) * 2000
    assert all(piece['offset'] < 512_000 for sent in service.outputs for piece in sent['pieces'])


async def test_a_command_that_says_nothing_sends_nothing(service: FakeService, fly: Fly) -> None:
    service.add('sleep 0.7')

    await fly()

    assert service.outputs == []


@pytest.mark.parametrize('code', [404, 409, 400, 403])
async def test_a_service_that_wants_no_output_is_not_asked_again(service: FakeService, fly: Fly, code: int) -> None:
    service.add('for i in 1 2 3; do echo $i; sleep 0.5; done')
    service.troubles['output'].append((code, {'code': code, 'error': 'no'}))

    [report] = await fly()

    assert (report['action'], report['stdout']) == ('complete', '1\n2\n3\n')
    assert service.outputs == []


async def test_what_could_not_be_sent_is_sent_later(service: FakeService, fly: Fly) -> None:
    service.add('for i in 1 2 3 4; do echo $i; sleep 0.5; done')
    service.troubles['output'].extend([(503, {})] * 2)

    await fly()

    assert service.output('t0') == b'1\n2\n3\n4\n'


@pytest.fixture
def files(tmp_path: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """The files of both streams, as a folder opens them."""
    with (tmp_path / 'out').open('ab+', buffering=0) as out, (tmp_path / 'err').open('ab+', buffering=0) as err:
        yield out, err


async def settled(service: FakeService, sender: Streaming) -> None:
    sending = asyncio.create_task(sender.run())
    await asyncio.sleep(3 * streaming.LOOK_SECONDS)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)


async def test_of_much_output_only_what_the_service_keeps_is_sent(
    service: FakeService, files: tuple[IO[bytes], IO[bytes]]
) -> None:
    out, err = files
    for _ in range(50):
        out.write(b'x' * 10**6)
    out.write(b'the end')

    async with AsyncClient(service.url) as client:
        assert await Streaming(client, CLAIM, out, err).finish(20)

    assert sum(len(piece['data']) for sent in service.outputs for piece in sent['pieces']) < 1.4 * KEPT_BYTES
    assert service.output('t0').endswith(b'xthe end')


async def test_what_is_not_needed_any_more_is_cut_out_of_the_files(
    service: FakeService, files: tuple[IO[bytes], IO[bytes]]
) -> None:
    out, err = files
    async with AsyncClient(service.url) as client:
        sender = Streaming(client, CLAIM, out, err)
        for _ in range(5):
            out.write(os.urandom(8 * 10**6))
            await settled(service, sender)

    assert os.fstat(out.fileno()).st_size == 40 * 10**6
    assert os.fstat(out.fileno()).st_blocks * 512 < SPOOL_BYTES


async def test_the_spool_is_bounded_while_the_service_is_away(
    service: FakeService, files: tuple[IO[bytes], IO[bytes]]
) -> None:
    out, err = files
    service.troubles['output'].extend([(503, {})] * 1000)
    async with AsyncClient(service.url) as client:
        sender = Streaming(client, CLAIM, out, err)
        for number in range(8):
            out.write(bytes([65 + number]) * 8 * 10**6)
            await settled(service, sender)

        assert os.fstat(out.fileno()).st_blocks * 512 < SPOOL_BYTES + 2 * 10**6
        service.troubles['output'].clear()
        assert await sender.finish(20)

    assert service.output('t0').endswith(b'H' * 10**6)


async def test_a_command_that_cuts_its_own_output_is_followed_all_the_same(
    service: FakeService, files: tuple[IO[bytes], IO[bytes]]
) -> None:
    out, err = files
    async with AsyncClient(service.url) as client:
        sender = Streaming(client, CLAIM, out, err)
        out.write(b'a long beginning')
        await settled(service, sender)
        os.ftruncate(out.fileno(), 0)
        await settled(service, sender)
        out.write(b'anew')
        assert await sender.finish(20)

    assert service.output('t0').startswith(b'anew')


async def test_what_fits_into_the_report_is_not_sent_before_it(service: FakeService, fly: Fly) -> None:
    service.add('echo little')

    [report] = await fly()

    assert (report['stdout'], service.outputs) == ('little\n', [])


@pytest.mark.parametrize('printed', [b'\xff', b'a\0b', b'x' * 65537])
async def test_what_does_not_fit_into_the_report_is_sent(service: FakeService, fly: Fly, printed: bytes) -> None:
    service.add([sys.executable, '-c', f'import os; os.write(1, {printed!r} if True else 0)'])
    if len(printed) > 1000:
        service.config['tasks'][0]['command'] = ['/bin/sh', '-c', f'head -c {len(printed)} /dev/zero | tr "\\0" x']

    await fly()

    assert service.output('t0') == printed
