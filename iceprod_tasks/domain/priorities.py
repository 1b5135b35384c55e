"""How much a task matters: the base of its dataset, which changes with time and load, and the offset of its place.

    priority = base + offset

The base is the same for all tasks of a dataset, so that one number has to be computed when something changes. The
offset never changes and stays on the task. docs/priorities.md tells what each part is for, and why upstream's differ.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from iceprod_tasks.domain.datasets import SHARED_GROUP
from iceprod_tasks.domain.people import DEFAULT_USER_PRIORITY

AGE_A_DAY = 0.025
"""What each day of waiting adds, without end: in 40 days as much as everything that a dataset can wish for."""

FINISH_WEIGHT = 0.05
FIRST_JOBS = 100
FIRST_JOBS_WEIGHT = 0.2

_WISH_AT_MOST = 1.0
_FAIR_SHARE_WEIGHT = 1.0
_COMPETITION_WEIGHT = 0.25
_LARGE_JOBS = 10_000
_SIZE_EXPONENT = 0.05
_SHARE_STEPS = 20
_BASE_DIGITS = 3
_PRIORITY_DIGITS = 6

# A day at both ends of a comparison is lost because ages are whole days.
BOUND_DAYS = (_WISH_AT_MOST + _FAIR_SHARE_WEIGHT + FINISH_WEIGHT + FIRST_JOBS_WEIGHT) / AGE_A_DAY + 2
"""A task comes before every other one that was made this many days later, whatever else is said of them."""

DEFAULT_GROUP_PRIORITY = 0.5
"""Of groups of which nothing is known."""


@dataclass(frozen=True, slots=True)
class Contender:
    """What the base of a dataset depends on.

    Args:
        dataset_id: its id.
        user: name of its owner.
        group: of its owner, by which it was submitted.
        priority: what the owner wishes, on a scale of their own.
        jobs: how many it has.
        unfinished_tasks: about how many of its tasks have not ended.
        age_days: since it was submitted.
        suspended: whether it is held back; then it takes nothing from others.
    """

    dataset_id: str
    user: str
    group: str
    priority: float
    jobs: int
    unfinished_tasks: int
    age_days: float
    suspended: bool = False

    @property
    def competes(self) -> bool:
        """Whether others have to share with it."""
        return not self.suspended and self.unfinished_tasks > 0


@dataclass(frozen=True, slots=True)
class Factors:
    """The parts of a dataset's base. They add up to it.

    Args:
        wish: its priority as a part of the highest one among its owner's datasets, 0 to 1.
        competition: taken off when others of its group wish more, at most a quarter; not in the group of everybody.
        user: taken off for the owner's own priority; only in the group of everybody.
        group: taken off for the priority of the group.
        size: taken off for very many jobs.
        fair_share: the part of all unfinished work that is other users', 0 to 1.
        age: for each day since the dataset was submitted.
    """

    wish: float
    competition: float
    user: float
    group: float
    size: float
    fair_share: float
    age: float

    @property
    def base(self) -> float:
        """Their sum."""
        return round(math.fsum(getattr(self, each.name) for each in fields(self)), _BASE_DIGITS)


@dataclass(frozen=True, slots=True)
class Place:
    """The parts of a task's offset that come from its place in the dataset.

    Args:
        finish: for a later task of a job, to finish what has begun.
        first_jobs: for the first jobs, to have a quick look at a new dataset.
    """

    finish: float
    first_jobs: float


def weigh(
    contenders: Sequence[Contender], user_priorities: Mapping[str, float], group_priorities: Mapping[str, float]
) -> dict[str, Factors]:
    """The bases of all datasets at once, because they depend on each other; the order of datasets does not matter.

    Args:
        contenders: every dataset with work left.
        user_priorities: of users, 0 to 1.
        group_priorities: of groups, 0 to 1.

    Returns:
        The factors of each dataset by its id.
    """
    of_users, of_groups, unfinished = _loads(contenders)
    return {
        each.dataset_id: _factors(
            each,
            highest_of_user=max(_positive(each.priority), of_users.get(each.user, 0.0)),
            highest_of_group=max(_positive(each.priority), of_groups.get(each.group, 0.0)),
            user=_unit(user_priorities.get(each.user, DEFAULT_USER_PRIORITY)),
            group=_unit(group_priorities.get(each.group, DEFAULT_GROUP_PRIORITY)),
            fair_share=_fair_share(unfinished.get(each.user, 0), sum(unfinished.values())),
        )
        for each in contenders
    }


def place(task_index: int, tasks_per_job: int, job_index: int) -> Place:
    """What a task gets for its place.

    Args:
        task_index: in its job.
        tasks_per_job: how many tasks the job has.
        job_index: in the dataset.
    """
    done = _unit(task_index / max(1, tasks_per_job))
    first = _unit((FIRST_JOBS - job_index) / FIRST_JOBS)
    return Place(round(done * FINISH_WEIGHT, _PRIORITY_DIGITS), round(first * FIRST_JOBS_WEIGHT, _PRIORITY_DIGITS))


def offset(where: Place, late_days: float) -> float:
    """What a task adds to the base of its dataset, for ever.

    Args:
        where: its place.
        late_days: how long after its dataset it was made. Its age does not count from before that, or whoever adds
            jobs to an old dataset would come before everybody else.
    """
    return round(where.finish + where.first_jobs - _age(late_days), _PRIORITY_DIGITS)


def priority(base: float, task_offset: float) -> float:
    """The priority of a task."""
    return round(base + task_offset, _PRIORITY_DIGITS)


def explain(task: Mapping[str, Any], tasks_per_job: int, factors: Mapping[str, float]) -> dict[str, float]:
    """All that a task's priority consists of.

    Args:
        task: with its place, priority_offset and priority.
        tasks_per_job: of its dataset.
        factors: the fields of the dataset's `Factors`.

    Returns:
        Parts that add up to the priority: the factors, with the age of the task; its place; and as `pending` what is
        still in it of an older base.
    """
    where = place(task['task_index'], tasks_per_job, task['job_index'])
    late = task['priority_offset'] - where.finish - where.first_jobs
    parts = {
        **factors,
        'age': factors['age'] + late,
        'finish': where.finish,
        'first_jobs': where.first_jobs,
        'pending': task['priority'] - math.fsum(factors.values()) - task['priority_offset'],
    }
    return {name: round(part, _PRIORITY_DIGITS) + 0.0 for name, part in parts.items()}


def unfinished_jobs(dataset: Mapping[str, Any], processing: int) -> int:
    """About how many jobs of a dataset have not ended.

    Args:
        dataset: its record.
        processing: how many of the jobs that exist are processing.
    """
    submitted: int = dataset['jobs_submitted']
    unmade = submitted - dataset['jobs_materialized'] if dataset['status'] == 'processing' else 0
    # Clients that make jobs themselves leave all of them unmade here.
    return min(processing + max(0, unmade), max(submitted, processing))


def _loads(contenders: Sequence[Contender]) -> tuple[dict[str, float], dict[str, float], dict[str, int]]:
    """The highest wish of each user, that of each group, and the unfinished tasks of each user."""
    of_users: dict[str, float] = {}
    of_groups: dict[str, float] = {}
    unfinished: dict[str, int] = {}
    for each in contenders:
        if each.competes:
            of_users[each.user] = max(of_users.get(each.user, 0.0), _positive(each.priority))
            of_groups[each.group] = max(of_groups.get(each.group, 0.0), _positive(each.priority))
            unfinished[each.user] = unfinished.get(each.user, 0) + each.unfinished_tasks
    return of_users, of_groups, unfinished


def _factors(
    contender: Contender,
    *,
    highest_of_user: float,
    highest_of_group: float,
    user: float,
    group: float,
    fair_share: float,
) -> Factors:
    everybody = contender.group == SHARED_GROUP
    wish = _ratio(contender.priority, highest_of_user)
    taken = 0.0 if everybody else (1 - _ratio(contender.priority, highest_of_group)) * _COMPETITION_WEIGHT
    left = max(0.0, wish - taken)
    by_user = left * math.sqrt(user) if everybody else left
    by_group = by_user * group
    by_size = by_group * _size(contender.jobs)
    # Rounding what is reached, not what is taken off, keeps every part growing with its input and the sum exact.
    reached = [round(value, _BASE_DIGITS) for value in (wish, left, by_user, by_group, by_size)]
    competition, by_user, by_group, by_size = (
        round(after - before, _BASE_DIGITS) for before, after in itertools.pairwise(reached)
    )
    return Factors(reached[0], competition, by_user, by_group, by_size, fair_share, _age(contender.age_days))


def _ratio(wished: float, highest: float) -> float:
    """A wish as a part of the highest one; who wishes nothing gets nothing."""
    return _unit(wished / highest) if highest > 0 else 0.0


def _size(jobs: int) -> float:
    return min(1.0, math.pow(_LARGE_JOBS / max(1, jobs), _SIZE_EXPONENT))


def _fair_share(own_tasks: int, all_tasks: int) -> float:
    """The part of the work that is others', in whole steps, so that it does not change with each task that ends."""
    steps = own_tasks * _SHARE_STEPS // all_tasks if all_tasks else 0
    return round((1 - steps / _SHARE_STEPS) * _FAIR_SHARE_WEIGHT, _BASE_DIGITS)


def _age(days: float) -> float:
    """What some days are worth. Only whole ones count: then a base changes once a day."""
    return round(math.floor(max(0.0, days)) * AGE_A_DAY, _BASE_DIGITS)


# The constants come first: so what is not a number becomes one.
def _positive(value: float) -> float:
    return max(0.0, value)


def _unit(value: float) -> float:
    return min(1.0, max(0.0, value))
