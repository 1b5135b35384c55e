"""The private mongod: a replica set of one on 127.0.0.1 that lives and dies with the process that started it.

    folder/         mode 0700
    ├── data/       mongod's dbPath, kept between starts
    ├── port        the port of the last start, taken again by the next one
    ├── lock        locked from before mongod starts until it is gone: mongod inherits the descriptor
    └── mongod.log  of this start; mongod.log.1 of the one before

The kernel sends mongod SIGTERM when the thread that started it ends, so `start` belongs on the main thread.
"""

import asyncio
import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
from pymongo.errors import OperationFailure, PyMongoError

from iceprod_tasks.domain.errors import CannotStart
from iceprod_tasks.storage import mongod_binary
from iceprod_tasks.storage.driver import Client, opened

MINIMUM_FREE_MB = 200
# Below the range the kernel takes ports of outgoing connections from: none of those can be in the way after a restart,
# not even a client that tries to reach this very mongod.
PORTS = range(20000, 30000)
# A process lives on for a moment after kill(2) has returned.
_JUST_KILLED_SECONDS = 1.0
_STILL_ENDING_SECONDS = 20.0
_STOP_SECONDS = 15.0
# A port can be taken between our look at it and mongod's.
_TRIES = 5
_IN_USE = 'the data folder {folder} is in use by {holder}; services share one database through MONGODB_URL'
_NOT_YET_INITIALIZED = 94


class EmbeddedMongod:
    """A running private mongod; made by `start`."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, port: int) -> None:
        self._process = process
        self.folder = folder
        self.port = port

    @property
    def url(self) -> str:
        """The connection string, for MONGODB_URL."""
        return _url(self.port)

    @property
    def pid(self) -> int:
        """The process id of mongod."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while mongod runs; negative when a signal ended it."""
        return self._process.poll()

    async def wait(self) -> int:
        """Wait until mongod has ended, for whatever reason; `start` on the same folder brings it back.

        Returns:
            The exit code, negative for a signal.
        """
        while (exit_code := self.exit_code) is None:
            await asyncio.sleep(0.1)
        return exit_code

    async def stop(self) -> None:
        """Shut mongod down in order, or by SIGKILL when that takes too long."""
        if self.exit_code is None:
            self._process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.wait(), _STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End mongod at once; what it acknowledged is in its journal."""
        if self.exit_code is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            # Bounded: a process in an uninterruptible read of a dead disk outlives even this.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=5)


async def start(
    folder: Path, *, port: int = 0, cache_gb: float = 0.5, timeout_seconds: float = 60.0, driver: str = 'motor'
) -> EmbeddedMongod:
    """Start the private mongod of a folder and wait until it is a writable primary.

    Args:
        folder: where the data is kept; made when absent.
        port: TCP port; 0 takes the one of the last start, or another when that one is taken by now.
        cache_gb: memory for WiredTiger's cache, GB.
        timeout_seconds: how long mongod may take to become ready.
        driver: by which it is asked whether it is, `motor` or `pymongo`.

    Raises:
        CannotStart: it does not come up; the text says what to mend.
    """
    binary = mongod_binary.find()
    try:
        folder = _prepare(folder)
        async with _locked(folder) as lock:
            for _ in range(_TRIES):
                chosen = _check_port(port) if port else _choose_port(folder)
                argv = mongod_binary.command(binary, folder / 'data', chosen, cache_gb)
                with contextlib.suppress(mongod_binary.PortTaken):
                    process = mongod_binary.launch(argv, _fresh_log(folder), lock)
                    mongod = EmbeddedMongod(process, folder, chosen)
                    await _bring_up(mongod, lock, timeout_seconds, driver)
                    return mongod
            raise CannotStart(f'each port tried for mongod was taken meanwhile, the last one was {chosen}')
    except OSError as error:
        raise CannotStart(f'cannot keep the database in {folder}: {error}') from error


def has_data(folder: Path) -> bool:
    """Whether a private mongod has ever kept anything in a folder."""
    return (folder / 'port').exists()


def url_of_running(folder: Path) -> str | None:
    """The connection string of the mongod that a living service runs on a folder; None when none does.

    Raises:
        CannotStart: one runs that has not come up yet.
    """
    try:
        descriptor = os.open(folder / 'lock', os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        if _lock(descriptor) or _serving(descriptor) is None:
            return None
        return _url(int((folder / 'port').read_text(encoding='ascii')))
    except (OSError, ValueError):
        raise CannotStart(f'the mongod in {folder} is not ready; try again') from None
    finally:
        os.close(descriptor)


def _url(port: int) -> str:
    return f'mongodb://127.0.0.1:{port}/?directConnection=true'


def _prepare(folder: Path) -> Path:
    folder = folder.absolute()
    for path in (folder, folder / 'data'):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / 'data').chmod(0o700)
    free_mb = shutil.disk_usage(folder).free // 1_000_000
    if free_mb < MINIMUM_FREE_MB:
        raise CannotStart(f'the disk of {folder} is full: {free_mb} MB are free, mongod needs {MINIMUM_FREE_MB}')
    return folder


@contextlib.asynccontextmanager
async def _locked(folder: Path) -> AsyncIterator[int]:
    """Hold the folder's lock, waiting for a mongod that is ending because its service is gone."""
    descriptor = os.open(folder / 'lock', os.O_RDWR | os.O_CREAT, 0o600)
    try:
        began = time.monotonic()
        while not _lock(descriptor):
            waited_seconds = time.monotonic() - began
            if waited_seconds > _JUST_KILLED_SECONDS and (pid := _serving(descriptor)):
                raise CannotStart(_IN_USE.format(folder=folder, holder=f'mongod (pid {pid})'))
            if waited_seconds > _STILL_ENDING_SECONDS:
                raise CannotStart(_IN_USE.format(folder=folder, holder='a mongod that does not end'))
            await asyncio.sleep(0.1)
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _serving(descriptor: int) -> int | None:
    """The pid of the mongod that holds the lock, if the service that started it lives."""
    try:
        service, mongod = map(int, os.pread(descriptor, 64, 0).split())
        return mongod if psutil.Process(mongod).ppid() == service else None
    except (ValueError, psutil.NoSuchProcess):
        return None


