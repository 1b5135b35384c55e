"""POST /task_actions/process: seed 004, contract 2.2."""

import asyncio

import pytest

from tests.conftest import Api

CLAIM = '/task_actions/process'


async def test_the_highest_priority_is_claimed_first(api: Api) -> None:
    await api.add_task(priority=1.0)
    best = await api.add_task(priority=2.0)

    answer = await api('POST', CLAIM)

    assert answer.status == 200
    assert answer.body['task_id'] == best


async def test_two_hundred_claims_at_once_never_hand_out_a_task_twice(api: Api) -> None:
    tasks = {await api.add_task(task_index=index) for index in range(150)}

    answers = await asyncio.gather(*(api('POST', CLAIM, {'requirements': {'cpu': 1}}) for _ in range(200)))

    claimed = [answer.body['task_id'] for answer in answers if answer.status == 200]
    assert len(claimed) == len(set(claimed)) == 150
    assert set(claimed) == tasks
    assert {answer.status for answer in answers} == {200, 404}
