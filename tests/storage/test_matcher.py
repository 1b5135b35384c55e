"""The matcher and the plain rule: whatever tasks need, a claim gets the best one that fits, and none that does not."""

import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from iceprod_tasks.actions.claim import ClaimRequest, claim
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.errors import NoWork
from iceprod_tasks.domain.requirements import fits, is_number
from iceprod_tasks.domain.signatures import UNSIGNED, bucket_of, grown_signature, rung, rung_below, signature
from iceprod_tasks.domain.tasks import Task, new_id, new_task
from iceprod_tasks.storage.client import utc_now
from iceprod_tasks.storage.openings import Wanted
from tests.conftest import Api

PILOT = Caller('p', frozenset({'pilot'}))
KEYS = ('cpu', 'memory', 'disk', 'time', 'gpu', 'os', 'own')
CLAIMS_AN_OFFER = 3

SIGNERS = {
    'exact': signature, 'ladder': grown_signature, 'unsigned': lambda needs: UNSIGNED,
    'bucket': lambda needs: bucket_of(signature(needs)),
}  # fmt: skip

# The same few values again and again, and their neighbours on the ladder, so that many tasks share a group.
numbers = st.sampled_from([
    0, 1, 1.0, 2, 2.0, 2.5, 3, 3.3, 3.5, math.nextafter(3.5, 4), 3.7, 4, math.nextafter(4, 0), 4.2, 5, 64, 65, 1e-9,
    0.25, 0.3, -1, -0.0, 5e-324, 2.0**20, 2**20 + 1, 10**15, 2**53 + 1, 1e300, 2.5 * 1.5, 3.9 * 1.5,
]) | st.floats(0.5, 8)  # fmt: skip
others = st.sampled_from([None, True, False, '', 'A', 'B', '1', '$$ROOT', 'b00', 'l' * 16])
values = numbers | others | st.lists(numbers | others, max_size=3)
needs = st.dictionaries(st.sampled_from(KEYS), numbers, max_size=4) | st.dictionaries(st.sampled_from(KEYS), values)
priorities = st.sampled_from([0.1, 0.5, 0.5, 0.9])
# Of one group of the ladder, so that each offer near one of them fits some of the others.
grown = st.fixed_dictionaries({'memory': st.sampled_from([3.51, 3.6, 3.75, 3.9, 4])}, optional={'cpu': st.just(2)})
tasks = st.tuples(grown, st.just('ladder'), priorities) | st.tuples(needs, st.sampled_from(sorted(SIGNERS)), priorities)


def offered(data: st.DataObject, given: list[Any]) -> dict[str, Any]:
    """An offer near what one of the tasks needs."""
    offer: dict[str, Any] = {}
    for key, value in data.draw(st.sampled_from(given))[0].items():
        near = [value]
        if is_number(value):
            near += [rung(key, value), rung_below(key, value), math.nextafter(value, 0), value + 1]
        offer[key] = data.draw(st.sampled_from([each for each in near if not is_number(each) or math.isfinite(each)]))
    more = st.just({}) | st.dictionaries(st.sampled_from(KEYS), numbers | others, max_size=1)
    return {**offer, **data.draw(more)}


def stored(place: int, needs: dict[str, Any], signer: str, priority: float) -> Task:
    own = {
        'dataset_id': 'd', 'job_id': 'j', 'job_index': 0, 'task_index': place, 'name': 'n', 'depends': [],
        'requirements': needs, 'status': 'queued', 'priority': priority,
    }  # fmt: skip
    return {**new_task(own, new_id(), utc_now(), managed=False), '_id': place, 'signature': SIGNERS[signer](needs)}


@settings(deadline=None, max_examples=25)
@given(given=st.lists(tasks, min_size=5, max_size=60), data=st.data())
async def test_a_claim_gets_the_best_task_that_the_plain_rule_lets_it_have(
    shared_api: Api, given: list[Any], data: st.DataObject
) -> None:
    service, mark = shared_api.service, new_id()
    # Kinds that no example before had, since the service remembers one task of each.
    queue = [stored(place, {**needs, 'run': mark}, *more) for place, (needs, *more) in enumerate(given)]
    await shared_api.database.tasks.delete_many({})
    await shared_api.database.tasks.insert_many(queue)
    service.store.kinds.forget()

    for _ in range(8):
        offer = offered(data, given)
        for _ in range(CLAIMS_AN_OFFER):
            best = min(
                (task for task in queue if fits(task['requirements'], offer)),
                key=lambda task: (-task['priority'], task['_id']), default=None,
            )  # fmt: skip
            try:
                got = await claim(service, PILOT, ClaimRequest(Wanted(offer), new_id()))
            except NoWork as none:
                assert best is None, f'{offer} gets nothing, and not {best}'
                # All of them are unfinished yet.
                assert none.left == sum(fits(needs, offer) for needs, _, _ in given)
                break
            wanted = None if best is None else best['_id']
            assert got['task_index'] == wanted, f'{offer} gets {got["requirements"]}, and not {best}'
            queue = [task for task in queue if task['_id'] != wanted]
