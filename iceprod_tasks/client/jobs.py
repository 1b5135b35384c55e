"""Jobs: lists, single ones, their status, and how many there are."""

from collections.abc import Iterable
from typing import Any, cast

from iceprod_tasks.client.asking import Asking, Document, in_dataset, part, query_of
from iceprod_tasks.client.connection import Request


class Jobs(Asking):
    """The verbs about jobs."""

    async def job(self, job_id: str) -> Document:
        """One job, as operators and pilots may read it."""
        return cast(Document, await self._get(f'/jobs/{part(job_id)}'))

    async def dataset_job(self, dataset_id: str, job_id: str) -> Document:
        """One job of a dataset, as those who may read the dataset may."""
        return cast(Document, await self._get(f'{in_dataset(dataset_id)}/jobs/{part(job_id)}'))

    async def jobs(self, dataset_id: str, status: Iterable[str] = (), keys: Iterable[str] = ()) -> dict[str, Document]:
        """The jobs of a dataset by their ids, some statuses and fields only when given."""
        found = await self._get(f'{in_dataset(dataset_id)}/jobs', query_of(status=status, keys=keys))
        return cast(dict[str, Document], found)

    async def add_job(self, dataset_id: str, job_index: int, job_id: str = '', *, idempotency_key: str = '') -> str:
        """Make a job; the scheduler makes those of datasets with a config.

        Args:
            dataset_id: of its dataset.
            job_index: its place in the dataset.
            job_id: a UUID; the service's choice when empty.
            idempotency_key: as for datasets.

        Returns:
            Its id.
        """
        given = {'job_id': job_id} if job_id else {}
        body = {'dataset_id': dataset_id, 'job_index': job_index, **given}
        made = await self._once('/jobs', body, key=idempotency_key)
        return str(made['result'])

    async def patch_job(self, job_id: str, **changes: Any) -> Document:
        """Set fields of a job; the job after it."""
        request = Request('PATCH', f'/jobs/{part(job_id)}', body=changes)
        return cast(Document, (await self._ask(request)).document)

    async def set_job_status(self, dataset_id: str, job_id: str, status: str) -> None:
        """Put one job into a status; its tasks stay as they are."""
        await self._put(f'{in_dataset(dataset_id)}/jobs/{part(job_id)}/status', {'status': status})

    async def job_summaries(self, dataset_id: str) -> dict[str, list[str]]:
        """The ids of a dataset's jobs by their status."""
        return cast(dict[str, list[str]], await self._get(f'{in_dataset(dataset_id)}/job_summaries/status'))

    async def job_counts(self, dataset_id: str) -> dict[str, int]:
        """How many jobs of a dataset are in each status."""
        return cast(dict[str, int], await self._get(f'{in_dataset(dataset_id)}/job_counts/status'))
