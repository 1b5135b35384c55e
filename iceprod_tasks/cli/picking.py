"""Tasks that are picked here and not by the service: by exit code, by site, or from the ids on stdin."""

import copy
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import click

from iceprod_tasks.client import ActionDone, AsyncClient, TaskDocument

AT_ONCE = 100_000
"""Ids that the service takes in one request."""

STDIN = '-'
_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Choice:
    """Which tasks of a dataset; what is empty does not matter.

    Args:
        tasks: their ids, or `-` for those on stdin.
        jobs: ids of their jobs.
        names: their names.
        statuses: their statuses.
        exit_codes: of their last try.
        sites: where they ran last.
    """

    tasks: Sequence[str] = ()
    jobs: Sequence[str] = ()
    names: Sequence[str] = ()
    statuses: Sequence[str] = ()
    exit_codes: Sequence[int] = ()
    sites: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            click.UsageError: it does.
        """
        picked = self.exit_codes or self.sites
        if self.tasks and (self.jobs or picked):
            raise click.UsageError('tasks that are named take neither --job nor --exit-code nor --site')

    async def ids(self, client: AsyncClient, dataset_id: str) -> list[str] | None:
        """The ids of the tasks where they are named or picked here; None leaves the choice to the service."""
        if self.tasks:
            more = sys.stdin.read().split() if STDIN in self.tasks else []
            return [task_id for task_id in dict.fromkeys([*self.tasks, *more]) if task_id != STDIN]
        if self.exit_codes or self.sites:
            return [task['task_id'] async for task in self._listed(client, dataset_id) if self._fits(task)]
        return None

    def asked(self, ids: Sequence[str] | None) -> dict[str, Sequence[str] | None]:
        """What the service is asked for: some ids, or what the user said."""
        return {
            'tasks': ids,
            'jobs': None if ids is not None else self.jobs or None,
            'names': self.names or None,
            'statuses': self.statuses or None,
        }

    async def _listed(self, client: AsyncClient, dataset_id: str) -> AsyncIterator[TaskDocument]:
        name = self.names[0] if len(self.names) == 1 else ''
        for job_id in self.jobs or ('',):
            keys = ('outcome', 'site', 'name')
            async for task in client.each_task(dataset_id, self.statuses, keys, name=name, job_id=job_id):
                yield task

    def _fits(self, task: TaskDocument) -> bool:
        exit_code = (task.get('outcome') or {}).get('exit_code')
        return (
            (not self.names or task['name'] in self.names)
            and (not self.exit_codes or exit_code in self.exit_codes)
            and (not self.sites or task['site'] in self.sites)
        )


async def in_portions(ids: Sequence[str], act: Callable[[Sequence[str]], Awaitable[ActionDone]]) -> ActionDone:
    """Act on any number of tasks, as many at a time as the service takes; one report of all."""
    return merged([await act(ids[start : start + AT_ONCE]) for start in range(0, len(ids), AT_ONCE)])


def merged(reports: Sequence[ActionDone]) -> ActionDone:
    """Several reports of the same action as one; at least one is needed."""
    total: Any = copy.deepcopy(reports[0])
    for each in cast(Sequence[Any], reports[1:]):
        for count in ('changed', 'unchanged', 'refused', 'stopping'):
            total[count] += each[count]
        for verdict, examples in total['examples'].items():
            examples += each['examples'][verdict][: _EXAMPLES - len(examples)]
    return cast(ActionDone, total)
