"""Whatever happens to a task, in whatever order: its states, seen from outside, walk Drove's arrows to a result."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iceprod_tasks.dialects.drove.states import AGAIN, ARROWS, TERMINAL, between
from iceprod_tasks.domain.tasks import new_id
from iceprod_tasks.scheduler.operations import Operations
from iceprod_tasks.scheduler.rescue import Rescue
from iceprod_tasks.scheduler.scheduler import Scheduler
from tests.actions.operated import LATER, let_pass
from tests.conftest import Api
from tests.dialects.drove.bodies import create, kill, spec
from tests.dialects.drove.conftest import Drove

PHASES = ('provisioning', 'starting', 'running', 'run_completed', 'deprovisioning')
REPORTS = ('complete', 'reset', 'failed', 'hand_back')
CAUSES = ('', 'run_time', 'provisioning')
STEPS = st.one_of(
    st.just(('claim',)),
    st.tuples(st.just('phase'), st.sampled_from(PHASES)),
    st.tuples(st.just('report'), st.sampled_from(REPORTS), st.sampled_from(CAUSES), st.sampled_from([0, 1, None])),
    st.tuples(st.just('late report'), st.sampled_from(REPORTS)),
    st.just(('kill',)),
    st.just(('lease over',)),
    st.just(('stop overdue',)),
    st.just(('deadline',)),
    st.just(('chores',)),
)


class Day:
    """A task and all that can happen to it."""

    def __init__(self, drove: Drove) -> None:
        self.drove = drove
        self.claims: list[dict[str, Any]] = []
        self.seen: list[str] = []

    async def do(self, step: tuple[Any, ...]) -> None:
        await {
            'claim': self._claim, 'phase': self._phase, 'report': self._report, 'late report': self._late_report,
            'kill': self._kill, 'lease over': self._lease_over, 'stop overdue': self._stop_overdue,
            'deadline': self._deadline, 'chores': self._chores,
        }[step[0]](*step[1:])  # fmt: skip
        self.seen.append((await self.drove.info())['state'])

    async def end(self) -> None:
        """Let all time pass that a task may have."""
        for step in (('deadline',), ('chores',), ('lease over',), ('stop overdue',), ('chores',)) * 6:
            await self.do(step)
            if self.seen[-1] in TERMINAL:
                return

    @property
    def api(self) -> Api:
        return self.drove.api

    async def _claim(self) -> None:
        body = {'requirements': {'cpu': 1, 'memory': 1, 'work': True}, 'claim_id': new_id(), 'lease_seconds': 60}
        answer = await self.api.as_('pilot', 'p')('POST', '/task_actions/process', body)
        if answer.status == 200:
            self.claims.append(answer.body)

    async def _phase(self, phase: str) -> None:
        await self._tell(-1, 'heartbeat', phase=phase)

    async def _report(self, how: str, cause: str, exit_code: int | None) -> None:
        said = {'cause': cause} if cause and how in ('reset', 'failed') else {}
        said |= {} if exit_code is None else {'exit_code': exit_code}
        await self._tell(-1, how, reason='why', **said)

    async def _late_report(self, how: str) -> None:
        await self._tell(0, how)

    async def _tell(self, place: int, action: str, **said: Any) -> None:
        if self.claims:
            claim = self.claims[place]
            path = f'/tasks/{claim["task_id"]}/task_actions/{action}'
            await self.api.as_('pilot', 'p')('POST', path, {'claim_id': claim['claim_id'], **said})

    async def _kill(self) -> None:
        await self.drove.operate(kill())

    async def _lease_over(self) -> None:
        held = {'status': 'processing', 'lease_until': {'$ne': None}}
        await self.api.database.tasks.update_many(held, [{'$set': {'lease_until': '$$NOW'}}])
        await Rescue(self.api.service).turn()

    async def _stop_overdue(self) -> None:
        asked = {'stop.deadline': {'$exists': True}}
        await self.api.database.tasks.update_many(asked, [{'$set': {'stop.deadline': '$$NOW'}}])
        await Rescue(self.api.service).turn()

    async def _deadline(self) -> None:
        await let_pass(self.api, deadline=LATER)
        await Operations(self.api.service).turn()

    async def _chores(self) -> None:
        await Operations(self.api.service).turn()
        await self.api.database.tasks.update_many({'status': 'reset'}, [{'$set': {'status_changed': _LONG_AGO}}])
        await Scheduler(self.api.service).sweep()


_LONG_AGO = {'$subtract': ['$status_changed', 3_600_000]}


@pytest.mark.parametrize('retries', [0, 2])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=14))
async def test_every_day_of_a_task_is_a_walk_to_a_result(drove: Drove, retries: int, steps: list[Any]) -> None:
    for name in ('tasks', 'operations', 'messages'):
        await drove.api.database[name].delete_many({})
    day = Day(drove)
    assert (await drove.operate(create(spec(retries=retries)))).status == 200

    for step in steps:
        await day.do(step)
    await day.end()
    ended = await drove.info()
    await day.do(('late report', 'complete'))
    await day.do(('claim',))

    arrows = ARROWS | AGAIN if retries else ARROWS
    for old, new in pairwise(['PENDING', *day.seen]):
        assert old == new or between(old, new) or (retries and new == 'PENDING'), day.seen
    states = [each['state'] for each in ended['states']]
    assert all(pair in arrows for pair in pairwise(states)), states
    assert day.seen[-1] == ended['state'] == states[-1]
    assert ended['state'] in TERMINAL, day.seen
    assert set(ended['taskResult']) == {'status', 'exitCode'}
    assert (await drove.info())['taskResult'] == ended['taskResult']
