"""What a command prints, sent to the service while it prints it.

The command writes into files. They are its spool as well: what the service has, or will not want any more, is cut out
of them, so that a command that prints without end, or a service that is away for long, fills no disk.
"""

import asyncio
import ctypes
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from iceprod_tasks.client import AsyncClient, Claim, ClientError, Overloaded, Retry, ServerError, Unreachable
from iceprod_tasks.client.outputs import Stream
from iceprod_tasks.pilot.folder import END_BYTES

log = logging.getLogger(__name__)

PIECE_BYTES = 128 * 1024
KEPT_BYTES = 2**20
"""The service keeps no more of a stream than this."""
SPOOL_BYTES = 16 * 2**20
"""So much of what has not been sent is kept on the disk."""
LOOK_SECONDS = 0.25
_CUT_AT_LEAST = 2**20
_LONGEST_REST_SECONDS = 5.0
_PAGE = 4096

_FALLOC_FL_KEEP_SIZE, _FALLOC_FL_PUNCH_HOLE = 1, 2
_fallocate = ctypes.CDLL(None, use_errno=True).fallocate
_fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


def is_text(data: bytes) -> bool:
    """Whether some bytes are UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


@dataclass(slots=True)
class _Spool:
    """A file that a command writes, and how much of it the service has."""

    name: Stream
    file: IO[bytes]
    sent: int = 0
    cut: int = 0
    begun: bool = False

    @property
    def size(self) -> int:
        return os.fstat(self.file.fileno()).st_size

    @property
    def fits_a_report(self) -> bool:
        """Whether none of it has been sent, and a report has all of it as it is."""
        size = self.size
        if self.begun or size > END_BYTES:
            return False
        data = os.pread(self.file.fileno(), END_BYTES, 0)
        return b'\0' not in data and is_text(data)

    def next_piece(self) -> tuple[Stream, int, bytes] | None:
        """What to send next; of what the service would not keep nothing is."""
        size = self.size
        if size < self.sent:  # the command has made its own output shorter
            self.sent = self.cut = size
        start = max(self.sent, self.cut, size - KEPT_BYTES)
        data = os.pread(self.file.fileno(), PIECE_BYTES, start) if start < size else b''
        return (self.name, start, data) if data else None

    def make_room(self) -> None:
        """Cut out what nobody needs any more; what was printed last is for the report."""
        size = self.size
        end = max(min(self.sent, size - END_BYTES), size - SPOOL_BYTES) // _PAGE * _PAGE
        if end - self.cut >= _CUT_AT_LEAST:
            # Where the file system cannot do it, the disk limit of the task holds.
            _fallocate(self.file.fileno(), _FALLOC_FL_KEEP_SIZE | _FALLOC_FL_PUNCH_HOLE, self.cut, end - self.cut)
            self.cut = end


class Streaming:
    """Sends the output of an attempt.

    Args:
        client: the way to the service.
        claim: of the attempt.
        stdout: the file that the command writes.
        stderr: the same.
    """

    def __init__(self, client: AsyncClient, claim: Claim, stdout: IO[bytes], stderr: IO[bytes]) -> None:
        self._client = client.retrying(0)
        self._claim = claim
        self._spools = (_Spool('stdout', stdout), _Spool('stderr', stderr))
        self._retry = Retry(seconds=None, first_seconds=0.5, longest_seconds=_LONGEST_REST_SECONDS)
        self._refused = False
        self._sending = asyncio.Lock()

    async def run(self) -> None:
        """Send what comes, until cancelled."""
        unanswered = 0
        while True:
            await asyncio.sleep(LOOK_SECONDS if not unanswered else self._retry.delay(unanswered - 1) or 0.0)
            try:
                await self._send()
                unanswered = 0
            except (Unreachable, ServerError, Overloaded) as error:
                level = logging.DEBUG if unanswered else logging.WARNING
                log.log(level, '%s: output: %s', self._claim.task_id, error, extra={'action': 'output'})
                unanswered += 1
            for spool in self._spools:
                spool.make_room()

    async def finish(self, seconds: float) -> bool:
        """Send what is left, once nothing more is printed; whether the service has it all.

        Of a command that was quick and printed little, all goes with the report.

        Args:
            seconds: how long to try.
        """
        if all(spool.fits_a_report for spool in self._spools):
            return True
        try:
            async with asyncio.timeout(seconds):
                while pieces := self._next():
                    await self._send(pieces)
        except (Unreachable, ServerError, Overloaded, TimeoutError) as error:
            text = '%s: the last of the output could not be sent: %s'
            log.warning(text, self._claim.task_id, error or 'no answer in time', extra={'action': 'output'})
            return False
        return True

    def _next(self) -> list[tuple[Stream, int, bytes]]:
        return [] if self._refused else [piece for spool in self._spools if (piece := spool.next_piece()) is not None]

    async def _send(self, given: Sequence[tuple[Stream, int, bytes]] = ()) -> None:
        """Send a piece of each stream.

        Raises:
            ServerError, Unreachable, Overloaded: it may be sent later.
        """
        async with self._sending:
            pieces = given or self._next()
            if not pieces:
                return
            try:
                await self._client.append_output(self._claim, pieces)
            except (Unreachable, ServerError, Overloaded):
                raise
            except ClientError as error:
                # The task is not ours any more, or this service keeps no outputs: the report has the end of them.
                log.info('%s: output: %s', self._claim.task_id, error, extra={'action': 'output'})
                self._refused = True
                return
            ends = {stream: offset + len(data) for stream, offset, data in pieces}
            for spool in self._spools:
                if spool.name in ends:
                    spool.sent, spool.begun = ends[spool.name], True
