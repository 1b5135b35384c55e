"""Fixtures of the tests of files: a task's folder, a mover, a web server, an object store."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from iceprod_tasks.client import Retry
from iceprod_tasks.pilot.files import FileRules, Moved, Mover
from tests.pilot.files.site import Site
from tests.pilot.files.site import site as running_site
from tests.pilot.files.store import Store
from tests.pilot.files.store import moto as running_moto
from tests.pilot.files.store import store as running_store

QUICK = Retry(seconds=None, first_seconds=0.01, longest_seconds=0.02)

Move = Callable[..., Awaitable[Moved]]


@pytest.fixture
def site() -> Iterator[Site]:
    """A web server with files."""
    with running_site() as site:
        yield site


@pytest.fixture
def elsewhere() -> Iterator[Site]:
    """Another web server."""
    with running_site() as site:
        yield site


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """The folder of a task."""
    folder = tmp_path / 'attempt' / 'work'
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder that `file:` names may lead to."""
    folder = tmp_path / 'data'
    folder.mkdir()
    return folder


@pytest.fixture
def rules(root: Path) -> FileRules:
    """Rules that wait for nothing."""
    return FileRules(file_roots=(root,), retry=QUICK, tries=4)


@pytest.fixture
def fetch(rules: FileRules, work: Path) -> Move:
    """Brings one file in."""

    async def run(remote: str, **fields: Any) -> Moved:
        return await Mover(rules).bring_in([entry(remote, 'input', **fields)], work)

    return run


@pytest.fixture
def send(rules: FileRules, work: Path) -> Move:
    """Brings one file out."""

    async def run(remote: str, **fields: Any) -> Moved:
        return await Mover(rules).bring_out([entry(remote, 'output', **fields)], work)

    return run


def entry(remote: str, movement: str, **fields: Any) -> dict[str, Any]:
    """A file entry as the service gives it."""
    usual = {'type': 'permanent', 'movement': movement, 'remote': remote, 'local': '', 'compression': False,
             'transfer': True}  # fmt: skip
    return usual | fields


def names_in(folder: Path) -> list[str]:
    """All that is in a folder, folders included."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob('*'))


@pytest.fixture(scope='session')
def moto() -> Iterator[tuple[str, int]]:
    """Host and port of a server of moto."""
    with running_moto() as place:
        yield place


@pytest.fixture
async def store(moto: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    """An object store with the bucket `data`, which the pilot's environment names."""
    for name in ('AWS_ENDPOINT_URL', 'AWS_ENDPOINT_URL_S3', 'AWS_PROFILE', 'AWS_SESSION_TOKEN', 'AWS_DEFAULT_REGION'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('AWS_ACCESS_KEY_ID', 'pilot')
    monkeypatch.setenv('AWS_SECRET_ACCESS_KEY', 'hush')
    monkeypatch.setenv('AWS_CONFIG_FILE', '/dev/null')
    monkeypatch.setenv('AWS_SHARED_CREDENTIALS_FILE', '/dev/null')
    monkeypatch.setenv('AWS_EC2_METADATA_DISABLED', 'true')
    async with running_store(*moto) as store:
        monkeypatch.setenv('S3_ENDPOINT', store.url)
        yield store
