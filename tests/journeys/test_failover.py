"""kill -9 of the primary of three: not ready, ready again, writes again, nothing answered 500, nothing forgotten."""

import asyncio
import logging
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2

from iceprod_tasks.rest.identity.tokens import Tokens
from iceprod_tasks.server import running
from iceprod_tasks.settings import Settings
from tests.conftest import SECRET
from tests.faults.processes import Processes
from tests.faults.replica_set import ReplicaSet
from tests.journeys.test_drain import TASK

log = logging.getLogger(__name__)

LONGEST_SECONDS = 30
"""Measured: about 11 at MongoDB's election timeout of 10 s; the issue wants 15."""


class Asker:
    """Somebody who makes tasks, claims and reports them and looks at readyz, and keeps all answers."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http
        self.answers: list[tuple[float, str, int]] = []
        self.made: list[str] = []
        self.completed: list[str] = []

    async def ask(self, method: str, path: str, body: Any = None) -> httpx2.Response:
        response = await self._http.request(method, path, json=body)
        self.answers.append((time.monotonic(), path, response.status_code))
        return response

    async def make(self) -> None:
        while True:
            answer = await self.ask('POST', '/tasks', TASK)
            if answer.status_code == 201:
                self.made.append(answer.json()['result'])
            await asyncio.sleep(0.05)

    async def work(self, number: int) -> None:
        """Claim and complete; what is answered 503 is repeated, as a pilot does."""
        turn = 0
        while True:
            turn += 1
            claim_id = f'{number:08x}{turn:024x}'
            claim = await self._until_known('/task_actions/process', {'claim_id': claim_id})
            if claim.status_code == 200:
                task_id = claim.json()['task_id']
                report = await self._until_known(f'/tasks/{task_id}/task_actions/complete', {'claim_id': claim_id})
                assert report.status_code == 200
                self.completed.append(task_id)
            await asyncio.sleep(0.02)

    async def _until_known(self, path: str, body: Any) -> httpx2.Response:
        while (answer := await self.ask('POST', path, body)).status_code == 503:
            await asyncio.sleep(0.2)
        return answer

    async def look(self) -> None:
        while True:
            await self.ask('GET', '/readyz')
            await asyncio.sleep(0.1)

    def first(self, path: str, status: int, since: float) -> float | None:
        found = (when for when, *asked in self.answers if when > since and asked == [path, status])
        return next(found, None)


async def reached(asker: Asker, path: str, status: int, since: float) -> float:
    """How many seconds after a moment such an answer came."""
    while (found := asker.first(path, status, since)) is None:
        assert time.monotonic() - since < LONGEST_SECONDS, f'no {status} of {path}'
        await asyncio.sleep(0.02)
    return found - since


async def test_the_service_writes_again_soon_after_the_primary_was_killed(tmp_path: Path) -> None:
    tokens = Tokens(SECRET)
    headers = {'Authorization': f'Bearer {tokens.mint("root", ["admin"], [], 3600)}'}
    settings = Settings(token_secret=SECRET, port=0, archive_dir=tmp_path)
    with Processes(tmp_path) as processes:
        members = ReplicaSet(processes, tmp_path)
        await members.start()
        async with (
            running(settings, members.url, tokens) as up,
            httpx2.AsyncClient(base_url=f'http://127.0.0.1:{up.port}', headers=headers, timeout=30) as http,
            asyncio.timeout(120),
        ):
            asker = Asker(http)
            asking = [asyncio.create_task(each) for each in (asker.make(), asker.work(1), asker.work(2), asker.look())]
            await asyncio.sleep(2)
            before = len(asker.completed)

            killed = time.monotonic()
            (await members.primary()).kill()
            not_ready = await reached(asker, '/readyz', 503, killed)
            unready = time.monotonic()
            writes_again = await reached(asker, '/tasks', 201, unready) + unready - killed
            ready_again = await reached(asker, '/readyz', 200, unready) + unready - killed
            claims_again = await reached(asker, '/task_actions/process', 200, unready) + unready - killed
            await asyncio.sleep(2)
            for each in asking:
                each.cancel()
            outcomes = await asyncio.gather(*asking, return_exceptions=True)
            # A task whose answer was lost may be there, and be done.
            named = {*asker.made, *asker.completed}
            tasks = {task_id: (await http.get(f'/tasks/{task_id}')).json() for task_id in named}

    log.info(
        'not ready after %.1f s, writes again after %.1f s, claims after %.1f s, ready after %.1f s',
        not_ready, writes_again, claims_again, ready_again,
    )  # fmt: skip
    assert [outcome for outcome in outcomes if not isinstance(outcome, asyncio.CancelledError)] == []
    statuses = Counter(status for _, _, status in asker.answers)
    assert set(statuses) <= {200, 201, 404, 503}, statuses
    assert statuses[503] > 0
    assert before > 0
    assert len(asker.completed) > before
    # All that was acknowledged, before and after, is there.
    assert {tasks[task_id].get('status') for task_id in asker.completed} == {'complete'}
    assert all(tasks[task_id].get('task_id') == task_id for task_id in asker.made)
    assert len(set(asker.completed)) == len(asker.completed)