def _choose_port(folder: Path) -> int:
    kept = folder / 'port'
    ports = secrets.SystemRandom().sample(PORTS, k=100)
    if kept.exists() and (text := kept.read_text(encoding='ascii', errors='replace')).isdigit():
        ports.insert(0, int(text))
    for port in ports:
        with contextlib.suppress(CannotStart):
            return _check_port(port)
    raise CannotStart(f'no free port between {PORTS[0]} and {PORTS[-1]}')


def _check_port(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(('127.0.0.1', port))
        except OSError as error:
            raise CannotStart(f'port {port} of 127.0.0.1 cannot be taken: {error.strerror}') from error
    return port


def _fresh_log(folder: Path) -> Path:
    log = folder / 'mongod.log'
    if log.exists():
        log.rename(folder / 'mongod.log.1')
    log.touch(mode=0o600)
    return log


async def _bring_up(mongod: EmbeddedMongod, lock: int, timeout_seconds: float, driver: str) -> None:
    """Wait until mongod is a writable primary; one that does not get there is killed."""
    log = mongod.folder / 'mongod.log'
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, f'{os.getpid()} {mongod.pid}'.encode(), 0)
        async with asyncio.timeout(timeout_seconds):
            await _become_primary(mongod, log, driver)
        (mongod.folder / 'port').write_text(str(mongod.port), encoding='ascii')
    except TimeoutError:
        words = mongod_binary.last_words(log)
        mongod.kill()
        raise CannotStart(f'mongod is not ready after {timeout_seconds:g} s: {words} (log: {log})') from None
    except BaseException:
        mongod.kill()
        raise


async def _become_primary(mongod: EmbeddedMongod, log: Path, driver: str) -> None:
    host = f'127.0.0.1:{mongod.port}'
    async with opened(driver, mongod.url, serverSelectionTimeoutMS=2000) as client:
        while mongod.exit_code is None:
            with contextlib.suppress(OSError, PyMongoError):
                # Asking the driver before anyone listens costs half a second: its pause between two looks.
                _, writer = await asyncio.open_connection('127.0.0.1', mongod.port)
                writer.close()
                if await _is_primary(client, host, mongod.pid):
                    return
            await asyncio.sleep(0.05)
    raise mongod_binary.explain(log, mongod.exit_code)


async def _is_primary(client: Client, host: str, pid: int) -> bool:
    """Go one step towards a writable primary that is its set's only member; True once there."""
    admin = client.admin
    if (await admin.command('serverStatus'))['pid'] != pid:
        return False
    try:
        config = (await admin.command('replSetGetConfig'))['config']
    except OperationFailure as error:
        if error.code != _NOT_YET_INITIALIZED:
            raise
        first = {'_id': mongod_binary.REPLICA_SET, 'members': [{'_id': 0, 'host': host}]}
        await admin.command('replSetInitiate', first)
        return False
    if [member['host'] for member in config['members']] != [host]:
        # The port has changed: mongod does not find itself in its set and would never stand for election.
        moved = {**config, 'version': config['version'] + 1, 'members': [{**config['members'][0], 'host': host}]}
        await admin.command('replSetReconfig', moved, force=True)
        return False
    return bool((await admin.command('hello'))['isWritablePrimary'])
