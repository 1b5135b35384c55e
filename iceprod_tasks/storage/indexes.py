"""Every index of the service, as data; made at start, online, never dropped."""

from collections.abc import Mapping
from typing import Any

from pymongo import IndexModel

from iceprod_tasks.domain.datasets import ENDED
from iceprod_tasks.storage.client import ASCENDING, DESCENDING

_UP, _DOWN = ASCENDING, DESCENDING

BEST_FIRST = (('priority', _DOWN), ('_id', _UP))
"""The order in which tasks are queued and claimed; of equal priorities the oldest goes first."""

SCANS_MERGED = 200
"""With more scans of an index in one query, MongoDB gives up the merge sort and sorts everything that matches."""

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
        # The same where nothing of the scheduler's is left that could be released.
        'idle_of_clients': {
            'keys': [('status', _UP), ('managed', _UP), ('signature', _UP)],
            'partialFilterExpression': {'status': 'idle', 'managed': False},
        },
        # Which machines have queued tasks failed on?
        'failed_on': {
            'keys': [('status', _UP), ('failed_on', _UP)],
            'partialFilterExpression': {'status': 'queued', 'failed_on': {'$gt': ''}},
        },
        'lease_until': {'keys': [('lease_until', _UP)], 'partialFilterExpression': {'status': 'processing'}},
        # What a pilot may read: the datasets whose tasks it holds.
        'claimed_by': {
            'keys': [('claimed_by', _UP), ('dataset_id', _UP)],
            'partialFilterExpression': {'status': 'processing'},
        },
        # The same for tasks without a lease, those of old pilots.
        'unleased': {
            'keys': [('status', _UP), ('_id', _UP)],
            'partialFilterExpression': {'status': 'processing', 'lease_until': None},
        },
        # One task for each name that a client of another service has given it.
        'external': {
            'keys': [('external.system', _UP), ('external.app', _UP), ('external.id', _UP)],
            'unique': True,
            'partialFilterExpression': {'external.app': {'$exists': True}},
        },
        # Which of them wait for another claim, and which have ended for long.
        'named_by_status': {
            'keys': [('status', _UP), ('_id', _UP)],
            'partialFilterExpression': {'external.app': {'$exists': True}},
        },
        # What has happened to them.
        'named_by_update': {
            'keys': [('updated', _DOWN)],
            'partialFilterExpression': {'external.app': {'$exists': True}},
        },
        'stop': {'keys': [('stop.deadline', _UP)], 'partialFilterExpression': {'stop.deadline': {'$exists': True}}},
        'dataset_status': {'keys': [('dataset_id', _UP), ('status', _UP), ('_id', _UP)]},
        'dataset_job_name': {'keys': [('dataset_id', _UP), ('job_index', _UP), ('name', _UP), ('_id', _UP)]},
        'job_id': {'keys': [('job_id', _UP)]},
        'depends': {'keys': [('depends', _UP)], 'partialFilterExpression': {'status': 'idle'}},
        'status': {'keys': [('status', _UP), ('_id', _UP)]},
    },
    'files': {
        'file_id': {'keys': [('file_id', _UP)], 'unique': True},
        'task': {'keys': [('dataset_id', _UP), ('task_id', _UP), ('_id', _UP)]},
        'dataset': {'keys': [('dataset_id', _UP), ('_id', _UP)]},
    },
    'messages': {
        'message_id': {'keys': [('message_id', _UP)], 'unique': True},
        'task': {'keys': [('task_id', _UP), ('when', _UP)]},
        # Nothing but the end of a dataset asks for this.
        'dataset': {'keys': [('dataset_id', _UP), ('_id', _UP)]},
    },
    'datasets': {
        'dataset_id': {'keys': [('dataset_id', _UP)], 'unique': True},
        'status': {'keys': [('status', _UP), ('_id', _UP)]},
        # One dataset for all tasks of such a client's application.
        'external': {
            'keys': [('external.system', _UP), ('external.app', _UP)],
            'unique': True,
            'partialFilterExpression': {'external.app': {'$exists': True}},
        },
        'username': {'keys': [('username', _UP), ('_id', _UP)]},
        'group': {'keys': [('group', _UP), ('_id', _UP)]},
        # Deletions that were interrupted.
        'deleting': {
            'keys': [('deleting.until', _UP)],
            'partialFilterExpression': {'deleting.until': {'$exists': True}},
        },
        # Whose retention is over? One key for each retention that ended datasets have.
        'ended': {
            'keys': [('status', _UP), ('retention_days', _UP), ('status_changed', _UP)],
            'partialFilterExpression': {'status': {'$in': list(ENDED)}},
        },
        # Who depends on a dataset, and which datasets depend on any.
        'depends_on': {'keys': [('depends_on', _UP), ('status', _UP)]},
    },
    'jobs': {
        'job_id': {'keys': [('job_id', _UP)], 'unique': True},
        'dataset': {'keys': [('dataset_id', _UP), ('job_index', _UP)]},
        # One job a place of a dataset with a record: two programs that make jobs at once cannot make twins.
        'place': {
            'keys': [('dataset_id', _UP), ('job_index', _UP)],
            'unique': True,
            'partialFilterExpression': {'tasks_total': {'$gt': 0}},
        },
        'dataset_status': {'keys': [('dataset_id', _UP), ('status', _UP), ('_id', _UP)]},
    },
    'config': {'dataset_id': {'keys': [('dataset_id', _UP)], 'unique': True}},
    'auths': {
        'dataset_id': {'keys': [('dataset_id', _UP)], 'unique': True},
        # Listings ask which datasets a caller may read.
        'read_users': {'keys': [('read_users', _UP)]},
        'read_groups': {'keys': [('read_groups', _UP)]},
    },
    # A log can be megabytes long. So what a listing filters and sorts by stands in the index it runs on, and only logs
    # that are shown are read.
    'logs': {
        'log_id': {'keys': [('log_id', _UP)], 'unique': True},
        'task': {'keys': [('task_id', _UP), ('timestamp', _UP), ('_id', _UP), ('name', _UP), ('dataset_id', _UP)]},
        'dataset': {'keys': [('dataset_id', _UP), ('timestamp', _UP), ('_id', _UP), ('name', _UP)]},
        'name': {'keys': [('name', _UP), ('timestamp', _UP), ('_id', _UP)]},
        'timestamp': {'keys': [('timestamp', _UP), ('_id', _UP)]},
    },
    'task_stats': {
        'task_stat_id': {'keys': [('task_stat_id', _UP)], 'unique': True},
        'dataset': {'keys': [('dataset_id', _UP), ('task_id', _UP), ('create_date', _UP), ('_id', _UP)]},
    },
    # What is asked for stands in the index: only blocks that are shown are read.
    'outputs': {
        'output_id': {'keys': [('output_id', _UP)], 'unique': True},
        'task': {'keys': [('task_id', _UP), ('stream', _UP), ('epoch', _UP), ('start', _UP), ('end', _UP)]},
        'epoch': {'keys': [('task_id', _UP), ('epoch', _DOWN)]},
        'dataset': {'keys': [('dataset_id', _UP), ('_id', _UP)]},
        'updated': {'keys': [('updated', _UP)]},
    },
    'node_results': {
        'node_result_id': {'keys': [('node_result_id', _UP)], 'unique': True},
        'task': {'keys': [('task_id', _UP), ('epoch', _DOWN), ('group', _UP), ('part', _UP)]},
        'dataset': {'keys': [('dataset_id', _UP), ('_id', _UP)]},
    },
    'operations': {
        'operation_id': {'keys': [('operation_id', _UP)], 'unique': True},
        # One active operation a task.
        'task': {'keys': [('task_id', _UP)], 'unique': True, 'partialFilterExpression': {'active': True}},
        'active': {'keys': [('active', _UP), ('_id', _UP)], 'partialFilterExpression': {'active': True}},
        'deadline': {'keys': [('deadline', _UP)], 'partialFilterExpression': {'active': True}},
        'history': {
            'keys': [('external.system', _UP), ('external.app', _UP), ('external.id', _UP), ('accepted', _DOWN)],
        },
        'ended': {'keys': [('ended', _UP)], 'partialFilterExpression': {'active': False}},
    },
    'pilots': {
        'pilot_id': {'keys': [('pilot_id', _UP)], 'unique': True},
        'queue_host': {'keys': [('queue_host', _UP), ('_id', _UP)]},
        'host': {'keys': [('host', _UP), ('_id', _UP)]},
        'last_update': {'keys': [('last_update', _UP)]},
        'registered_by': {'keys': [('registered_by', _UP), ('_id', _UP)]},
    },
    'grids': {'grid_id': {'keys': [('grid_id', _UP)], 'unique': True}},
    'users': {'username': {'keys': [('username', _UP)], 'unique': True}},
    'groups': {'name': {'keys': [('name', _UP)], 'unique': True}},
    # Datasets that are gone, until nothing can come for them any more.
    'deletions': {
        'dataset_id': {'keys': [('dataset_id', _UP)], 'unique': True},
        'clear_after': {'keys': [('clear_after', _UP)]},
    },
    # A mark is of a process that reads counts; those of processes that are gone are removed.
    'marks': {'when': {'keys': [('when', _UP)], 'expireAfterSeconds': 86_400}},
    'accounts': {'name': {'keys': [('name', _UP)], 'unique': True}},
    'revocations': {
        'revoked': {'keys': [('revoked', _UP)]},
        # MongoDB removes each once its token is over.
        'expires': {'keys': [('expires', _UP)], 'expireAfterSeconds': 0},
    },
    # MongoDB removes each key once its time is over.
    'idempotency_keys': {'expires': {'keys': [('expires', _UP)], 'expireAfterSeconds': 0}},
}


def models(collection: str) -> list[IndexModel]:
    """The driver's form of a collection's indexes."""
    return [
        IndexModel(name=name, **{key: value for key, value in index.items() if key != 'keys'}, keys=index['keys'])
        for name, index in INDEXES[collection].items()
    ]
