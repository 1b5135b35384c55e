"""`iceprod-tasks export` and `import`: a service in a file, another one from it, and no pilot from before believed."""

import asyncio
import gzip
import io
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pymongo
import pytest
from click.testing import CliRunner

from iceprod_tasks.cli import exports
from iceprod_tasks.cli.main import main
from iceprod_tasks.rest.identity.tokens import Tokens
from iceprod_tasks.server import running
from iceprod_tasks.settings import Settings
from iceprod_tasks.storage.export_lines import EXPORTED
from tests.cli.typed import Said
from tests.conftest import SECRET, Api
from tests.journeys.commands import COMMAND, Commands
from tests.rest.answers import refusal, seen
from tests.rest.belongings import add_whole
from tests.storage.backups import CLAIM, claimed, fill


class Keeper:
    """The commands, on the database of the service under test or on another one."""

    def __init__(self, api: Api, mongodb_url: str, other: str) -> None:
        self._url = mongodb_url
        self.own, self.other = api.database.name, other

    def environment(self, database: str) -> dict[str, str]:
        return {'MONGODB_URL': self._url, 'MONGODB_DATABASE': database}

    async def __call__(self, *words: str, on: str = '', code: int = 0, stdin: bytes = b'') -> Said:
        run, environment = CliRunner().invoke, self.environment(on or self.own)
        result = await asyncio.to_thread(run, main, words, env=environment, input=stdin)
        assert result.exit_code == code, f'{words} ended with {result.exit_code}: {result.output}{result.exception!r}'
        return Said(result.stdout, result.stderr)

    def counts(self, database: str) -> dict[str, int]:
        with pymongo.MongoClient(self._url) as client:
            return {name: client[database][name].count_documents({}) for name in EXPORTED}


@pytest.fixture
def keeper(api: Api, mongodb_url: str, database_name: str) -> Keeper:
    return Keeper(api, mongodb_url, database_name)


@asynccontextmanager
async def served(mongodb_url: str, database: str, archive: Path) -> AsyncIterator[Api]:
    """Another service, on another database."""
    settings = Settings(token_secret=SECRET, port=0, scheduler=False, mongodb_database=database, archive_dir=archive)
    client: pymongo.AsyncMongoClient[dict[str, Any]] = pymongo.AsyncMongoClient(mongodb_url)
    tokens = Tokens(SECRET)
    async with client, running(settings, mongodb_url, tokens) as up:
        other = Api(up, tokens, client[database])
        yield other
        await other.close()


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize('name', ['x.ndjson', 'x.ndjson.gz'])
async def test_an_export_is_imported(api: Api, keeper: Keeper, tmp_path: Path, name: str) -> None:
    await fill(api)
    counts = keeper.counts(keeper.own)
    said = ', '.join(f'{number} {name}' for name, number in counts.items())

    out = await keeper('export', str(tmp_path / name))
    back = await keeper('import', str(tmp_path / name), on=keeper.other)

    assert (out.out, out.err) == ('', f'{tmp_path / name}: {said}\n')
    assert (tmp_path / name).read_bytes().startswith(b'\x1f\x8b' if name.endswith('.gz') else b'{"format":')
    assert back.err.startswith('imported: ')
    assert back.err.endswith('; there before: nothing\n')
    assert keeper.counts(keeper.other) == counts


