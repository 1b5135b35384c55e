"""A small world in which every id has an owner, and those who ask in it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from iceprod_tasks.domain.datasets import access_record, new_dataset
from iceprod_tasks.domain.jobs import new_job
from iceprod_tasks.domain.tasks import new_task
from tests.conftest import Api

PLACES = ('ours', 'theirs', 'nowhere')
"""Whose the things are that are asked for; nowhere is what does not exist."""

CLAIM_IDS = {'ours': '1' * 32, 'theirs': '2' * 32, 'nowhere': '3' * 32}
OWNERS = {'ours': 'ada', 'theirs': 'bob'}
HOLDERS = {'ours': 'holder', 'theirs': 'stranger'}

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_KINDS = ('datasets', 'auths', 'jobs', 'tasks', 'pilots', 'files', 'messages', 'logs', 'task_stats', 'deletions')


@dataclass(frozen=True)
class Asker:
    """Somebody with a token, and what they may do where.

    Args:
        words: who that is.
        name: the token's subject.
        roles: of the token.
        reads: places whose dataset they may read as a user.
        writes: likewise.
        holds: places whose task they have claimed as a pilot.
        groups: of the token.
    """

    words: str
    name: str
    roles: tuple[str, ...]
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    groups: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        return self.words

    def of(self, api: Api) -> Api:
        """The service, asked by them."""
        return api.with_token(self.name, self.roles, self.groups)


OURS: tuple[str, ...] = ('ours',)
THEIRS: tuple[str, ...] = ('theirs',)
NOBODY = Asker('nobody', '', ())

ASKERS = (
    Asker('an admin', 'root', ('admin',)),
    Asker('a system', 'machine', ('system',)),
    Asker('an owner', 'ada', ('user',), reads=OURS, writes=OURS),
    Asker('a reader', 'rea', ('user',), reads=OURS),
    Asker('a writer by group', 'wri', ('user',), reads=OURS, writes=OURS, groups=('simprod',)),
    Asker('a user who is a stranger', 'bob', ('user',), reads=THEIRS, writes=THEIRS),
    Asker('a user whose name a pilot has', 'holder', ('user',)),
    Asker('the pilot that holds the task', 'holder', ('pilot',), holds=OURS),
    Asker('another pilot', 'stranger', ('pilot',), holds=THEIRS),
    Asker('a pilot that is called like an owner', 'ada', ('pilot',)),
    Asker('a stranger as user and holder as pilot', 'holder', ('user', 'pilot'), holds=OURS),
    Asker('a reader as user and another pilot', 'rea', ('pilot', 'user'), reads=OURS),
    Asker('an admin who is a pilot too', 'root', ('admin', 'pilot')),
    Asker('somebody without a role', 'ada', ()),
)


def ids(place: str) -> dict[str, str]:
    """What stands in paths: the id of each thing of a place, by the name of the path's part."""
    kinds = ('dataset', 'task', 'job', 'pilot', 'grid', 'log', 'task_stat')
    return {f'{kind}_id': f'{kind}_{place}' for kind in kinds} | {'status': 'waiting', 'action': 'suspend'}


def said(place: str) -> dict[str, Any]:
    """What bodies say where their schema has room for it."""
    known = ids(place)
    return {
        'claim_id': CLAIM_IDS[place], 'task_id': known['task_id'], 'dataset_id': known['dataset_id'], 'data': 'x',
        'host': 'somewhere', 'epoch': 1, 'pieces': [{'stream': 'stdout', 'offset': 0, 'data': 'aaaa'}],
        'cluster': 'local', 'results': [{'group': 0, 'part': 0, 'nodes': ['n1']}], 'drain': True,
        'mtype': 'silent', 'text': 'x', 'total': 2,
        'reports': [{'task_id': known['task_id'], 'action': 'complete', 'claim_id': CLAIM_IDS[place]}],
    }  # fmt: skip


async def settle(api: Api) -> None:
    """Put the world there, and nothing else."""
    there = [_documents(place, owner) for place, owner in OWNERS.items()]
    await asyncio.gather(*(_settle_kind(api, kind, [each[kind] for each in there if kind in each]) for kind in _KINDS))


async def _settle_kind(api: Api, kind: str, documents: list[dict[str, Any]]) -> None:
    await api.database[kind].delete_many({})
    if documents:
        await api.database[kind].insert_many(documents)


async def dump(api: Api) -> dict[str, list[Mapping[str, Any]]]:
    """All documents of the world."""
    return {kind: [each async for each in api.database[kind].find({}, sort=[('_id', 1)])] for kind in _KINDS}


def _documents(place: str, owner: str) -> dict[str, dict[str, Any]]:
    known = ids(place)
    dataset_id, task_id = known['dataset_id'], known['task_id']
    sizes = {'jobs_submitted': 1, 'tasks_submitted': 1, 'tasks_per_job': 1, 'description': place, 'group': 'simprod'}
    access = access_record(dataset_id, owner, 'simprod')
    if place == 'ours':
        access['read_users'] = [owner, 'rea']
    groups = ['admin', 'simprod'] if place == 'ours' else ['admin']
    task = {
        'dataset_id': dataset_id, 'job_id': known['job_id'], 'job_index': 0, 'task_index': 0, 'name': 'gen',
        'depends': [], 'requirements': {},
    }  # fmt: skip
    claim = {
        'status': 'processing', 'claim_id': CLAIM_IDS[place], 'instance_id': CLAIM_IDS[place],
        'claims': [CLAIM_IDS[place]], 'epoch': 1, 'lease_seconds': 60.0, 'claimed_by': HOLDERS[place],
    }  # fmt: skip
    message = {
        'message_id': place, 'task_id': task_id, 'dataset_id': dataset_id, 'when': _NOW, 'mtype': 'error',
        'action': 'reset',
    }  # fmt: skip
    log = {'log_id': known['log_id'], 'name': 'log', 'data': place, 'timestamp': _NOW}
    stat = {'task_stat_id': known['task_stat_id'], 'create_date': _NOW, 'stats': {}}
    pilot = {'pilot_id': known['pilot_id'], 'registered_by': HOLDERS[place], 'tasks': [], 'last_update': _NOW}
    return {
        'datasets': new_dataset(sizes, dataset_id=dataset_id, number=len(place), owner=owner, now=_NOW),
        'auths': access | {'read_groups': groups, 'write_groups': groups},
        'jobs': new_job(dataset_id, 0, 1, _NOW) | {'job_id': known['job_id']},
        'tasks': new_task(task, task_id, _NOW, managed=True) | claim,
        'logs': {**log, 'dataset_id': dataset_id, 'task_id': task_id},
        'task_stats': {**stat, 'dataset_id': dataset_id, 'task_id': task_id},
        'messages': {**message, 'reason': place},
        'pilots': pilot,
    }
