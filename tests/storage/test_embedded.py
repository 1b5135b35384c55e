"""The private mongod: it comes up, keeps its data, ends with its service, and says in one line why it cannot start."""

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pymongo
import pytest
from pymongo.errors import OperationFailure

from iceprod_tasks.domain.errors import CannotStart
from iceprod_tasks.storage import embedded
from iceprod_tasks.storage.embedded import EmbeddedMongod

PATIENCE_SECONDS = 60

SERVICE = """
import asyncio, pathlib, sys
from iceprod_tasks.storage import embedded

async def serve():
    mongod = await embedded.start(pathlib.Path(sys.argv[1]), cache_gb=0.25)
    print(mongod.pid, mongod.url, flush=True)
    await asyncio.Event().wait()

asyncio.run(serve())
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / 'mongod'


@pytest.fixture
def sealed_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in which this process may not write, whoever runs it."""
    nobody = 65534
    user = os.geteuid()
    tmp_path.chmod(0o500)
    os.seteuid(user or nobody)
    yield tmp_path
    os.seteuid(user)
    tmp_path.chmod(0o700)


@contextlib.asynccontextmanager
async def running(folder: Path, **options: Any) -> AsyncIterator[EmbeddedMongod]:
    mongod = await embedded.start(folder, cache_gb=0.25, **options)
    try:
        yield mongod
    finally:
        await mongod.stop()


