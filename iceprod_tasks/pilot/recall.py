"""Whether the service still wants an attempt: an operator may suspend, cancel or delete a task that runs."""

import asyncio
from dataclasses import dataclass, field

from iceprod_tasks.client import AsyncClient, Claim, ClientError, NotFound


@dataclass(slots=True)
class Recall:
    """Set when an attempt is to be ended early.

    Args:
        called: set as soon as it is known.
        reason: why, for people.
        lost: whether the task is not the pilot's any more, so that nobody waits for a report.
    """

    called: asyncio.Event = field(default_factory=asyncio.Event)
    reason: str = ''
    lost: bool = False

    async def watch(self, client: AsyncClient, claim: Claim, interval_seconds: float) -> None:
        """Look at the task again and again until it is recalled; a service that is away recalls nothing."""
        while not self.called.is_set():
            await asyncio.sleep(interval_seconds)
            try:
                task = await client.task(claim.task_id)
            except NotFound:
                self._call('the task is gone', lost=True)
            except ClientError:
                continue
            else:
                stop = task.get('stop')
                if task['status'] != 'processing' or task['epoch'] != claim.epoch:
                    self._call(f'the task is not ours any more; it is {task["status"]}', lost=True)
                elif stop:
                    self._call(f'asked to stop by {stop["who"]}: {stop["why"]}', lost=False)

    def _call(self, reason: str, *, lost: bool) -> None:
        self.reason, self.lost = reason, lost
        self.called.set()
