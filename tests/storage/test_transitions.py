"""The database carries out a row of the status table exactly when its source is allowed, and all of it at once."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iceprod_tasks.domain.statuses import STATUSES, TRANSITIONS, Change, ClaimEffect, Outcome, Transition, set_status
from iceprod_tasks.domain.tasks import LOG_LENGTH, new_id, new_task
from iceprod_tasks.storage.client import utc_now
from iceprod_tasks.storage.message_updates import AT_MOST
from iceprod_tasks.storage.transitions import Claim, Note, Particulars, update, update_each
from tests.conftest import Api

BY_HAND = [row for free in (True, False) for target in STATUSES if (row := set_status(target, free=free))]
ROWS = [*TRANSITIONS.values(), *BY_HAND]
GIVEN = {'dataset_id': 'd', 'job_id': 'j', 'job_index': 0, 'task_index': 0, 'name': 'gen', 'requirements': {}}
KEPT = ('status', 'failures', 'evictions', 'claim_id', 'lease_until', 'outcome', 'log')


async def stored(api: Api, status: str, *, blocked: bool) -> str:
    given = {**GIVEN, 'status': status, 'depends': ['other'] if blocked else []}
    task = new_task(given, new_id(), utc_now(), managed=False)
    await api.service.store.tasks.add({**task, 'failures': 2, 'claim_id': 'c', 'outcome': {'result': 'old'}})
    return str(task['task_id'])


def after(task: dict[str, Any], row: Transition) -> dict[str, Any]:
    """What a row makes of a task, in plain Python."""
    count = {Change.KEEP: lambda old: old, Change.ZERO: lambda old: 0, Change.INCREMENT: lambda old: old + 1}
    target = row.blocked_target if row.blocked_target and task['depends'] else row.target
    outcome: Any = task['outcome'] if row.outcome is Outcome.KEEP else None
    if row.outcome.value not in ('', 'keep'):
        outcome = {'result': row.outcome.value, 'exit_code': 3}
    return {
        **task,
        'status': target,
        'failures': count[row.failures](task['failures']),
        'evictions': count[row.evictions](task['evictions']),
        'claim_id': '' if row.claim is ClaimEffect.CLOSE else task['claim_id'],
        'outcome': outcome,
        'log': [*task['log'], (task['status'], target, row.name, task['claim_id'])][-LOG_LENGTH:],
    }


def brief(task: dict[str, Any]) -> dict[str, Any]:
    log = [(entry['from'], entry['to'], entry['transition'], entry['claim']) for entry in task['log']]
    return {name: task[name] for name in (*KEPT, 'depends')} | {'log': log}


@pytest.mark.parametrize('row', ROWS, ids=lambda row: f'{row.name} to {row.target} by {row.asked_by}')
@pytest.mark.parametrize('blocked', [False, True])
async def test_a_row_happens_exactly_from_its_sources(api: Api, row: Transition, blocked: bool) -> None:
    tasks = api.service.store.tasks
    note = Note('who', '$status', sets={'site': '$$ROOT'}, outcome={'exit_code': 3})
    for source in STATUSES:
        task_id = await stored(api, source, blocked=blocked)
        before = await tasks.get(task_id)
        assert before is not None

        moved = await tasks.move_one(row, note, task_id)

        now = await tasks.get(task_id)
        assert now is not None
        if source not in row.sources:
            assert (moved, now) == (0, before)
            continue
        assert moved == 1
        assert brief(now) == after(brief(before), row)
        assert now['updated'] == now['log'][-1]['when'] >= before['updated']
        assert now['status_changed'] == (before['status_changed'] if row.stays else now['updated'])
        assert (now['site'], now['log'][-1]['who'], now['log'][-1]['why']) == ('$$ROOT', 'who', '$status')


@settings(deadline=None, max_examples=25)
@given(start=st.sampled_from(STATUSES), walk=st.lists(st.sampled_from(ROWS), max_size=70), blocked=st.booleans())
async def test_every_walk_over_the_table_goes_as_the_table_says(
    shared_api: Api, start: str, walk: list[Transition], blocked: bool
) -> None:
    tasks = shared_api.service.store.tasks
    task_id = await stored(shared_api, start, blocked=blocked)
    model = brief(await tasks.get(task_id) or {})

    for row in walk:
        allowed = model['status'] in row.sources
        assert await tasks.move_one(row, Note(outcome={'exit_code': 3}), task_id) == allowed
        model = after(model, row) if allowed else model

    assert brief(await tasks.get(task_id) or {}) == model


async def test_many_are_moved_only_from_allowed_sources(api: Api) -> None:
    ids = {source: await stored(api, source, blocked=False) for source in STATUSES}

    moved = await api.service.store.tasks.move_all(
        TRANSITIONS['suspend'], Note(), {'task_id': {'$in': [*ids.values()]}}
    )

    assert moved == len(TRANSITIONS['suspend'].sources)
    assert (await api.database.tasks.find_one({'task_id': ids['complete']}))['status'] == 'complete'


PARTICULARS = st.builds(
    Note,
    who=st.sampled_from(['who', '$status']),
    why=st.sampled_from(['', '$$ROOT']),
    sets=st.fixed_dictionaries({'site': st.sampled_from(['a', '$$NOW']), 'outcome': st.just({'exit_code': 1})}),
    adds=st.fixed_dictionaries({'walltime_err': st.sampled_from([0.5, 2.0])}),
    outcome=st.fixed_dictionaries({'exit_code': st.integers(0, 3)}),
    message=st.fixed_dictionaries({'mtype': st.just('error'), 'text': st.sampled_from(['$$NOW', 'it broke'])}),
)
LET = {AT_MOST: 200}


@settings(deadline=None, max_examples=20)
@given(
    row=st.sampled_from(ROWS), notes=st.lists(PARTICULARS, min_size=2, max_size=4), lease=st.sampled_from([None, 7.5])
)
async def test_a_transition_of_many_is_that_of_each(
    shared_api: Api, row: Transition, notes: list[Note], lease: float | None
) -> None:
    source, tasks = min(row.sources), shared_api.database.tasks
    opens = row.claim is ClaimEffect.OPEN
    alone = [await stored(shared_api, source, blocked=False) for _ in notes]
    together = [await stored(shared_api, source, blocked=False) for _ in notes]
    # A claim id is that of one task only.
    claims = [Claim(new_id(), lease, f'$p{place}', '$$ROOT', 'me') if opens else None for place in range(len(notes))]

    for task_id, note, claim in zip(alone, notes, claims, strict=True):
        own = None if claim is None else replace(claim, claim_id=claim.claim_id[::-1])
        await tasks.update_one({'task_id': task_id}, update(row, note, own), let=LET)
    particulars = {
        task_id: Particulars(note, claim) for task_id, note, claim in zip(together, notes, claims, strict=True)
    }
    assert len({each.shape for each in particulars.values()}) == 1
    await tasks.update_many({'task_id': {'$in': together}}, update_each(row, 'task_id', particulars), let=LET)

    for one, other, claim in zip(alone, together, claims, strict=True):
        left, right = [await tasks.find_one({'task_id': task_id}) for task_id in (one, other)]
        own = '' if claim is None else claim.claim_id
        assert plain(left, own[::-1]) == plain(right, own)


def plain(task: dict[str, Any], claim_id: str) -> dict[str, Any]:
    """A task without what no two have in common: ids are told by their places, times by how long after a change."""
    changed = task['updated']
    messages = [sorted(message.items()) for message in task.get('messages', ())]
    text = repr({**task, 'messages': messages, '_id': 0, 'task_id': 0, 'create_date': 0})
    for time in (changed, task['lease_until'], task['status_changed'], task.get('message_at')):
        if time is not None:
            text = text.replace(repr(time), str(time - changed if time >= changed else 'before'))
    return {'text': text.replace(claim_id, 'claim') if claim_id else text}
