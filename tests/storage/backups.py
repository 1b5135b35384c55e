"""A database with something in every collection, and exports of it in memory and in files."""

import io
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from iceprod_tasks.domain.accounts import new_account
from iceprod_tasks.domain.passwords import hashed
from iceprod_tasks.domain.tasks import new_id
from iceprod_tasks.storage.export_lines import EXPORTED
from iceprod_tasks.storage.export_reading import ExportFile
from iceprod_tasks.storage.export_writing import PartFile, Writer
from iceprod_tasks.storage.exports import Export
from iceprod_tasks.storage.imports import Import
from iceprod_tasks.storage.store import Store
from tests.actions.operated import made
from tests.conftest import DRIVER, Api
from tests.rest.belongings import add_whole

Documents = dict[str, list[dict[str, Any]]]
CLAIM = '/task_actions/process'


def nothing(*_: Any) -> None:
    """Is told, and does nothing."""


async def claimed(api: Api, **wanted: Any) -> tuple[str, str]:
    """A task that a pilot works on, and its claim id."""
    claim_id = new_id()
    answer = await api('POST', CLAIM, {'claim_id': claim_id, **wanted})
    assert answer.status == 200, answer.text
    return str(answer.body['task_id']), claim_id


async def fill(api: Api) -> str:
    """Something in every collection, one task of it being worked on; the id of the dataset that has all parts."""
    ada = api.as_('user', 'ada')
    await ada.add_dataset([{'name': 'gen', 'command': 'true'}], group='users', description='ünïcode\u2028')
    dataset_id = await add_whole(api)
    await claimed(api)
    pilot = {'queue_host': 'sub.example', 'queue_version': '2.6.1', 'resources': {'cpu': 1, 'memory': 4.0}}
    for path, body in (('/pilots', pilot), ('/grids', {'host': 'h', 'queues': {}, 'version': '1'})):
        answer = await api('POST', path, body)
        assert answer.status == 201, answer.text
    assert (await api('PUT', '/groups/simprod/priority', {'priority': 0.9})).status == 200
    assert (await api('POST', '/revocations', {'user': 'eve'})).status == 200
    account = new_account('grace', ['user'], ['simprod'], hashed('correct horse'), datetime.now(UTC))
    await api.service.store.accounts.add(account)
    await made(api)
    return dataset_id


def store_of(api: Api, mongodb_url: str) -> Store:
    """The database of the service under test, opened once more."""
    return Store(mongodb_url, api.database.name, DRIVER)


async def exported(store: Store, *dataset_ids: str, told: Callable[[int, int], None] = nothing) -> bytes:
    """An export, in memory."""
    sink = io.BytesIO()
    await Export(store, 'a_database', '0.0.1', dataset_ids).write(Writer(sink), told)
    return sink.getvalue()


async def exported_to(store: Store, path: Path, *dataset_ids: str) -> None:
    """An export to a file, going on where an earlier one has stopped."""
    part = PartFile(path)
    try:
        await Export(store, 'a_database', '0.0.1', dataset_ids).write(part.go_on(), nothing)
        part.finish()
    finally:
        part.close()


async def imported(store: Store, content: bytes, *, merge: bool = False) -> Import:
    """An import, checked first as by the command."""
    await store.prepare()
    task = Import(store, ExportFile(io.BytesIO(content)), merge=merge)
    header = ExportFile(io.BytesIO(content)).header()
    await task.check(header, nothing)
    await task.run(header, nothing)
    return task


async def everything(store: Store) -> Documents:
    """All documents of all collections, in order."""
    return {
        name: [document async for document in store.collection(name).find({}, sort=[('_id', 1)])] for name in EXPORTED
    }


def but_for_claims(documents: Documents) -> Documents:
    """The same without what an import changes in tasks."""
    changed = {
        'status', 'status_changed', 'updated', 'claim_id', 'instance_id', 'claims', 'epoch', 'lease_until',
        'lease_seconds', 'stop', 'log', 'was',
    }  # fmt: skip
    tasks = [{key: value for key, value in task.items() if key not in changed} for task in documents['tasks']]
    return {**documents, 'tasks': tasks}


NOW = datetime(2026, 11, 21, 12, 0, 0, 123000, tzinfo=UTC)
