"""One process of pilots for the benchmark of claims: each claims and completes over and over on its own connection.

Reads what to do from the command line as JSON, and prints what came of it as JSON. HTTP is spoken by hand, as in
`load`, so that it takes little of the processor that the service under test shares with it.
"""

import asyncio
import dataclasses
import json
import os
import secrets
import sys
import time
from typing import Any

from tests.bench.load import NICENESS, Client, Load


@dataclasses.dataclass
class Pairs:
    """What one process does.

    Args:
        port: of the service.
        token: sent with each request.
        pilots: how many of them there are.
        seconds: how long they go on, once they are warm.
        dialect: `ours`, or `iceprod` for IceProd 3, where a pilot takes a waiting task by the action queue.
        offer: what each pilot has.
        batch: tasks a claim and a report; 0 for one at a time.
        claims_only: whether what was claimed is left as it is.
        at_most: claims after which it ends.
        warm_seconds: what is done in the beginning does not count.
    """

    port: int
    token: str
    pilots: int
    seconds: float
    dialect: str = 'ours'
    offer: dict[str, Any] = dataclasses.field(default_factory=lambda: {'cpu': 1, 'memory': 4})
    batch: int = 0
    claims_only: bool = False
    at_most: int = 10**9
    warm_seconds: float = 1.0


class Fleet:
    """All pilots of one process."""

    def __init__(self, pairs: Pairs) -> None:
        self._pairs = pairs
        self._begin = time.monotonic() + pairs.warm_seconds
        self._end = self._begin + pairs.seconds
        self.done = 0
        self.ever_done = 0
        self._claimed = 0
        self.waits: list[float] = []
        self.odd: dict[str, int] = {}

    async def fly(self) -> dict[str, Any]:
        """Let them work until time is over or nothing is left."""
        load = Load('pilots', self._pairs.port, self._pairs.token, self._pairs.pilots, self._pairs.seconds)
        one = self._batches if self._pairs.batch else self._pilot
        began = time.monotonic()
        await asyncio.gather(*(one(Client(load)) for _ in range(self._pairs.pilots)))
        self.waits.sort()
        took = min(time.monotonic(), self._end) - max(began, self._begin)
        return {'done': self.done, 'ever_done': self.ever_done, 'seconds': took, 'waits': self.waits, 'odd': self.odd}

    @property
    def _goes_on(self) -> bool:
        return time.monotonic() < self._end and self._claimed < self._pairs.at_most

    def _count(self, number: int) -> None:
        self.ever_done += number
        self.done += number * (self._begin <= time.monotonic() < self._end)

    async def _pilot(self, client: Client) -> None:
        iceprod = self._pairs.dialect == 'iceprod'
        path = '/task_actions/queue' if iceprod else '/task_actions/process'
        while self._goes_on:
            self._claimed += 1
            claim_id = secrets.token_hex(16)
            body = {'requirements': self._pairs.offer} | ({} if iceprod else {'claim_id': claim_id})
            began = time.monotonic()
            status, answer, _ = await client.ask('POST', path, body)
            if began >= self._begin:
                self.waits.append(time.monotonic() - began)
            if status != 200:
                self._note(status)
                return
            if self._pairs.claims_only:
                self._count(1)
                continue
            task = json.loads(answer)
            report = {'instance_id': task['instance_id']} if iceprod else {'claim_id': claim_id}
            status, _, _ = await client.ask('POST', f'/tasks/{task["task_id"]}/task_actions/complete', report)
            self._count(status == 200)
            if status != 200:
                self._note(status)

    async def _batches(self, client: Client) -> None:
        while self._goes_on:
            self._claimed += self._pairs.batch
            body = {'requirements': self._pairs.offer, 'claim_id': secrets.token_hex(16)}
            began = time.monotonic()
            status, answer, _ = await client.ask(
                'POST', '/task_actions/process', body | {'num_tasks': self._pairs.batch}
            )
            self.waits.append(time.monotonic() - began)
            if status != 200:
                self._note(status)
                return
            reports = [
                {'task_id': task['task_id'], 'claim_id': task['claim_id'], 'action': 'complete'}
                for task in json.loads(answer)['tasks']
            ]
            status, answer, _ = await client.ask('POST', '/task_actions/report', {'reports': reports})
            self._count(sum(result['code'] == 200 for result in json.loads(answer)['results']))

    def _note(self, status: int) -> None:
        self.odd[str(status)] = self.odd.get(str(status), 0) + 1


if __name__ == '__main__':
    os.nice(NICENESS)
    print(json.dumps(asyncio.run(Fleet(Pairs(**json.loads(sys.argv[1]))).fly())))
