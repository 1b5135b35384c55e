"""What commands print, and how they ended on nodes: sent by pilots, read by everybody else."""

import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Literal, cast

from iceprod_tasks.client.asking import Asking, part
from iceprod_tasks.client.claim_documents import Claim
from iceprod_tasks.client.documents import NodeResults, OutputPiece
from iceprod_tasks.client.errors import ServerError

Stream = Literal['stdout', 'stderr']

_WAIT_SECONDS = 20


class Outputs(Asking):
    """The verbs about outputs and results of nodes."""

    async def append_output(self, claim: Claim, pieces: Sequence[tuple[Stream, int, bytes]]) -> None:
        """Send what the command of a claimed task has printed; sent again it changes nothing.

        Args:
            claim: the claim.
            pieces: at most 16, each with the stream, the offset of its first byte, and at most 128 KiB.

        Raises:
            Conflict: another claim has come after this one.
        """
        sent = [
            {'stream': stream, 'offset': offset, 'data': base64.b64encode(data).decode()}
            for stream, offset, data in pieces
        ]
        await self._say(claim, 'output', {'pieces': sent})

    async def add_node_results(self, claim: Claim, results: Sequence[Mapping[str, Any]]) -> None:
        """Send how the command of a claimed task ended on nodes; sent again it changes nothing.

        Args:
            claim: the claim.
            results: at most 1000: `group`, `part`, `nodes`, and in the first part of a group how it went.

        Raises:
            Conflict: another claim has come after this one.
        """
        await self._say(claim, 'nodes', {'results': results})

    async def output(
        self,
        task_id: str,
        stream: Stream = 'stdout',
        offset: int = 0,
        *,
        limit: int = 2**18,
        wait_seconds: int = 0,
        epoch: int | None = None,
    ) -> OutputPiece:
        """Some of what the command of a task has printed.

        Args:
            task_id: of the task.
            stream: which.
            offset: of the first byte; from the end on when negative.
            limit: bytes at the most.
            wait_seconds: how long to wait, at most 60, where there is nothing to read yet.
            epoch: of the attempt; that which runs, or the last one that has printed something, when None.
        """
        query: dict[str, str | int] = {'offset': offset, 'limit': limit, 'wait': wait_seconds, 'encoding': 'base64'}
        if epoch is not None:
            query['epoch'] = epoch
        answer = await self._get(f'/tasks/{part(task_id)}/output/{stream}', query)
        try:
            data = base64.b64decode(answer['data'])
            return OutputPiece(answer['epoch'], answer['offset'], data, answer['size'], answer['ended'])
        except (KeyError, TypeError, ValueError) as error:
            raise ServerError('the answer is no part of an output') from error

    async def follow_output(
        self, task_id: str, stream: Stream = 'stdout', offset: int = 0, *, epoch: int | None = None
    ) -> AsyncIterator[OutputPiece]:
        """What the command of a task prints, as it comes, until the attempt is over.

        Args:
            task_id: of the task.
            stream: which.
            offset: of the first byte; from the end on when negative.
            epoch: of the attempt; that which runs, or the last one that has printed something, when None.

        Yields:
            The pieces; a gap between two of them is what was not kept.
        """
        while True:
            piece = await self.output(task_id, stream, offset, wait_seconds=_WAIT_SECONDS, epoch=epoch)
            offset, epoch = piece.next_offset, piece.epoch
            if piece.data:
                yield piece
            elif piece.ended and offset >= piece.size:
                return

    async def node_results(self, task_id: str) -> NodeResults:
        """How the command of a task ended on nodes, those with equal results together."""
        return cast(NodeResults, await self._get(f'/tasks/{part(task_id)}/nodes'))

    async def _say(self, claim: Claim, action: str, said: Mapping[str, Any]) -> None:
        body = {'claim_id': claim.claim_id, 'epoch': claim.epoch, **said}
        await self._post(f'/tasks/{part(claim.task_id)}/task_actions/{action}', body, repeatable=True)
