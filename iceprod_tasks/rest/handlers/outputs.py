"""What commands print, while they run and after; and how they ended on each of their nodes."""

import base64
from typing import Any

from iceprod_tasks.actions.node_results import add_node_results, each_node, read_node_results
from iceprod_tasks.actions.outputs import LONGEST_WAIT_SECONDS, Attempt, Output, Wanted, append_output, read_output
from iceprod_tasks.domain.errors import InvalidRequest, NotFound
from iceprod_tasks.domain.outputs import KEPT_BYTES, STREAMS, Piece, whole_characters
from iceprod_tasks.rest.bodies import render
from iceprod_tasks.rest.handler import Handler
from iceprod_tasks.rest.routing import CLAIMANTS, DATASET, ID, PEOPLE_READ, TASK, TRACERS, Route, in_lane

STREAM = rf'(?P<stream>{ID})'
_LIMIT = 65536
_LONGEST_CHARACTER_BYTES = 4


class TasksActionsOutputHandler(Handler):
    """A pilot sends what a command prints."""

    async def post(self, task_id: str) -> None:
        """Keep some bytes of the streams; the same ones again change nothing.

        Args:
            task_id (str): the task id

        Body args (json):
            claim_id (str): of the claim; the last one of the task, which may have ended
            epoch (int): of the claim
            pieces (list): of each `stream`, `offset` of its first byte, and `data` in Base64

        Returns:
            dict: empty; 409 when another claim has come after this one
        """
        body = self.body('output')
        pieces = [(each['stream'], Piece(each['offset'], _bytes(each['data']))) for each in body['pieces']]
        await append_output(self.service, self.caller, _attempt(task_id, body), pieces)
        self.answer({})


class TasksActionsNodesHandler(Handler):
    """A pilot says how a command ended on nodes."""

    async def post(self, task_id: str) -> None:
        """Keep the results of some nodes; the same ones again change nothing.

        Args:
            task_id (str): the task id

        Body args (json):
            claim_id (str): of the claim; the last one of the task, which may have ended
            epoch (int): of the claim
            results (list): of each `group` of nodes with equal results and `part` of the group its `nodes`; in the
                first part `exit_code`, `timed_out`, `why`, the ends of `stdout` and `stderr`, and how long they were
                (`stdout_bytes`, `stderr_bytes`)

        Returns:
            dict: empty; 409 when another claim has come after this one
        """
        body = self.body('node_results')
        await add_node_results(self.service, self.caller, _attempt(task_id, body), body['results'])
        self.answer({})


class _Reading(Handler):
    """What reading of outputs and results has in common."""

    def _wanted(self, stream: str) -> Wanted:
        wait = self.integer('wait') or 0
        if not 0 <= wait <= LONGEST_WAIT_SECONDS:
            raise InvalidRequest(f'Bad argument "wait": must be from 0 to {LONGEST_WAIT_SECONDS:g}')
        limit = self.integer('limit')
        if limit is not None and not _LONGEST_CHARACTER_BYTES <= limit <= KEPT_BYTES:
            raise InvalidRequest(f'Bad argument "limit": must be from {_LONGEST_CHARACTER_BYTES} to {KEPT_BYTES}')
        return Wanted(stream, self.integer('offset') or 0, limit or _LIMIT, wait, self.integer('epoch'))

    async def _read(self, stream: str, task_id: str, dataset_id: str | None = None) -> None:
        if stream not in STREAMS:
            raise NotFound('a task prints on stdout and stderr')
        encoding = self.argument('encoding') or 'text'
        if encoding not in ('text', 'base64'):
            raise InvalidRequest('Bad argument "encoding": must be text or base64')
        found = await read_output(self.service, task_id, self._wanted(stream), dataset_id)
        data = found.piece.data if encoding == 'base64' else _without_beginnings(found)
        self.answer({
            'task_id': task_id,
            'stream': stream,
            'epoch': found.epoch,
            'offset': found.piece.start,
            'next_offset': found.piece.start + len(data),
            'first_offset': found.first,
            'size': found.size,
            'ended': found.ended,
            'data': base64.b64encode(data).decode() if encoding == 'base64' else data.decode(errors='replace'),
        })  # fmt: skip

    async def _read_nodes(self, task_id: str, dataset_id: str | None = None) -> None:
        raw = self.boolean('raw')
        epoch, groups = await read_node_results(self.service, task_id, dataset_id)
        about = render({'task_id': task_id, 'epoch': epoch})[:-1] + b','
        pieces = self.as_list('nodes', each_node(groups)) if raw else self.as_list('groups', groups)

        async def whole() -> Any:
            first = about
            async for piece in pieces:
                yield first + (piece[1:] if first else piece)
                first = b''

        await self.stream(whole())


