"""Asks what tasks do: the web service `/vappio/task_ws.py`, which other programs speak as well."""

import asyncio
import itertools
import json
import logging
import re
import time
from typing import Any

import httpx2

from iceprod_tasks.client.asking import Asking
from iceprod_tasks.client.connection import Request, worth_repeating
from iceprod_tasks.client.errors import ClientError, NotFound, ServerError, Unreachable
from iceprod_tasks.client.retry import Retry
from iceprod_tasks.client.task_records import TaskRecord, read_tasks

log = logging.getLogger(__name__)

PATH = '/vappio/task_ws.py'
CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
TRIES = 4
A_FEW_TRIES = Retry(seconds=5.0, first_seconds=1.0, longest_seconds=2.0)
"""The waits between `TRIES` tries; together they stay under its seconds."""
WHILE_BLOCKING = Retry(seconds=120.0, first_seconds=1.0, longest_seconds=5.0)
"""How long somebody who waits for tasks goes on after the last good answer: a service may restart meanwhile."""

_UNKNOWN_TASK = frozenset({'TaskNotFoundError', 'TaskDoesNotExistError'})


class Vappio(Asking):
    """A web service that describes tasks; use it as an async context manager.

    Args:
        server: its address, for example `http://127.0.0.1:8080`.
        token: the bearer token; empty sends none.
        cluster: whose tasks; `local` are the service's own.
        patience: how long to go on after the last good answer; None tries a few times. Before the first answer nobody
            is more patient than that, as the address may be wrong.
        transport: an `httpx2` transport in place of the network.

    Raises:
        ValueError: the address is not one of HTTP.
    """

    def __init__(
        self,
        server: str,
        token: str = '',
        cluster: str = 'local',
        *,
        patience: Retry | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        # Each try is one; how often there is another is decided here.
        super().__init__(server, token, timeout_seconds=CONNECT_SECONDS, retry_seconds=0, transport=transport)
        self._address = _without_user(server)
        self._cluster = cluster
        self._patience = patience
        self._last_answer: float | None = None

    async def tasks(self) -> list[TaskRecord]:
        """All tasks of the cluster, in the order of the service.

        Raises:
            ClientError: the service says no, nothing, or what cannot be understood.
        """
        return await self._described({'cluster': self._cluster})

    async def task(self, name: str) -> TaskRecord:
        """One task.

        Args:
            name: of the task, or another word by which the service knows it.

        Raises:
            NotFound: there is none.
            ClientError: the service says no, nothing, or what cannot be understood.
        """
        found = await self._described({'cluster': self._cluster, 'task_name': name})
        if len(found) != 1:
            raise ServerError(f'{len(found)} tasks were the answer for the one named {name}')
        return found[0]

    async def _described(self, wanted: dict[str, str]) -> list[TaskRecord]:
        # By the standard library: it writes any name in ASCII, also one that is no Unicode.
        request = Request('POST', PATH, form={'request': json.dumps(wanted)}, silence_seconds=READ_SECONDS)
        waited_seconds = 0.0
        for attempt in itertools.count():
            log.debug('asking %s for %s', self._address, wanted)
            try:
                answer = await self._ask(request)
            except ClientError as error:
                pause = self._pause(attempt, waited_seconds, error) if worth_repeating(request, error) else None
                if pause is None:
                    raise self._said_plainly(error) from error
                log.debug('%s; trying again in %.1f s', error, pause)
            else:
                found = read_tasks(_data_in(answer.document))
                self._last_answer = time.monotonic()
                log.debug('%d tasks', len(found))
                return found
            await asyncio.sleep(pause)
            waited_seconds += pause
        raise AssertionError('unreachable')

    def _pause(self, attempt: int, waited_seconds: float, error: ClientError) -> float | None:
        """Seconds until the next try; None gives up."""
        if self._patience is not None and self._last_answer is not None:
            without_seconds = time.monotonic() - self._last_answer
            return self._patience.delay(attempt, without_seconds, error.retry_after_seconds)
        if attempt + 1 == TRIES:
            return None
        # Only the waits count: what times out after a minute is tried again all the same.
        return A_FEW_TRIES.delay(attempt, waited_seconds, error.retry_after_seconds)

    def _said_plainly(self, error: ClientError) -> ClientError:
        """The same error in words that tell whose it is."""
        if isinstance(error, Unreachable):
            return Unreachable(f'{self._address} does not answer: {error.reason}', sent=error.sent)
        if _is_envelope(error.body):
            return type(error)(_failure(error.body['data']).reason, code=error.code)
        # Not `NotFound`, which is about a task.
        kind = ServerError if error.code == 404 else type(error)
        return kind(f'{self._address} does not describe tasks: {error.reason}', code=error.code)


def _data_in(envelope: Any) -> object:
    if not _is_envelope(envelope):
        raise ServerError('the answer is not that of a service that describes tasks')
    if not envelope['success']:
        raise _failure(envelope['data'])
    return envelope['data']


def _is_envelope(document: Any) -> bool:
    return isinstance(document, dict) and type(document.get('success')) is bool and 'data' in document


def _failure(data: object) -> ClientError:
    """The failure that an envelope carries; some programs put the class of the error into its name."""
    told = data if isinstance(data, dict) else {}
    reason = told.get('msg')
    is_unknown = str(told.get('name')).rpartition('.')[2] in _UNKNOWN_TASK
    kind = NotFound if is_unknown else ClientError
    return kind(reason if isinstance(reason, str) and reason.strip() else 'the service gives no reason')


def _without_user(server: str) -> str:
    """An address to be shown: a password may stand in it."""
    return re.sub('//[^/]*@', '//', server).rstrip('/')
