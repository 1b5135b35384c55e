"""What people do to many tasks, jobs or a dataset at once."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from iceprod_tasks.client.asking import LONGEST_SILENCE_SECONDS, Asking, in_dataset, part
from iceprod_tasks.client.connection import Request
from iceprod_tasks.client.documents import ActionDone, ActionName, DatasetActionDone, JobActionDone, Requirements


class Actions(Asking):
    """The verbs of actions. A dry run says what would be changed, and changes nothing.

    An answer may take minutes. When it is lost, the request is repeated: it carries a key, so that the service leaves
    alone what it has changed, and what has gone on since.
    """

    async def act_on_tasks(
        self,
        dataset_id: str,
        action: ActionName,
        *,
        tasks: Iterable[str] | None = None,
        jobs: Iterable[str] | None = None,
        names: Iterable[str] | None = None,
        statuses: Iterable[str] | None = None,
        dry_run: bool = False,
        reason: str = '',
    ) -> ActionDone:
        """Do something to tasks of a dataset.

        Args:
            dataset_id: of the dataset.
            action: what to do.
            tasks: ids of the tasks, at most 100 000; None for all.
            jobs: ids of the jobs whose tasks are meant; None for all, and always None beside `tasks`.
            names: only tasks with one of these names.
            statuses: only tasks in one of these statuses.
            dry_run: only say what would be changed.
            reason: why, for the tasks' logs.
        """
        chosen = {'tasks': tasks, 'jobs': jobs, 'names': names, 'statuses': statuses}
        body = {'dry_run': dry_run, 'reason': reason, **_lists(chosen)}
        return cast(ActionDone, await self._act(dataset_id, 'task_actions', action, body))

    async def act_on_jobs(
        self,
        dataset_id: str,
        action: ActionName,
        *,
        jobs: Iterable[str] | None = None,
        dry_run: bool = False,
        reason: str = '',
    ) -> JobActionDone:
        """Do something to jobs of a dataset and all their tasks; arguments as for tasks."""
        body = {'dry_run': dry_run, 'reason': reason, **_lists({'jobs': jobs})}
        return cast(JobActionDone, await self._act(dataset_id, 'job_actions', action, body))

    async def act_on_dataset(
        self, dataset_id: str, action: ActionName, *, dry_run: bool = False, reason: str = ''
    ) -> DatasetActionDone:
        """Do something to a dataset, all its jobs and all its tasks; arguments as for tasks."""
        body = {'dry_run': dry_run, 'reason': reason}
        return cast(DatasetActionDone, await self._act(dataset_id, 'dataset_actions', action, body))

    async def set_requirements(self, dataset_id: str, name: str, requirements: Requirements) -> None:
        """Set requirements of all tasks of a dataset that have a name; those not named stay as they are."""
        path = f'{in_dataset(dataset_id)}/task_actions/bulk_requirements/{part(name)}'
        await self._ask(Request('PATCH', path, body=requirements, silence_seconds=LONGEST_SILENCE_SECONDS))

    async def _act(self, dataset_id: str, where: str, action: ActionName, body: Mapping[str, Any]) -> Any:
        path = f'{in_dataset(dataset_id)}/{where}/{part(action)}'
        said = {name: value for name, value in body.items() if value != ''}
        return await self._once(path, said, silence_seconds=LONGEST_SILENCE_SECONDS)


def _lists(chosen: Mapping[str, Iterable[str] | None]) -> dict[str, list[str]]:
    """What is named, where anything is: an empty list is not the same as none."""
    return {name: list(words) for name, words in chosen.items() if words is not None}
