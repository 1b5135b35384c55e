"""Every index of the service, as data; made at start, online, never dropped."""

from collections.abc import Mapping
from typing import Any

from pymongo import IndexModel

from iceprod_tasks.storage.client import ASCENDING, DESCENDING

_UP, _DOWN = ASCENDING, DESCENDING

UNFINISHED_UNSEEN = ('idle', 'processing', 'reset')
"""Unfinished statuses that the indexes of waiting and queued tasks do not cover."""

INDEXES: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    'tasks': {
        'task_id': {'keys': [('task_id', _UP)], 'unique': True},
        # A claim id belongs to one task for ever. Partial on epoch and not on claim_id: a closed claim leaves
        # claim_id empty, and a late retry of it must still find its task here.
        'claims': {'keys': [('claims', _UP)], 'unique': True, 'partialFilterExpression': {'epoch': {'$gt': 0}}},
        # The claim: the best of each signature, by a merge sort over the signatures that fit. `status` leads although
        # it is always the same: without it no skip scan over the signatures is possible. `managed` at the end lets
        # the scheduler count its own tasks without reading documents.
        'queued': {
            'keys': [('status', _UP), ('signature', _UP), ('priority', _DOWN), ('_id', _UP), ('managed', _UP)],
            'partialFilterExpression': {'status': 'queued'},
        },
        # Queueing. `managed` comes early, so that the tasks of old clients cost the scheduler nothing.
        'waiting': {
            'keys': [('status', _UP), ('managed', _UP), ('signature', _UP), ('priority', _DOWN), ('_id', _UP)],
            'partialFilterExpression': {'status': 'waiting'},
        },
        # What an empty poll asks: is anything left that would fit? Without it each poll reads every such task.
        'unfinished': {
            'keys': [('status', _UP), ('signature', _UP)],
            'partialFilterExpression': {'status': {'$in': list(UNFINISHED_UNSEEN)}},
        },
        'lease_until': {'keys': [('lease_until', _UP)], 'partialFilterExpression': {'status': 'processing'}},
        'dataset_status': {'keys': [('dataset_id', _UP), ('status', _UP), ('_id', _UP)]},
        'dataset_job_name': {'keys': [('dataset_id', _UP), ('job_index', _UP), ('name', _UP), ('_id', _UP)]},
        'job_id': {'keys': [('job_id', _UP)]},
        'depends': {'keys': [('depends', _UP)], 'partialFilterExpression': {'status': 'idle'}},
        'status': {'keys': [('status', _UP), ('_id', _UP)]},
    },
    'files': {
        'file_id': {'keys': [('file_id', _UP)], 'unique': True},
        'task': {'keys': [('dataset_id', _UP), ('task_id', _UP), ('_id', _UP)]},
    },
    'messages': {
        'message_id': {'keys': [('message_id', _UP)], 'unique': True},
        'task': {'keys': [('task_id', _UP), ('when', _UP)]},
    },
    'datasets': {
        'dataset_id': {'keys': [('dataset_id', _UP)], 'unique': True},
        'status': {'keys': [('status', _UP), ('_id', _UP)]},
        # Who depends on a dataset, and which datasets depend on any.
        'depends_on': {'keys': [('depends_on', _UP), ('status', _UP)]},
    },
    'jobs': {
        'job_id': {'keys': [('job_id', _UP)], 'unique': True},
        'dataset': {'keys': [('dataset_id', _UP), ('job_index', _UP)]},
        'dataset_status': {'keys': [('dataset_id', _UP), ('status', _UP), ('_id', _UP)]},
    },
    'config': {'dataset_id': {'keys': [('dataset_id', _UP)], 'unique': True}},
    'auths': {
        'dataset_id': {'keys': [('dataset_id', _UP)], 'unique': True},
        # Listings ask which datasets a caller may read.
        'read_users': {'keys': [('read_users', _UP)]},
        'read_groups': {'keys': [('read_groups', _UP)]},
    },
}


def models(collection: str) -> list[IndexModel]:
    """The driver's form of a collection's indexes."""
    return [
        IndexModel(name=name, **{key: value for key, value in index.items() if key != 'keys'}, keys=index['keys'])
        for name, index in INDEXES[collection].items()
    ]
