"""The verbs of the service, one method each."""

import copy
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, Unpack, cast
from urllib.parse import parse_qsl, quote, urlsplit

import httpx2

from iceprod_tasks.client.connection import Answer, Connection, Request
from iceprod_tasks.client.documents import (
    Claim,
    Config,
    Message,
    NewDataset,
    RankedTask,
    Report,
    Requirements,
    TaskDocument,
)
from iceprod_tasks.client.errors import ServerError
from iceprod_tasks.client.retry import Retry

Document = dict[str, Any]


class AsyncClient:
    """A service, seen from a Python program; use it as an async context manager.

    What is safe to repeat is repeated, with growing, jittered delays and as the service's Retry-After asks: reads,
    PUTs, claims (they carry a claim id) and reports. Anything else only when it never left this machine.

    Args:
        server: the service's address, for example `http://127.0.0.1:8080`.
        token: the bearer token; empty sends none.
        timeout_seconds: the longest silence of the service in one attempt.
        retry_seconds: how long to go on repeating a request; None for ever, 0 not at all.
        transport: an `httpx2` transport in place of the network.

    Raises:
        ValueError: the address is not one of HTTP.

    Every method raises a `ClientError` (see `iceprod_tasks.client.errors`) when the service says no or nothing.
    """

    def __init__(
        self,
        server: str,
        token: str = '',
        *,
        timeout_seconds: float = 30.0,
        retry_seconds: float | None = 60.0,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._connection = Connection(server, token, timeout_seconds, transport)
        self._retry = Retry(seconds=retry_seconds)

    async def __aenter__(self) -> Self:
        await self._connection.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.__aexit__(kind, error, trace)

    def retrying(self, seconds: float | None) -> Self:
        """The same client on the same connections, more or less patient.

        Args:
            seconds: how long to go on repeating a request; None for ever.
        """
        other = copy.copy(self)
        other._retry = replace(self._retry, seconds=seconds)
        return other

    # What pilots do

    async def claim(
        self,
        requirements: Requirements,
        *,
        claim_id: str = '',
        lease_seconds: float | None = None,
        site: str = '',
        pilot: str = '',
    ) -> Claim:
        """Ask for a task that fits an offer.

        Args:
            requirements: the offer.
            claim_id: 32 hex digits; the same id gets the same answer. A new one by default.
            lease_seconds: how long the claim holds without a word; the service's default when None.
            site: where the task is going to run.
            pilot: who asks, for people.

        Raises:
            NoWork: nothing queued fits.
            Gone: this claim id has had its task.
        """
        claim_id = claim_id or new_claim_id()
        body = {
            'requirements': requirements,
            'claim_id': claim_id,
            'lease_seconds': lease_seconds,
            'site': site,
            'pilot': pilot,
        }
        asked = {key: value for key, value in body.items() if value not in ('', None)}
        task = cast(TaskDocument, await self._post('/task_actions/process', asked, repeatable=True))
        try:
            return Claim(task, task.get('claim_id', claim_id), task['epoch'])
        except (KeyError, AttributeError) as error:
            raise ServerError('the answer to a claim is not a claimed task') from error

    async def complete(self, claim: Claim, **report: Unpack[Report]) -> None:
        """Report that the task is done.

        Raises:
            Conflict: the claim is lost.
        """
        await self._report(claim, 'complete', report)

    async def reset(self, claim: Claim, **report: Unpack[Report]) -> None:
        """Report that this attempt failed; the task may be tried again.

        Raises:
            Conflict: the claim is lost.
        """
        await self._report(claim, 'reset', report)

    async def fail(self, claim: Claim, **report: Unpack[Report]) -> None:
        """Report that the task cannot succeed.

        Raises:
            Conflict: the claim is lost.
        """
        await self._report(claim, 'failed', report)

    async def hand_back(self, claim: Claim, *, reason: str = '', site: str = '') -> None:
        """Give a task back unharmed: no failure is counted.

        Raises:
            Conflict: the claim is lost.
        """
        given: Report = {'reason': reason, 'site': site}
        await self._report(claim, 'hand_back', given)

    async def _report(self, claim: Claim, action: str, report: Report) -> None:
        body = {'claim_id': claim.claim_id, 'epoch': claim.epoch, **report}
        await self._post(f'/tasks/{_part(claim.task_id)}/task_actions/{action}', body, repeatable=True)

    # Tasks

    async def task(self, task_id: str) -> TaskDocument:
        """One task."""
        return cast(TaskDocument, await self._get(f'/tasks/{_part(task_id)}'))

    async def tasks(
        self, status: Iterable[str] = (), keys: Iterable[str] = (), *, page_size: int = 1000
    ) -> AsyncIterator[TaskDocument]:
        """Every task in one of some statuses, fetched in pages as they are used.

        Args:
            status: the statuses; all when empty.
            keys: the fields wanted; all when empty.
            page_size: tasks fetched at once.

        Yields:
            The tasks' documents.
        """
        query: Mapping[str, str | int] | None = {**_filter(status, keys), 'limit': page_size}
        while query is not None:
            answer = await self._ask(Request('GET', '/tasks', query=query))
            for task in answer.document['tasks']:
                yield task
            # Only the cursor is taken from the link: the token goes to no address but the one it was given for.
            query = dict(parse_qsl(urlsplit(answer.next_page).query)) if answer.next_page else None

    async def dataset_tasks(
        self, dataset_id: str, status: Iterable[str] = (), keys: Iterable[str] = ()
    ) -> dict[str, TaskDocument]:
        """The tasks of a dataset by task id, some statuses and fields only when given."""
        path = f'/datasets/{_part(dataset_id)}/tasks'
        return cast(dict[str, TaskDocument], await self._get(path, _filter(status, keys)))

    async def messages(self, task_id: str) -> list[Message]:
        """What reports on a task brought, oldest first."""
        return cast(list[Message], (await self._get(f'/tasks/{_part(task_id)}/messages'))['messages'])

    async def files(self, dataset_id: str, task_id: str) -> list[Document]:
        """The files a task reads and writes."""
        found = await self._get(f'/datasets/{_part(dataset_id)}/files/{_part(task_id)}')
        return cast(list[Document], found['files'])

    async def set_status(self, task_id: str, status: str) -> None:
        """Put one task into a status."""
        await self._ask(Request('PUT', f'/tasks/{_part(task_id)}/status', body={'status': status}))

    async def set_statuses(self, dataset_id: str, status: str, task_ids: Iterable[str]) -> None:
        """Put some tasks of a dataset into a status."""
        path = f'/datasets/{_part(dataset_id)}/task_actions/bulk_status/{_part(status)}'
        await self._post(path, {'tasks': list(task_ids)})

    async def task_order(self, dataset_id: str = '', limit: int = 10) -> list[RankedTask]:
        """The tasks that come next, of one dataset or of all that may be read, with what makes their priorities."""
        query: dict[str, str | int] = {'limit': limit, **({'dataset_id': dataset_id} if dataset_id else {})}
        return cast(list[RankedTask], (await self._get('/task_order', query))['tasks'])

    # Datasets and jobs

    async def submit_dataset(self, dataset: NewDataset) -> str:
        """Make a dataset.

        Returns:
            Its id.
        """
        made = await self._post('/datasets', dataset)
        return str(made['result']).rpartition('/')[2]

    async def dataset(self, dataset_id: str) -> Document:
        """One dataset."""
        return cast(Document, await self._get(f'/datasets/{_part(dataset_id)}'))

    async def datasets(self) -> dict[str, Document]:
        """The datasets by their ids."""
        return cast(dict[str, Document], await self._get('/datasets'))

    async def config(self, dataset_id: str) -> Config:
        """What the tasks of a dataset run."""
        return cast(Config, await self._get(f'/config/{_part(dataset_id)}'))

    async def set_config(self, dataset_id: str, config: Config) -> None:
        """Say what the tasks of a dataset run."""
        await self._ask(Request('PUT', f'/config/{_part(dataset_id)}', body=config))

    async def job(self, job_id: str) -> Document:
        """One job."""
        return cast(Document, await self._get(f'/jobs/{_part(job_id)}'))

    async def jobs(self, dataset_id: str) -> dict[str, Document]:
        """The jobs of a dataset by their ids."""
        return cast(dict[str, Document], await self._get(f'/datasets/{_part(dataset_id)}/jobs'))

    # Counts

    async def job_counts(self, dataset_id: str) -> dict[str, int]:
        """How many jobs of a dataset are in each status."""
        return cast(dict[str, int], await self._get(f'/datasets/{_part(dataset_id)}/job_counts/status'))

    async def task_counts(self, dataset_id: str = '') -> dict[str, int]:
        """How many tasks are in each status, of one dataset or of all."""
        return cast(dict[str, int], await self._get(f'{_dataset(dataset_id)}/task_counts/status'))

    async def name_status_counts(self, dataset_id: str) -> dict[str, dict[str, int]]:
        """How many tasks of a dataset are in each status, by the tasks' names."""
        found = await self._get(f'/datasets/{_part(dataset_id)}/task_counts/name_status')
        return cast(dict[str, dict[str, int]], found)

    async def task_stats(self, dataset_id: str) -> dict[str, dict[str, float | None]]:
        """Hours and efficiency of a dataset's complete tasks, by the tasks' names."""
        found = await self._get(f'/datasets/{_part(dataset_id)}/task_stats')
        return cast(dict[str, dict[str, float | None]], found)

    # The service

    async def health(self) -> Document:
        """Whether the service answers; needs no token."""
        return cast(Document, await self._get('/healthz'))

    async def _get(self, path: str, query: Mapping[str, str | int] | None = None) -> Any:
        return (await self._ask(Request('GET', path, query=query))).document

    async def _post(self, path: str, body: object, *, repeatable: bool = False) -> Any:
        return (await self._ask(Request('POST', path, repeatable=repeatable, body=body))).document

    async def _ask(self, request: Request) -> Answer:
        return await self._connection.ask(request, self._retry)


def new_claim_id() -> str:
    """128 random bits in hex: the name of one claim, made by who asks for it."""
    return secrets.token_hex(16)


def _part(text: str) -> str:
    return quote(text, safe='')


def _dataset(dataset_id: str) -> str:
    return f'/datasets/{_part(dataset_id)}' if dataset_id else ''


def _filter(status: Iterable[str], keys: Iterable[str]) -> dict[str, str]:
    query = {'status': '|'.join(status), 'keys': '|'.join(keys)}
    return {key: value for key, value in query.items() if value}