async def test_a_pilot_from_before_is_not_believed(api: Api, mongodb_url: str, keeper: Keeper, tmp_path: Path) -> None:
    # One that was handed out once before, one that never was, and one that is being worked on.
    task_id, early = await claimed(api) if await api.add_task(priority=3) else ('', '')
    await api('POST', f'/tasks/{task_id}/task_actions/hand_back', {'claim_id': early})
    again, claim_id = await claimed(api)
    assert again == task_id
    epoch = (await api.task(task_id))['epoch']
    fresh = await api.add_task(priority=1)
    await keeper('export', str(tmp_path / 'x'))
    # After the export, and before the end of the service.
    late, late_claim = await claimed(api)
    assert late == fresh

    await keeper('import', str(tmp_path / 'x'), on=keeper.other)

    async with served(mongodb_url, keeper.other, tmp_path) as other:
        stale = refusal(409, "The claim is not the task's current claim")
        for held, key, number in ((task_id, claim_id, epoch), (late, late_claim, 1)):
            for body in ({'claim_id': key}, {'claim_id': key, 'epoch': number}):
                for action in ('complete', 'reset', 'failed', 'hand_back'):
                    answer = await other('POST', f'/tasks/{held}/task_actions/{action}', body)
                    assert seen(answer) == stale, (held, action)
        for key in (early, claim_id):
            assert (await other('POST', CLAIM, {'claim_id': key})).status == 410
        assert (await other.task(task_id))['status'] == 'queued'

        for held, number in ((task_id, epoch), (fresh, 1)):
            found, new_claim = await claimed(other)
            assert found == held
            assert (await other.task(held))['epoch'] > number
            for key in (claim_id, late_claim):
                answer = await other('POST', f'/tasks/{held}/task_actions/complete', {'claim_id': key})
                assert seen(answer) == stale
            answer = await other('POST', f'/tasks/{held}/task_actions/complete', {'claim_id': new_claim})
            assert answer.status == 200

        history = (await other('GET', f'/tasks/{task_id}/history')).body
        assert [(entry['transition'], entry['who']) for entry in history['history']][-3:-1] == [
            ('restore', 'import'), ('claim', 'root'),
        ]  # fmt: skip
        assert (history['failures'], history['evictions']) == (0, 1)


async def test_an_export_goes_through_a_pipe(api: Api, keeper: Keeper) -> None:
    await fill(api)

    out = await keeper('export')
    back = await keeper('import', '-', on=keeper.other, stdin=out.out.encode())

    assert out.err == ''
    assert 'imported: ' in back.err
    assert keeper.counts(keeper.other) == keeper.counts(keeper.own)


async def test_only_some_datasets_are_exported(api: Api, keeper: Keeper, tmp_path: Path) -> None:
    chosen = [await add_whole(api) for _ in range(3)][1:]

    await keeper('export', str(tmp_path / 'x'), '--dataset', chosen[0], '--dataset', chosen[1])
    await keeper('import', str(tmp_path / 'x'), on=keeper.other)

    counts = keeper.counts(keeper.other)
    assert (counts['datasets'], counts['config'], counts['tasks'], counts['users']) == (2, 2, 12, 0)


async def test_a_file_that_is_there_is_not_written_over(keeper: Keeper, tmp_path: Path) -> None:
    (tmp_path / 'x').write_text('dear')

    said = await keeper('export', str(tmp_path / 'x'), code=5)

    assert said.err == f'iceprod-tasks: {tmp_path / "x"} is there already\n'
    assert (tmp_path / 'x').read_text() == 'dear'


async def test_an_unknown_dataset_is_not_found_and_leaves_no_file(keeper: Keeper, tmp_path: Path) -> None:
    said = await keeper('export', str(tmp_path / 'x'), '--dataset', 'none', code=3)

    assert said.err == 'iceprod-tasks: there is no dataset none\n'
    assert names(tmp_path) == []


async def test_what_is_there_already_is_a_conflict_unless_it_is_merged(
    api: Api, keeper: Keeper, tmp_path: Path
) -> None:
    await fill(api)
    await keeper('export', str(tmp_path / 'x'))
    before = keeper.counts(keeper.own)

    refused = await keeper('import', str(tmp_path / 'x'), code=5)
    merged = await keeper('import', str(tmp_path / 'x'), '--merge')

    assert 'is there already, and not from this export; with --merge all' in refused.err
    assert merged.err.startswith('imported: 1 counters; there before: ')
    assert keeper.counts(keeper.own) == before


