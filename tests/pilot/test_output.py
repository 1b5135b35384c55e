"""What commands print, and who holds their streams."""

import time

from tests.pilot.conftest import Fly
from tests.pilot.fake_service import FakeService

END = 64 * 1024


async def test_twenty_megabytes_of_output_come_as_their_end(service: FakeService, fly: Fly) -> None:
    service.add('head -c 20000000 /dev/zero | tr "\\0" x; printf THE-END')

    [report] = await fly()

    assert report['action'] == 'complete'
    assert len(report['stdout']) == END
    assert report['stdout'].endswith('xTHE-END')


async def test_bytes_that_are_no_text_are_replaced_within_the_bound(service: FakeService, fly: Fly) -> None:
    service.add('head -c 200000 /dev/zero | tr "\\0" "\\377"; printf end')

    [report] = await fly()

    assert len(report['stdout'].encode()) <= END
    assert report['stdout'].endswith('\ufffdend')


async def test_nul_is_replaced_since_the_service_takes_none(service: FakeService, fly: Fly) -> None:
    service.add('head -c 200000 /dev/zero; printf "a\\0b" | tee /dev/stderr')

    [report] = await fly()

    assert len(report['stdout'].encode()) <= END
    assert report['stdout'].endswith('\ufffda\ufffdb')
    assert report['stderr'] == 'a\ufffdb'


async def test_a_process_left_in_the_background_holds_up_nobody(service: FakeService, fly: Fly) -> None:
    service.add('sleep 600 & echo $!')
    began = time.monotonic()

    [report] = await fly()

    assert report['action'] == 'complete'
    assert time.monotonic() - began < 60


async def test_output_is_read_even_when_the_task_removed_it(service: FakeService, fly: Fly) -> None:
    service.add('echo kept; rm -f ../stdout')

    [report] = await fly()

    assert report['stdout'] == 'kept\n'


async def test_standard_input_is_empty(service: FakeService, fly: Fly) -> None:
    service.add('cat; echo done')

    [report] = await fly()

    assert report['stdout'] == 'done\n'
