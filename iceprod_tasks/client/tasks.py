"""Tasks: lists, single ones, their order, and how many there are."""

from collections.abc import AsyncIterator, Iterable
from typing import cast

from iceprod_tasks.client.asking import Asking, Document, in_dataset, part, query_of
from iceprod_tasks.client.documents import Demand, RankedTask, TaskDocument, TaskHistory


class Tasks(Asking):
    """The verbs about tasks."""

    async def task(self, task_id: str) -> TaskDocument:
        """One task, as operators and pilots may read it."""
        return cast(TaskDocument, await self._get(f'/tasks/{part(task_id)}'))

    async def dataset_task(self, dataset_id: str, task_id: str) -> TaskDocument:
        """One task of a dataset, as those who may read the dataset may."""
        return cast(TaskDocument, await self._get(f'{in_dataset(dataset_id)}/tasks/{part(task_id)}'))

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
        async for page in self._pages('/tasks', {**query_of(status=status, keys=keys), 'limit': page_size}):
            for task in page['tasks']:
                yield task

    async def dataset_tasks(
        self, dataset_id: str, status: Iterable[str] = (), keys: Iterable[str] = ()
    ) -> dict[str, TaskDocument]:
        """The tasks of a dataset by task id, some statuses and fields only when given."""
        path = f'{in_dataset(dataset_id)}/tasks'
        return cast(dict[str, TaskDocument], await self._get(path, query_of(status=status, keys=keys)))

    async def each_task(
        self,
        dataset_id: str,
        status: Iterable[str] = (),
        keys: Iterable[str] = (),
        *,
        name: str = '',
        job_id: str = '',
        page_size: int = 1000,
    ) -> AsyncIterator[TaskDocument]:
        """Tasks of a dataset, fetched in pages as they are used.

        Args:
            dataset_id: of the dataset.
            status: the statuses; all when empty.
            keys: the fields wanted beside the task id; all when empty.
            name: only tasks with this name.
            job_id: only tasks of this job.
            page_size: tasks fetched at once.

        Yields:
            The tasks' documents.
        """
        one = {key: value for key, value in (('name', name), ('job_id', job_id)) if value}
        query = {**query_of(status=status, keys=keys), **one, 'limit': page_size}
        async for page in self._pages(f'{in_dataset(dataset_id)}/tasks', query):
            for task in page.values():
                yield task

    async def task_order(self, dataset_id: str = '', limit: int = 10) -> list[RankedTask]:
        """The tasks that come next, of one dataset or of all that may be read, with what makes their priorities."""
        query: dict[str, str | int] = {'limit': limit, **({'dataset_id': dataset_id} if dataset_id else {})}
        return cast(list[RankedTask], (await self._get('/task_order', query))['tasks'])

    async def task_demand(self) -> list[Demand]:
        """What tasks that wait to be run need, and how many of each kind there are."""
        return cast(list[Demand], (await self._get('/task_demand'))['demand'])

    async def history(self, task_id: str) -> TaskHistory:
        """How a task came to be where it is: its creation and every change of its status, oldest first."""
        return cast(TaskHistory, await self._get(f'/tasks/{part(task_id)}/history'))

    async def files(self, dataset_id: str, task_id: str) -> list[Document]:
        """The files a task reads and writes."""
        found = await self._get(f'{in_dataset(dataset_id)}/files/{part(task_id)}')
        return cast(list[Document], found['files'])

    async def set_status(self, task_id: str, status: str) -> None:
        """Put one task into a status."""
        await self._put(f'/tasks/{part(task_id)}/status', {'status': status})

    async def set_statuses(self, dataset_id: str, status: str, task_ids: Iterable[str]) -> None:
        """Put some tasks of a dataset into a status."""
        path = f'{in_dataset(dataset_id)}/task_actions/bulk_status/{part(status)}'
        await self._once(path, {'tasks': list(task_ids)})

    async def task_counts(self, dataset_id: str = '') -> dict[str, int]:
        """How many tasks are in each status, of one dataset or of all."""
        return cast(dict[str, int], await self._get(f'{in_dataset(dataset_id)}/task_counts/status'))

    async def name_status_counts(self, dataset_id: str) -> dict[str, dict[str, int]]:
        """How many tasks of a dataset are in each status, by the tasks' names."""
        found = await self._get(f'{in_dataset(dataset_id)}/task_counts/name_status')
        return cast(dict[str, dict[str, int]], found)

    async def task_stats(self, dataset_id: str) -> dict[str, dict[str, float | None]]:
        """Hours and efficiency of a dataset's complete tasks, by the tasks' names."""
        found = await self._get(f'{in_dataset(dataset_id)}/task_stats')
        return cast(dict[str, dict[str, float | None]], found)