class TasksOutputHandler(_Reading):
    """What the command of a task prints."""

    async def get(self, task_id: str, stream: str) -> None:
        """Read some of a stream.

        Params (optional):
            offset: of the first byte, 0 unless told; counted from the end when negative
            limit: bytes at the most, 65536 unless told
            wait: seconds to wait, at most 60, where there is nothing to read yet
            epoch: of the attempt; that of the one that runs, or the last one that has printed something, unless told
            encoding: `text`, which is UTF-8 with a mark for what is none, or `base64`

        Args:
            task_id (str): the task id
            stream (str): stdout or stderr

        Returns:
            dict: {task_id, stream, epoch, offset, next_offset, first_offset, size, ended, data}: where `data` begins,
                where the next begins, the first byte that is kept, how much was printed so far, and whether the
                attempt is over. `offset` is later than asked for where that is not kept any more
        """
        await self._read(stream, task_id)


class DatasetTasksOutputHandler(_Reading):
    """What the command of a task of a dataset prints."""

    async def get(self, dataset_id: str, task_id: str, stream: str) -> None:
        """Read some of a stream.

        Params (optional):
            offset, limit, wait, epoch, encoding: as for all tasks

        Args:
            dataset_id (str): the dataset id
            task_id (str): the task id
            stream (str): stdout or stderr

        Returns:
            dict: as for all tasks
        """
        await self._read(stream, task_id, dataset_id)


class TasksNodesHandler(_Reading):
    """How the command of a task ended on nodes."""

    async def get(self, task_id: str) -> None:
        """Read the results, of nodes with equal ones together.

        Params (optional):
            raw: true for a result a node

        Args:
            task_id (str): the task id

        Returns:
            dict: {task_id, epoch, groups}, each group with `nodes`, `exit_code`, `timed_out`, `why`, `stdout`,
                `stderr`, and `stdout_bytes` and `stderr_bytes`, how long these were; or `nodes` in place of `groups`,
                each with `node` and the same
        """
        await self._read_nodes(task_id)


class DatasetTasksNodesHandler(_Reading):
    """How the command of a task of a dataset ended on nodes."""

    async def get(self, dataset_id: str, task_id: str) -> None:
        """Read the results, of nodes with equal ones together.

        Params (optional):
            raw: true for a result a node

        Args:
            dataset_id (str): the dataset id
            task_id (str): the task id

        Returns:
            dict: as for all tasks
        """
        await self._read_nodes(task_id, dataset_id)


def _without_beginnings(found: Output) -> bytes:
    """The bytes that are read, without a character at their end of which more may come."""
    is_all = found.ended and found.piece.end >= found.size
    return found.piece.data if is_all else whole_characters(found.piece.data)


def _attempt(task_id: str, body: dict[str, Any]) -> Attempt:
    return Attempt(task_id, body['claim_id'], body['epoch'])


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise InvalidRequest('data is not Base64') from error


ROUTES = (
    Route(rf'/tasks/{TASK}/task_actions/output', TasksActionsOutputHandler, {'post': in_lane('report', CLAIMANTS)}),
    Route(
        rf'/tasks/{TASK}/task_actions/nodes',
        TasksActionsNodesHandler,
        {'post': in_lane('report', CLAIMANTS)},
        bulk=True,
    ),
    Route(rf'/tasks/{TASK}/output/{STREAM}', TasksOutputHandler, {'get': in_lane('follow', TRACERS)}),
    Route(
        rf'/datasets/{DATASET}/tasks/{TASK}/output/{STREAM}',
        DatasetTasksOutputHandler,
        {'get': in_lane('follow', PEOPLE_READ)},
    ),
    Route(rf'/tasks/{TASK}/nodes', TasksNodesHandler, {'get': in_lane('list', TRACERS)}),
    Route(rf'/datasets/{DATASET}/tasks/{TASK}/nodes', DatasetTasksNodesHandler, {'get': in_lane('list', PEOPLE_READ)}),
)
