"""Results of nodes: a pilot that runs a task on nodes says how it went on each, and people read it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from iceprod_tasks.actions.outputs import Attempt, dataset_of
from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.errors import NotFound, TooLarge
from iceprod_tasks.storage.client import utc_now

KEPT_BYTES = 8 * 2**20
"""All results of an attempt together: the names of nodes, and what they printed."""

_RESULT = ('exit_code', 'timed_out', 'why', 'stdout', 'stderr', 'stdout_bytes', 'stderr_bytes')


async def add_node_results(
    service: Service, caller: Caller, attempt: Attempt, results: Sequence[Mapping[str, Any]]
) -> None:
    """Keep how the command of an attempt ended on some nodes; those of earlier attempts go.

    Args:
        service: the service.
        caller: who sends them.
        attempt: whose results they are.
        results: each with `nodes` of equal results, its `group` and which `part` of that group it is; a group's first
            part says how it went.

    Raises:
        TaskGone: there is no such task.
        StaleClaim: it is not the last claim of the task.
        NotYours: to a pilot, the same, and where the claim is another's.
        TooLarge: the attempt would have more than `KEPT_BYTES`.
    """
    dataset_id = await dataset_of(service, caller, attempt)
    task_id, epoch, store = attempt.task_id, attempt.epoch, service.store.node_results
    documents = [
        {
            **result,
            'node_result_id': f'{task_id}:{epoch}:{result["group"]}:{result["part"]}',
            'task_id': task_id,
            'dataset_id': dataset_id,
            'epoch': epoch,
            'bytes': _size(result),
            'updated': utc_now(),
        }
        for result in results
    ]
    if await store.used_bytes(task_id, epoch) + sum(each['bytes'] for each in documents) > KEPT_BYTES:
        raise TooLarge(f'the results of nodes are kept up to {KEPT_BYTES >> 20} MiB')
    await store.add(documents)
    await store.remove_earlier(task_id, epoch)


async def read_node_results(
    service: Service, task_id: str, dataset_id: str | None = None
) -> tuple[int, AsyncIterator[dict[str, Any]]]:
    """How the command of a task ended on nodes, in the last attempt that says so.

    Args:
        service: the service.
        task_id: of the task.
        dataset_id: only if the task belongs to this dataset.

    Returns:
        The epoch of that attempt, 0 when there is none, and its groups: the nodes with equal results, and how it went.

    Raises:
        NotFound: there is no such task.
    """
    if await service.store.tasks.get(task_id, dataset_id, ('task_id',)) is None:
        raise NotFound('Task not found')
    epoch = await service.store.node_results.newest_epoch(task_id)
    return epoch, _groups(service.store.node_results.of(task_id, epoch))


async def each_node(groups: AsyncIterator[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    """The results of groups, node by node."""
    async for group in groups:
        for node in group['nodes']:
            yield {'node': node, **{name: value for name, value in group.items() if name != 'nodes'}}


async def _groups(parts: AsyncIterator[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    number: int | None = None
    group: dict[str, Any] = {}
    async for part in parts:
        if part['group'] != number:
            if group:
                yield group
            number, group = part['group'], {'nodes': [], **{name: part.get(name) for name in _RESULT}}
        group['nodes'] += part['nodes']
    if group:
        yield group


def _size(result: Mapping[str, Any]) -> int:
    texts = (*result['nodes'], result.get('why', ''), result.get('stdout', ''), result.get('stderr', ''))
    return sum(len(text) + 16 for text in texts)