@contextlib.contextmanager
def service(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int, str]]:
    """Another process that runs a mongod: the process, mongod's pid, its url."""
    with subprocess.Popen([sys.executable, '-c', SERVICE, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            pid, url = process.stdout.readline().split()
            yield process, int(pid), url
        finally:
            process.kill()


@pytest.fixture
def fake_mongod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts another program in mongod's place."""

    def install(program: str) -> None:
        path = tmp_path / 'bin' / 'mongod'
        path.parent.mkdir()
        path.write_text(program)
        path.chmod(0o755)
        monkeypatch.setenv('PATH', f'{path.parent}:{os.environ["PATH"]}')

    return install


def read(path: Path) -> str:
    return path.read_text()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def put(url: str, value: int) -> None:
    with pymongo.MongoClient(url, w='majority') as client:
        client.kept.things.insert_one({'_id': value})


def kept(url: str) -> list[int]:
    with pymongo.MongoClient(url) as client:
        return sorted(thing['_id'] for thing in client.kept.things.find())


def is_gone(pid: int) -> bool:
    """Whether the process ends before long."""
    try:
        psutil.Process(pid).wait(PATIENCE_SECONDS)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True


async def started_by(folder: Path) -> int:
    """The pid of the mongod that is being started, or was last started, on the folder."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            with contextlib.suppress(FileNotFoundError, IndexError):
                return int(read(folder / 'lock').split()[1])
            await asyncio.sleep(0.01)


async def test_it_is_the_writable_primary_of_a_replica_set_of_one(folder: Path) -> None:
    async with running(folder) as mongod:
        with pymongo.MongoClient(mongod.url) as client:
            hello = client.admin.command('hello')

    assert hello['isWritablePrimary']
    assert hello['setName'] == 'iceprod'
    assert hello['hosts'] == [f'127.0.0.1:{mongod.port}']


async def test_it_listens_on_loopback_only_without_compression_scripts_or_unix_socket(folder: Path) -> None:
    async with running(folder) as mongod:
        with pymongo.MongoClient(mongod.url, compressors='zlib') as client:
            options = client.admin.command('getCmdLineOpts')['parsed']
            offered = client.admin.command('hello', compression=['zlib', 'snappy', 'zstd'])
            with pytest.raises(OperationFailure):
                list(client.kept.things.find({'$where': 'true'}))
        listening = {each.laddr.ip for each in psutil.Process(mongod.pid).net_connections() if each.status == 'LISTEN'}

    assert options['net']['unixDomainSocket'] == {'enabled': False}
    assert options['storage']['wiredTiger']['engineConfig']['cacheSizeGB'] == 0.25
    assert not offered.get('compression')
    assert listening == {'127.0.0.1'}


async def test_a_restart_finds_the_data_on_the_same_port(folder: Path) -> None:
    async with running(folder) as first:
        put(first.url, 1)

    async with running(folder) as second:
        found = kept(second.url)

    assert found == [1]
    assert second.url == first.url


async def test_only_the_owner_can_read_the_data(folder: Path) -> None:
    async with running(folder):
        modes = [path.stat().st_mode & 0o777 for path in (folder, folder / 'data')]

    assert modes == [0o700, 0o700]


async def test_a_killed_mongod_is_noticed_and_brought_back_by_another_start(folder: Path) -> None:
    async with running(folder) as first:
        put(first.url, 1)
        os.kill(first.pid, signal.SIGKILL)
        exit_code = await asyncio.wait_for(first.wait(), PATIENCE_SECONDS)

        async with running(folder) as second:
            found = kept(second.url)

    assert exit_code == -signal.SIGKILL
    assert found == [1]
    assert second.url == first.url


async def test_mongod_ends_when_its_service_is_killed(folder: Path) -> None:
    with service(folder) as (process, pid, _):
        process.kill()

        gone = is_gone(pid)

    assert gone


async def test_a_start_waits_for_a_mongod_that_is_ending_since_its_service_was_killed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, '_JUST_KILLED_SECONDS', 0.1)
    with service(folder) as (process, pid, url):
        put(url, 1)
        os.kill(pid, signal.SIGSTOP)
        process.kill()
        process.wait()

        starting = asyncio.create_task(embedded.start(folder, cache_gb=0.25))
        await asyncio.sleep(0.5)
        os.kill(pid, signal.SIGCONT)
        mongod = await starting
        found = kept(url)
        await mongod.stop()

    assert found == [1]
    assert mongod.url == url


async def test_service_and_mongod_killed_together_leave_nothing_in_the_way(folder: Path) -> None:
    with service(folder) as (process, pid, url):
        put(url, 1)
        os.kill(process.pid, signal.SIGSTOP)
        os.kill(pid, signal.SIGKILL)
        process.kill()

        async with running(folder) as mongod:
            found = kept(mongod.url)

    assert found == [1]


async def test_an_interrupt_from_the_terminal_does_not_reach_mongod(folder: Path) -> None:
    async with running(folder) as mongod:
        session = os.getsid(mongod.pid)

    assert session == mongod.pid


async def test_data_moves_to_another_port_when_its_own_was_taken_meanwhile(folder: Path, tmp_path: Path) -> None:
    async with running(folder) as first:
        put(first.url, 1)

    async with running(tmp_path / 'other', port=first.port), running(folder) as moved:
        put(moved.url, 2)
        found = kept(moved.url)

    assert found == [1, 2]
    assert moved.port != first.port


async def test_a_port_taken_between_the_look_and_the_start_is_exchanged(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(('127.0.0.1', 0)) as server:
        taken = server.getsockname()[1]
        choices = iter([lambda folder: taken, embedded._choose_port])
        monkeypatch.setattr(embedded, '_choose_port', lambda folder: next(choices)(folder))

        async with running(folder) as mongod:
            put(mongod.url, 1)

    assert mongod.port != taken


async def test_a_port_asked_for_that_is_taken_is_named(folder: Path) -> None:
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(CannotStart, match=rf'^port {port} of .* cannot be taken: Address already in use$'):
            await embedded.start(folder, port=port)


async def test_a_folder_in_use_is_told_at_once_with_the_pid_and_the_way_to_share(folder: Path) -> None:
    with service(folder) as (_, pid, url):
        with pytest.raises(CannotStart, match=rf'is in use by mongod \(pid {pid}\); .* MONGODB_URL$'):
            await embedded.start(folder)

        put(url, 1)


async def test_of_two_starts_at_once_one_wins(folder: Path) -> None:
    outcomes = await asyncio.gather(*(embedded.start(folder) for _ in range(2)), return_exceptions=True)

    winners = [each for each in outcomes if isinstance(each, EmbeddedMongod)]
    losers = [each for each in outcomes if isinstance(each, CannotStart)]
    for winner in winners:
        await winner.stop()
    assert len(winners) == len(losers) == 1


async def test_waiting_for_an_old_mongod_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, '_STILL_ENDING_SECONDS', 0.2)
    with (tmp_path / 'lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        with pytest.raises(CannotStart, match='in use by a mongod that does not end'):
            await embedded.start(tmp_path)


async def test_data_used_by_a_mongod_started_by_hand_is_told(folder: Path, tmp_path: Path) -> None:
    async with running(folder):
        (tmp_path / 'data').symlink_to(folder / 'data')

        with pytest.raises(CannotStart, match='Another mongod instance is already running'):
            await embedded.start(tmp_path)


async def test_a_missing_library_is_named(folder: Path, fake_mongod: Callable[[str], None]) -> None:
    fake_mongod('#!/bin/sh\necho "$0: error while loading shared libraries: libcurl.so.4: cannot open" >&2; exit 127')

    with pytest.raises(CannotStart, match=r'libcurl\.so\.4 is missing'):
        await embedded.start(folder)


async def test_a_mongod_that_ends_at_once_is_quoted(folder: Path, fake_mongod: Callable[[str], None]) -> None:
    fake_mongod("""#!/bin/sh\necho '{"s":"F","msg":"Fatal assertion","attr":{"error":"bad data"}}'; exit 14""")

    with pytest.raises(CannotStart, match='exit code 14: Fatal assertion: bad data'):
        await embedded.start(folder)


async def test_a_program_that_cannot_be_executed_is_named(folder: Path, fake_mongod: Callable[[str], None]) -> None:
    fake_mongod('\x7fELF of another machine')

    with pytest.raises(CannotStart, match='bin/mongod: Exec format error'):
        await embedded.start(folder)


async def test_a_mongod_that_hangs_is_given_up_and_killed(folder: Path, fake_mongod: Callable[[str], None]) -> None:
    fake_mongod('#!/bin/sh\necho thinking; exec sleep 600')

    with pytest.raises(CannotStart, match=r'not ready after 0\.5 s: thinking'):
        await embedded.start(folder, timeout_seconds=0.5)

    assert not psutil.pid_exists(await started_by(folder))


async def test_a_cancelled_start_leaves_no_process(folder: Path, fake_mongod: Callable[[str], None]) -> None:
    fake_mongod('#!/bin/sh\nexec sleep 600')
    starting = asyncio.create_task(embedded.start(folder))
    pid = await started_by(folder)

    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting

    assert not psutil.pid_exists(pid)


async def test_failed_starts_neither_block_the_next_one_nor_pile_up_logs(
    folder: Path, fake_mongod: Callable[[str], None]
) -> None:
    fake_mongod('#!/bin/sh\nexit 1')
    for _ in range(3):
        with pytest.raises(CannotStart, match='exit code 1'):
            await embedded.start(folder)

    assert names(folder) == {'data', 'lock', 'mongod.log', 'mongod.log.1'}


async def test_a_disk_that_is_nearly_full_is_told_before_mongod_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nearly_full = shutil._ntuple_diskusage(10**12, 10**12 - 5_000_000, 5_000_000)
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: nearly_full)

    with pytest.raises(CannotStart, match='is full: 5 MB are free, mongod needs 200'):
        await embedded.start(folder)

    assert not (folder / 'mongod.log').exists()


async def test_a_disk_that_fills_up_during_the_start_is_told(folder: Path, fake_mongod: Callable[[str], None]) -> None:
    fake_mongod(
        """#!/bin/sh\necho '{"s":"E","msg":"WiredTiger error","attr":{"message":"No space left on device"}}'; exit 14"""
    )

    with pytest.raises(CannotStart, match=r'^no space left on the disk of '):
        await embedded.start(folder)


async def test_a_folder_below_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / 'file').touch()

    with pytest.raises(CannotStart, match=r'^cannot keep the database in .*/file/mongod: .*Not a directory'):
        await embedded.start(tmp_path / 'file' / 'mongod')


async def test_a_folder_without_permission_is_told(sealed_folder: Path) -> None:
    with pytest.raises(CannotStart, match=r'^cannot keep the database in .*Permission denied'):
        await embedded.start(sealed_folder / 'mongod')


async def test_stop_ends_a_mongod_that_does_not_answer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, '_STOP_SECONDS', 0.2)
    async with running(folder) as mongod:
        os.kill(mongod.pid, signal.SIGSTOP)

        await mongod.stop()

    assert mongod.exit_code == -signal.SIGKILL


async def test_stop_may_be_repeated(folder: Path) -> None:
    async with running(folder) as mongod:
        await mongod.stop()

    assert mongod.exit_code == 0
