"""Datasets: submitting, reading and changing them, deleting them, and how much each one matters."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import cast

from iceprod_tasks.client.asking import LONGEST_SILENCE_SECONDS, Asking, Document, in_dataset, part, query_of
from iceprod_tasks.client.connection import Request
from iceprod_tasks.client.documents import Config, Deletion, NewDataset
from iceprod_tasks.client.errors import NotFound, NotPermitted

_LOOK_SECONDS = 2.0


class Datasets(Asking):
    """The verbs about datasets."""

    async def submit_dataset(self, dataset: NewDataset, *, idempotency_key: str = '') -> str:
        """Make a dataset.

        Args:
            dataset: what it is.
            idempotency_key: up to 255 visible ASCII characters; the same key and dataset get the same answer, and make
                no second one. A new key by default.

        Returns:
            Its id.

        Raises:
            Conflict: the key was used for another dataset.
        """
        made = await self._once('/datasets', dataset, key=idempotency_key)
        return str(made['result']).rpartition('/')[2]

    async def dataset(self, dataset_id: str) -> Document:
        """One dataset."""
        return cast(Document, await self._get(in_dataset(dataset_id)))

    async def datasets(
        self,
        status: Iterable[str] = (),
        keys: Iterable[str] = (),
        *,
        users: Iterable[str] = (),
        groups: Iterable[str] = (),
    ) -> dict[str, Document]:
        """The datasets by their ids.

        Args:
            status: the statuses; all when empty.
            keys: the fields wanted beside the id; all when empty.
            users: names of submitters; all when empty.
            groups: groups that own them; all when empty.
        """
        query = query_of(status=status, keys=keys, users=users, groups=groups)
        return cast(dict[str, Document], await self._get('/datasets', query))

    async def dataset_summaries(self) -> dict[str, list[str]]:
        """The ids of all datasets by their status."""
        return cast(dict[str, list[str]], await self._get('/dataset_summaries/status'))

    async def config(self, dataset_id: str) -> Config:
        """What the tasks of a dataset run."""
        return cast(Config, await self._get(f'/config/{part(dataset_id)}'))

    async def set_config(self, dataset_id: str, config: Config) -> None:
        """Say what the tasks of a dataset run."""
        await self._put(f'/config/{part(dataset_id)}', config)

    async def set_description(self, dataset_id: str, description: str) -> None:
        """Say what a dataset is."""
        await self._put(f'{in_dataset(dataset_id)}/description', {'description': description})

    async def set_dataset_status(self, dataset_id: str, status: str) -> None:
        """Put a dataset into a status; its jobs and tasks stay as they are."""
        await self._put(f'{in_dataset(dataset_id)}/status', {'status': status})

    async def set_jobs_submitted(self, dataset_id: str, jobs_submitted: int) -> None:
        """Give a dataset more jobs.

        Args:
            dataset_id: of the dataset.
            jobs_submitted: how many it has from now on, never fewer than before.
        """
        await self._put(f'{in_dataset(dataset_id)}/jobs_submitted', {'jobs_submitted': jobs_submitted})

    async def set_retention(self, dataset_id: str, days: float | None, *, archive: bool | None = None) -> None:
        """Say how long a dataset is kept.

        Args:
            dataset_id: of the dataset.
            days: after its end; None for the service's own.
            archive: whether an archive is written before it is deleted; as it was when None.
        """
        given = {} if archive is None else {'archive': archive}
        await self._put(f'{in_dataset(dataset_id)}/retention', {'days': days, **given})

    async def set_priority(self, dataset_id: str, priority: float) -> None:
        """Say how much a dataset matters."""
        await self._put(f'{in_dataset(dataset_id)}/priority', {'priority': priority})

    async def set_user_priority(self, name: str, priority: float) -> None:
        """Say how much the datasets of a user matter, from 0 to 1."""
        await self._put(f'/users/{part(name)}/priority', {'priority': priority})

    async def set_group_priority(self, name: str, priority: float) -> None:
        """Say how much the datasets of a group matter, from 0 to 1."""
        await self._put(f'/groups/{part(name)}/priority', {'priority': priority})

    def archive(self, dataset_id: str) -> AsyncIterator[bytes]:
        """All that is kept of a dataset, as the bytes of a file: lines of JSON, compressed by gzip."""
        return self._bytes(f'{in_dataset(dataset_id)}/archive')

    async def delete_dataset(
        self,
        dataset_id: str,
        *,
        force: bool = False,
        archive: bool | None = None,
        wait: bool = False,
        look_seconds: float = _LOOK_SECONDS,
    ) -> Deletion:
        """Delete a dataset and all that belongs to it.

        Args:
            dataset_id: of the dataset.
            force: although its tasks run, which are asked to stop first.
            archive: whether to write an archive first; None for what the dataset says.
            wait: return when it is gone, not when its deletion has begun.
            look_seconds: the pause between two looks while waiting.

        Returns:
            How far it is. Where others have ended the deletion, nothing was removed by this request.

        Raises:
            Conflict: its tasks run, or others depend on it; nothing has changed.
        """
        choices = {'force': force or None, 'archive': archive}
        query = {name: 'true' if value else 'false' for name, value in choices.items() if value is not None}
        request = Request('DELETE', in_dataset(dataset_id), query=query, silence_seconds=LONGEST_SILENCE_SECONDS)
        done = cast(Deletion, (await self._ask(request)).document)
        while wait and done.get('deleting'):
            await asyncio.sleep(look_seconds)
            try:
                done = cast(Deletion, (await self._ask(request)).document)
            except (NotFound, NotPermitted):
                # With the dataset go the permissions of its users, and a moment ago we had them.
                return {'deleted': {}, 'archive': None}
        return done
