"""Fixtures for the fan-out: marks by which processes are found again, a task for each test, and a real sshd."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from iceprod_tasks.fanout import Ssh
from iceprod_tasks.fanout.Task import Task, task_cleanup, task_self
from tests.fanout.sshd import Sshd, sshd

_PATIENCE_SECONDS = 10.0


class Marked:
    """Sleeps that can be told from all other processes of this machine."""

    def __init__(self) -> None:
        self._seconds = f'9{uuid4().int % 10**12:012d}'

    @property
    def sleep(self) -> str:
        """A command that lasts for ever."""
        return f'sleep {self._seconds}'

    def count(self) -> int:
        """How many of them run."""
        return sum(self._runs(each) for each in Path('/proc').iterdir() if each.name.isdigit())

    def wait_for(self, number: int) -> None:
        """Until so many run."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self.count() != number:
            assert time.monotonic() < deadline, f'{self.count()} run, not {number}'
            time.sleep(0.02)

    def _runs(self, process: Path) -> bool:
        with contextlib.suppress(OSError):
            words = (process / 'cmdline').read_bytes().split(b'\0')
            return words[0].endswith(b'sleep') and words[1] == self._seconds.encode()
        return False


@pytest.fixture
def marked() -> Iterator[Marked]:
    """Sleeps of this test; it fails if one is left."""
    marked = Marked()
    yield marked
    marked.wait_for(0)


@pytest.fixture
def task() -> Iterator[Task]:
    """The task of this thread."""
    yield task_self()
    task_cleanup()


@pytest.fixture
def no_descriptor_leaks() -> Iterator[None]:
    """Fails a test that leaves descriptors open."""
    before = descriptors()
    yield
    assert descriptors() == before


def descriptors() -> int:
    """How many this process has open."""
    return len(list(Path('/proc/self/fd').iterdir()))


@pytest.fixture(scope='session')
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """One sshd for all tests of a process."""
    with sshd(tmp_path_factory.mktemp('sshd')) as running:
        yield running


@pytest.fixture
def ssh(server: Sshd) -> Ssh:
    """How its nodes are reached."""
    return Ssh(options=server.options, connect_timeout_seconds=5)