async def test_an_export_is_imported_once(api: Api, keeper: Keeper, tmp_path: Path) -> None:
    dataset_id = await fill(api)
    await keeper('export', str(tmp_path / 'x'))
    await keeper('import', str(tmp_path / 'x'), on=keeper.other)
    with pymongo.MongoClient(keeper._url) as client:
        client[keeper.other].datasets.delete_one({'dataset_id': dataset_id})

    again = await keeper('import', str(tmp_path / 'x'), on=keeper.other)

    assert again.err.startswith('this export was imported at ')
    assert again.err.endswith(' UTC; nothing to do\n')
    # What was deleted since stays so.
    assert keeper.counts(keeper.other)['datasets'] == keeper.counts(keeper.own)['datasets'] - 1


@pytest.mark.parametrize('packed', [False, True])
async def test_a_cut_file_is_refused_in_a_line(api: Api, keeper: Keeper, tmp_path: Path, packed: bool) -> None:
    await fill(api)
    await keeper('export', str(tmp_path / 'x.gz'))
    whole = (tmp_path / 'x.gz').read_bytes()
    whole = whole if packed else gzip.decompress(whole)
    (tmp_path / 'cut').write_bytes(whole[: len(whole) * 2 // 3])

    said = await keeper('import', str(tmp_path / 'cut'), on=keeper.other, code=1)

    assert said.err.startswith('iceprod-tasks: line ')
    assert said.err.count('\n') == 1
    assert not any(keeper.counts(keeper.other).values())


@pytest.mark.parametrize('command', ['export', 'import'])
async def test_what_is_wrong_with_a_file_is_said_in_a_line(keeper: Keeper, tmp_path: Path, command: str) -> None:
    said = await keeper(command, str(tmp_path / 'no' / 'such' / 'folder'), code=1)

    assert said.err.startswith(f'iceprod-tasks: {tmp_path}')
    assert said.err.endswith(': No such file or directory\n')


@pytest.mark.parametrize('command', ['export', 'import'])
async def test_a_database_that_is_away_is_unreachable(api: Api, keeper: Keeper, tmp_path: Path, command: str) -> None:
    await keeper('export', str(tmp_path / 'x'))
    file = str(tmp_path / ('x' if command == 'import' else 'y'))

    said = await keeper(command, file, '--mongodb-url', 'mongodb://127.0.0.1:9/?timeoutMS=300', code=7)

    assert said.err == 'iceprod-tasks: The database does not answer; repeat the same request\n'


async def test_what_was_imported_is_said_when_it_ends_early(
    api: Api, keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(api)
    await keeper('export', str(tmp_path / 'x'))
    with pymongo.MongoClient(keeper._url) as client:
        job = client[keeper.own].jobs.find_one({'tasks_total': {'$gt': 0}}) or {}
        place = {name: job[name] for name in ('dataset_id', 'job_index', 'tasks_total')}
        client[keeper.other].jobs.insert_one({**place, 'job_id': 'another'})
        await keeper('import', str(tmp_path / 'x'), on=keeper.other, code=5)

        said = await keeper('import', str(tmp_path / 'x'), '--merge', on=keeper.other, code=5)

    assert 'cannot be stored: another one has its place' in said.err
    assert f'{keeper.counts(keeper.own)["tasks"]} tasks' in said.err
    assert 'jobs' not in said.err.partition('there before')[0].replace('of jobs cannot', '')


async def test_how_far_it_is_is_shown_on_a_terminal(
    api: Api, keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(api)
    await keeper('export', str(tmp_path / 'x'))
    console = exports.Console
    monkeypatch.setattr(exports, 'Console', lambda **given: console(**given, force_terminal=True))

    said = await keeper('import', str(tmp_path / 'x'), on=keeper.other)

    total = sum(keeper.counts(keeper.own).values())
    assert f'{total}/{total}' in said.err
    assert 'checked' in said.err


def ended(words: tuple[str, ...], environment: dict[str, str], seconds: float | None) -> int:
    """Run a command in a process of its own, and kill it -9 after a time; how it ended."""
    kept = {name: os.environ[name] for name in ('PATH', 'HOME', 'LANG') if name in os.environ}
    with subprocess.Popen(
        [*COMMAND, *words], env={**kept, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        if seconds is not None:
            time.sleep(seconds)
            process.kill()
        _, said = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), said
    return process.returncode


async def large(api: Api) -> None:
    """Enough for a command to take a second or so."""
    await fill(api)
    task = await api.database.tasks.find_one({}, {'_id': False}) or {}
    for part in range(6):
        many = [{**task, 'task_id': f't{part}x{number}', 'claims': [], 'epoch': 0} for number in range(2000)]
        await api.database.tasks.insert_many(many)
    await api.database.logs.insert_many([{'log_id': f'l{number}', 'data': 'x' * 500_000} for number in range(40)])


@pytest.mark.parametrize('name', ['x.ndjson', 'x.ndjson.gz'])
async def test_killed_at_any_moment_and_repeated_all_is_there_once(
    api: Api, keeper: Keeper, tmp_path: Path, name: str
) -> None:
    await large(api)
    chance = random.Random(name)
    path = tmp_path / name
    kills = 0
    for command, database in (('export', keeper.own), ('import', keeper.other)):
        for attempt in range(5):
            # Python needs most of a second to get there.
            seconds = None if attempt == 4 else chance.uniform(0.5, 2.0)
            code = await asyncio.to_thread(ended, (command, str(path)), keeper.environment(database), seconds)
            kills += code != 0
            # An export that is whole is not made again.
            if code == 0 or (command == 'export' and path.exists()):
                break

    assert kills >= 2
    assert keeper.counts(keeper.other) == keeper.counts(keeper.own)
    content = gzip.decompress(path.read_bytes()) if name.endswith('.gz') else path.read_bytes()
    ids = [json.loads(line)['document']['_id'] for line in io.BytesIO(content).readlines()[1:-1]]
    assert len(ids) == len({json.dumps(each) for each in ids}) == sum(keeper.counts(keeper.own).values())
    assert names(tmp_path) == [name]


EXAMPLE = {
    'version': 1, 'description': 'an example', 'jobs': 2,
    'tasks': [{'name': 'gen', 'command': 'true'}, {'name': 'sim', 'command': 'true', 'depends': ['gen']}],
}  # fmt: skip


def test_the_private_mongod_is_used_whether_a_service_runs_on_it_or_not(tmp_path: Path) -> None:
    other = tmp_path / 'other'
    other.mkdir()
    with Commands(tmp_path) as commands, Commands(other) as elsewhere:
        (tmp_path / 'example.json').write_text(json.dumps(EXAMPLE))
        assert 'there is no database in ' in commands.run('export', 'none', code=1)
        service = commands.serve()
        commands.environment['ICEPROD_TASKS_TOKEN'] = commands.token('user', 'users')
        dataset = commands.run('submit', 'example.json').strip()
        commands.run('export', 'served.ndjson')
        assert 'is there already, and not from this export' in commands.run('import', 'served.ndjson', code=5)
        service.kill()
        service.wait()
        commands.run('export', 'alone.ndjson.gz', '--dataset', dataset)

        elsewhere.run('import', str(tmp_path / 'alone.ndjson.gz'))

        elsewhere.serve()
        elsewhere.environment['ICEPROD_TASKS_TOKEN'] = elsewhere.token('admin')
        pilot = elsewhere.token('pilot')
        elsewhere.run('pilot', '--token', pilot, '--until-empty', '--poll-seconds', '1')
        status = json.loads(elsewhere.run('status', '--wait', '--json', dataset))
        assert status['tasks'] == {'gen': {'complete': 2}, 'sim': {'complete': 2}}
