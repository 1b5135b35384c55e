"""What is attacked: a service in a process of its own, things of several people in it, and a canary that works on."""

import http.client
import json
import re
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import bson
import pymongo

from tests.attacks.case import Case
from tests.attacks.judge import lacking_headers
from tests.attacks.people import token_of
from tests.attacks.wire import Answer, exchange
from tests.attacks.writes import Writes
from tests.conftest import SECRET
from tests.dialects.drove import bodies
from tests.journeys.commands import Commands

CANARY = 'canary'
_STOCK = 40
"""Canary tasks that are queued at once."""
_DATASETS = {'dataset': ('alice', 'simprod'), 'own': ('mallory', 'm'), 'play': ('root', 'p'), 'doomed': ('root', 'p')}
_KEPT_APART = {'idempotency_keys', 'leaders'}
"""Collections that a refused request may write to, or that are written to by themselves."""


class Stage:
    """A live service with something to lose.

    Args:
        commands: starts the service; ends it with the test run.
        mongodb_url: of the database, which is also looked at directly.
        name: of the database.
    """

    def __init__(self, commands: Commands, mongodb_url: str, name: str) -> None:
        self._commands = commands
        commands.environment |= {'MONGODB_URL': mongodb_url, 'MONGODB_DATABASE': name, 'TOKEN_SECRET': SECRET}
        self.database = pymongo.MongoClient[dict[str, Any]](mongodb_url)[name]
        self.service = self._serve()
        self.known: dict[str, str] = {'unknown': uuid4().hex, 'held_claim': uuid4().hex}
        self._connection = http.client.HTTPConnection('127.0.0.1', commands.port, timeout=20)
        self._stocked: list[str] = []
        self._log_read = 0
        self._working_on: tuple[str, str] | None = None
        self._steps: list[str] = []
        self._set_up()
        self._protected = self._precious()
        self.writes = Writes(self.database)
        self._seen = self.writes.newest()
        self.headers_everywhere = not lacking_headers(self.send(Case('', ()))[0])

    def _serve(self) -> 'subprocess.Popen[str]':
        return self._commands.serve('--no-scheduler')

    @property
    def secrets(self) -> list[str]:
        """What no answer and no line of the log may have in it."""
        return [
            SECRET,
            self.known['held_claim'],
            *(self.known[name] for name in self.known if name.startswith('token')),
        ]

    # Asking

    def ask(self, sender: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """A friendly request on a connection that is kept open."""
        headers = {'Authorization': f'Bearer {token_of(sender)}'} if token_of(sender) else {}
        if body is not None:
            headers['Content-Type'] = 'application/json'
        self._connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self._connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None

    def made(self, sender: str, method: str, path: str, body: Any) -> str:
        """The id of what a friendly request has made."""
        status, said = self.ask(sender, method, path, body)
        assert status in (200, 201), (method, path, status, said)
        return str(said.get('result', said.get('task_id', ''))).rpartition('/')[2]

    def send(self, case: Case, known: Mapping[str, str] | None = None) -> list[Answer]:
        """Send the request of a case.

        Args:
            case: it.
            known: what its placeholders stand for, unless what they stand for in this stage.
        """
        request = case.request(known or self.known, token_of(case.sender))
        return exchange(
            self._commands.port, request, head_only=case.method == 'HEAD', wanted=case.answers,
            patience_seconds=case.patience_seconds,
        )  # fmt: skip

    def connect(self) -> socket.socket:
        """A connection of its own, for whatever is no request."""
        return socket.create_connection(('127.0.0.1', self._commands.port), timeout=20)

    def without_anything(self) -> dict[str, str]:
        """Ids as they are here, but of nothing that exists; mallory's own things stay."""
        kept = ('unknown', 'own')
        return {name: value if name.startswith(kept) else uuid4().hex for name, value in self.known.items()}

    # Things to lose

    def _set_up(self) -> None:
        sizes = {'jobs_submitted': 1, 'tasks_submitted': 2, 'tasks_per_job': 2}
        for name, (sender, group) in _DATASETS.items():
            new = {'description': 'precious', 'group': group, **sizes}
            self.known[name] = self.made(sender, 'POST', '/datasets', new)
        # Datasets are open to all users as clients know them; hers is not.
        self.database.auths.update_one(
            {'dataset_id': self.known['dataset']},
            {'$set': {'read_groups': ['admin', 'simprod'], 'read_users': ['alice', 'bob']}},
        )
        for name in ('dataset', 'own', 'play'):
            self._fill(name, '' if name == 'dataset' else f'{name}_')
        self._hold()
        work = bodies.spec(sourceAppName='PRECIOUS', taskId='T1', env={'SECRET': 'hidden-value'})
        assert self.ask('root', 'POST', '/apis/v1/tasks/operations', bodies.create(work, timeout='1d'))[0] == 200
        pilot = {'queue_host': 'here', 'queue_version': '1', 'resources': {}, 'host': 'node1'}
        self.known['pilot'] = self.made('holder', 'POST', '/pilots', pilot)
        self.known['play_pilot'] = self.made('root', 'POST', '/pilots', pilot)
        for name in ('grid', 'play_grid'):
            self.known[name] = self.made('root', 'POST', '/grids', {'host': 'h', 'queues': {}, 'version': '1'})
        for person in ('root', 'alice', 'mallory', 'holder', 'rival'):
            self.known[f'token_{person}'] = str(token_of(person))
        self._restock()

    def _fill(self, dataset: str, prefix: str) -> None:
        """A job, a suspended task, a file, a log, a measurement."""
        known, dataset_id = self.known, self.known[dataset]
        known[f'{prefix}job'] = self.made('root', 'POST', '/jobs', {'dataset_id': dataset_id, 'job_index': 0})
        known[f'{prefix}task'] = self._task(dataset_id, known[f'{prefix}job'], 'suspended')
        task_id = known[f'{prefix}task']
        of_task = {'dataset_id': dataset_id, 'task_id': task_id}
        known[f'{prefix}log'] = self.made('root', 'POST', '/logs', {**of_task, 'data': 'precious', 'name': 'stdlog'})
        known[f'{prefix}stat'] = self.made(
            'root', 'POST', f'/tasks/{task_id}/task_stats', {'dataset_id': dataset_id, 'precious': 1}
        )
        file = {'filename': 'precious.txt', 'movement': 'input'}
        assert self.ask('root', 'POST', f'/datasets/{dataset_id}/files/{task_id}', file)[0] == 201

    def _task(self, dataset_id: str, job_id: str, status: str) -> str:
        task = {
            'dataset_id': dataset_id, 'job_id': job_id, 'task_index': 0, 'job_index': 0, 'name': 'precious',
            'depends': [], 'requirements': {'cpu': 1}, 'status': status,
        }  # fmt: skip
        return self.made('root', 'POST', '/tasks', task)

    def _hold(self) -> None:
        """A task of alice's in the hands of a pilot; its claim id is what attackers are after."""
        held = self._task(self.known['dataset'], self.known['job'], 'queued')
        claim = {'claim_id': self.known['held_claim'], 'lease_seconds': 3600}
        self.known['held'] = self.made('holder', 'POST', '/task_actions/process', claim)
        assert self.known['held'] == held

    def _restock(self) -> None:
        """Queue canary tasks: one is made by the service, the others are like it."""
        for task_id in self._stocked:
            self.database.tasks.delete_one({'task_id': task_id})
        first = self._task(CANARY, CANARY, 'queued')
        pattern = self.database.tasks.find_one({'task_id': first}, {'_id': 0}) or {}
        self._stocked = [first, *(uuid4().hex for _ in range(_STOCK))]
        self.database.tasks.insert_many({**pattern, 'task_id': task_id} for task_id in self._stocked[1:])

    # Has anything suffered?

    def suffered(self, *, refused: bool) -> list[str]:
        """What is not as it should be after a case, beside its answer; it is mended for the next one.

        Args:
            refused: whether nothing at all may have been written.
        """
        if self.service.poll() is not None:
            self.service = self._serve()
            self._connection.close()
            return ['the service has ended']
        faults = [*self._written(refused), *self._said_in_log(), *self._canary()]
        self.settle()
        return faults

    def settle(self) -> None:
        """Take as given what has been written so far."""
        self._seen = self.writes.newest()

    def _written(self, refused: bool) -> list[str]:
        written = self.writes.since(self._seen)
        faults = []
        if refused and (changed := sorted({name for name, _ in written} - _KEPT_APART)):
            faults.append(f'a request without success has changed {changed}')
        for collection, _id in written & set(self._protected):
            whole = bson.decode(self._protected[collection, _id])
            self.database[collection].replace_one({'_id': _id}, whole, upsert=True)
            faults.append(f'changed by somebody who must not: {collection} {_id}')
        return faults

    def _canary(self) -> list[str]:
        """A pilot claims, works and reports as if nothing had happened: a step after each case."""
        try:
            if self._working_on is None:
                return self._claim()
            (claim_id, task_id), action = self._working_on, self._steps.pop(0)
            found = self.ask('canary', 'POST', f'/tasks/{task_id}/task_actions/{action}', {'claim_id': claim_id})
            if not self._steps:
                self._working_on = None
            return [] if found[0] == 200 else [f'a canary cannot {action}: {found}']
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            return [f'a canary cannot work: {error!r}']

    def _claim(self) -> list[str]:
        claim_id = uuid4().hex
        wanted = {'claim_id': claim_id, 'query_params': {'dataset_id': CANARY}}
        status, task = self.ask('canary', 'POST', '/task_actions/process', wanted)
        if status == 404:
            self._restock()
            return self._claim()
        if status != 200:
            return [f'a canary cannot claim: {status}']
        self._working_on, self._steps = (claim_id, task['task_id']), ['heartbeat', 'complete']
        return []

    def _precious(self) -> dict[tuple[str, Any], bytes]:
        """Every document but canaries, what may be played with, and what counts."""
        played = {CANARY, *(self.known[name] for name in ('play', 'doomed', 'play_pilot', 'play_grid'))}
        names = (*('tasks', 'jobs', 'datasets', 'config', 'auths'), *('files', 'logs', 'task_stats', 'pilots', 'grids'))
        return {
            (name, document['_id']): bson.encode(document)
            for name in names
            for document in self.database[name].find()
            if played.isdisjoint(document.get(key) for key in ('dataset_id', 'pilot_id', 'grid_id'))
        }

    def _said_in_log(self) -> list[str]:
        with Path(self._commands.folder / 'serve.log').open('rb') as file:
            file.seek(self._log_read)
            said = file.read().decode(errors='replace')
            self._log_read = file.tell()
        faults = [f'in the log: {text[:9]}...' for text in self.secrets if text in said]
        if re.search(r'^\W*FORGED', said, re.M):
            faults.append('a forged line in the log')
        if found := re.search(r'querysecret|Traceback', said):
            faults.append(f'in the log: {found[0]}')
        return faults

    def close(self) -> None:
        """End the connections; the database goes with the service."""
        self._connection.close()
        self.database.client.drop_database(self.database.name)
        self.database.client.close()
