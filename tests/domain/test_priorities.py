"""Priorities: bounded, monotone, the same in any order; nothing starves, and light users do not wait for heavy ones."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iceprod_tasks.domain.priorities import (
    AGE_A_DAY,
    BOUND_DAYS,
    FINISH_WEIGHT,
    FIRST_JOBS_WEIGHT,
    Contender,
    Factors,
    Place,
    explain,
    offset,
    place,
    priority,
    unfinished_jobs,
    weigh,
)

USERS = ('ada', 'bob', 'eve')
GROUPS = ('users', 'simprod', 'filtering')
HALF = dict.fromkeys((*USERS, *GROUPS), 0.5)

untimed = settings(deadline=None)

priorities = st.floats(0, 1)
contenders = st.builds(
    Contender,
    dataset_id=st.uuids().map(str),
    user=st.sampled_from(USERS),
    group=st.sampled_from(GROUPS),
    priority=st.one_of(st.floats(allow_nan=False), st.integers(-5, 5), st.floats(0, 1)),
    jobs=st.integers(0, 10**9),
    unfinished_tasks=st.integers(0, 10**12),
    age_days=st.floats(-1, 1e4),
    suspended=st.booleans(),
)
worlds = st.lists(contenders, min_size=1, max_size=8, unique_by=lambda each: each.dataset_id)
scales = st.dictionaries(st.sampled_from((*USERS, *GROUPS)), st.floats(allow_nan=True), max_size=6)
places = st.builds(place, st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**9))


def one(**changes: object) -> Contender:
    given = Contender('d', 'ada', 'simprod', 0.5, jobs=100, unfinished_tasks=100, age_days=0.0)
    return replace(given, **changes)  # type: ignore[arg-type]


def weighed(*contenders: Contender, **people: float) -> Factors:
    """The factors of the first one."""
    return weigh(contenders, {**HALF, **people}, {**HALF, **people})[contenders[0].dataset_id]


@untimed
@given(worlds, scales, scales)
def test_a_base_is_bounded_but_for_its_age(
    world: list[Contender], users: dict[str, float], groups: dict[str, float]
) -> None:
    for factors in weigh(world, users, groups).values():
        standing = factors.base - factors.age

        assert -1e-9 <= standing <= 2 + 1e-9
        assert 0 <= factors.wish <= 1
        assert 0 <= factors.fair_share <= 1
        assert all(part <= 0 for part in (factors.competition, factors.user, factors.group, factors.size))
        assert factors.competition >= -0.25
        assert math.isfinite(factors.age)


@untimed
@given(worlds, scales, scales, st.randoms())
def test_the_order_of_datasets_does_not_matter(
    world: list[Contender], users: dict[str, float], groups: dict[str, float], shuffle: random.Random
) -> None:
    other = list(world)
    shuffle.shuffle(other)

    assert weigh(world, users, groups) == weigh(other, users, groups)


# What raises a base when it grows, and what lowers it.
RAISING = {'priority': st.floats(0, 10), 'age_days': st.floats(0, 1000)}
LOWERING = {'jobs': st.integers(0, 10**7), 'unfinished_tasks': st.integers(1, 10**7)}


@pytest.mark.parametrize('name', [*RAISING, *LOWERING])
@untimed
@given(data=st.data(), world=worlds, mine=contenders)
def test_a_base_is_monotone_in_what_is_said_of_the_dataset(
    name: str, data: st.DataObject, world: list[Contender], mine: Contender
) -> None:
    low, high = sorted(data.draw(st.tuples(*2 * [{**RAISING, **LOWERING}[name]])))
    less, more = replace(mine, **{name: low}), replace(mine, **{name: high})

    bases = [weigh([each, *world], HALF, HALF)[mine.dataset_id].base for each in (less, more)]

    assert bases == sorted(bases, reverse=name in LOWERING)


@pytest.mark.parametrize('of', ['users', 'groups'])
@untimed
@given(world=worlds, low=priorities, high=priorities)
def test_a_base_is_monotone_in_the_priorities_of_people(
    of: str, world: list[Contender], low: float, high: float
) -> None:
    low, high = sorted((low, high))
    name = world[0].user if of == 'users' else world[0].group

    less, more = (
        weigh(
            world, {**HALF, name: value} if of == 'users' else HALF, {**HALF, name: value} if of == 'groups' else HALF
        )
        for value in (low, high)
    )

    assert less[world[0].dataset_id].base <= more[world[0].dataset_id].base


@untimed
@given(places, st.floats(-10, 1e4))
def test_an_offset_is_bounded_and_goes_down_with_late_coming(where: Place, late_days: float) -> None:
    assert 0 <= where.finish <= FINISH_WEIGHT
    assert 0 <= where.first_jobs <= FIRST_JOBS_WEIGHT
    assert offset(where, late_days + 1) <= offset(where, late_days) <= FINISH_WEIGHT + FIRST_JOBS_WEIGHT


def test_later_tasks_of_a_job_and_the_first_jobs_come_first() -> None:
    in_a_job = [offset(place(index, 4, 500), 0) for index in range(4)]
    of_jobs = [offset(place(0, 4, index), 0) for index in range(100)]

    assert in_a_job == sorted(set(in_a_job))
    assert of_jobs == sorted(set(of_jobs), reverse=True)
    assert offset(place(0, 4, 100), 0) == offset(place(0, 4, 10**6), 0) == 0


# The single factors, by example.


def test_a_wish_counts_among_the_datasets_of_its_owner() -> None:
    mine, other = one(priority=2.0), one(dataset_id='e', priority=8.0)

    assert weighed(mine, other).wish == 0.25
    assert weighed(other, mine).wish == 1.0
    assert weighed(mine, replace(other, user='bob', group='users')).wish == 1.0
    assert weighed(mine, replace(other, suspended=True)).wish == 1.0
    assert weighed(mine, replace(other, unfinished_tasks=0)).wish == 1.0
    # What does not compete has a base all the same, for when it goes on.
    assert weighed(replace(other, suspended=True)).wish == 1.0
    assert weighed(replace(mine, suspended=True), other).wish == 0.25


@pytest.mark.parametrize('wish', [0, 0.0, -1.0, -1e308])
def test_who_wishes_nothing_gets_nothing_for_it(wish: float) -> None:
    assert weighed(one(priority=wish)).wish == 0
    assert weighed(one(priority=wish), one(dataset_id='e', priority=wish)).wish == 0


def test_competition_is_within_a_group_but_not_within_the_one_of_everybody() -> None:
    mine, rival = one(priority=2.0), one(dataset_id='e', user='bob', priority=8.0)

    assert weighed(mine, rival).competition == pytest.approx(-0.75 / 4, abs=0.001)
    assert weighed(mine, replace(rival, group='filtering')).competition == 0
    assert weighed(replace(mine, group='users'), replace(rival, group='users')).competition == 0


def test_the_priority_of_a_user_counts_in_the_group_of_everybody_only() -> None:
    assert weighed(one(group='users'), ada=0.25, users=1.0).user == -0.5
    assert weighed(one(group='simprod'), ada=0.25).user == 0


def test_the_priority_of_a_group_is_a_factor() -> None:
    assert weighed(one(), simprod=0.3).group == -0.7
    assert weighed(one(group='nobody knows')).group == -0.5


def test_very_many_jobs_cost_a_little() -> None:
    sizes = [weighed(one(jobs=jobs), simprod=1.0).size for jobs in (0, 10_000, 100_000, 10_000_000)]

    assert sizes == [0, 0, pytest.approx(10**-0.05 - 1, abs=0.001), pytest.approx(10**-0.15 - 1, abs=0.001)]


def test_a_fair_share_is_that_of_the_user_and_not_of_the_dataset() -> None:
    mine = one(unfinished_tasks=100)
    split = [one(dataset_id=f'd{part}', unfinished_tasks=20) for part in range(5)]
    theirs = one(dataset_id='e', user='bob', unfinished_tasks=300)

    assert weighed(mine, theirs).fair_share == weighed(*split, theirs).fair_share == 0.75
    assert weighed(theirs, mine).fair_share == 0.25
    assert weighed(one(unfinished_tasks=0)).fair_share == 1.0


def test_a_fair_share_changes_in_steps() -> None:
    theirs = one(dataset_id='e', user='bob', unfinished_tasks=10_000)

    found = {weighed(one(unfinished_tasks=tasks), theirs).fair_share for tasks in range(0, 10_000, 7)}

    assert found == {round(1 - step / 20, 3) for step in range(10)}


def test_age_counts_in_whole_days_without_end() -> None:
    ages = [weighed(one(age_days=days)).age for days in (-3.0, 0.99, 1.0, 1.99, 400.0)]

    assert ages == [0, 0, AGE_A_DAY, AGE_A_DAY, 400 * AGE_A_DAY]


@untimed
@given(worlds, st.floats(0, 100), st.floats(-2, 2))
def test_the_parts_of_a_priority_add_up_to_it(world: list[Contender], late_days: float, pending: float) -> None:
    factors = weigh(world, HALF, HALF)[world[0].dataset_id]
    own = offset(place(3, 7, 11), late_days)
    parts = {name: getattr(factors, name) for name in Factors.__dataclass_fields__}
    task = {'task_index': 3, 'job_index': 11, 'priority_offset': own}

    shown = explain({**task, 'priority': round(factors.base + own + pending, 6)}, 7, parts)

    assert math.fsum(shown.values()) == pytest.approx(factors.base + own + pending, abs=1e-5)
    assert shown['pending'] == pytest.approx(pending, abs=1e-5)
    assert shown['age'] == pytest.approx(factors.age - AGE_A_DAY * math.floor(late_days), abs=1e-5)


@pytest.mark.parametrize(
    ('status', 'processing', 'unfinished'),
    [('processing', 0, 7), ('processing', 3, 10), ('truncated', 3, 3), ('suspended', 3, 3), ('errors', 0, 0)],
)
def test_unfinished_are_jobs_under_way_and_those_still_to_be_made(
    status: str, processing: int, unfinished: int
) -> None:
    dataset = {'status': status, 'jobs_submitted': 10, 'jobs_materialized': 3}

    assert unfinished_jobs(dataset, processing) == unfinished


def test_jobs_that_a_client_makes_itself_are_counted_once() -> None:
    dataset = {'status': 'processing', 'jobs_submitted': 10, 'jobs_materialized': 0}

    assert unfinished_jobs(dataset, 10) == 10
    assert unfinished_jobs({**dataset, 'jobs_submitted': 0}, 4) == 4


# Nothing starves.


@untimed
@given(
    worlds, contenders, contenders, scales, scales, places, places, st.floats(0, 100), st.floats(0, 100),
    st.floats(BOUND_DAYS, 2000),
)  # fmt: skip
def test_a_task_comes_before_all_that_are_made_a_bound_later(
    world: list[Contender],
    old: Contender,
    young: Contender,
    users: dict[str, float],
    groups: dict[str, float],
    old_place: Place,
    young_place: Place,
    old_late: float,
    young_late: float,
    apart: float,
) -> None:
    """Whoever owns it, whatever they wish, whatever its place, however old its dataset was when it was made."""
    young_age = 3.5
    old = replace(old, age_days=young_age + apart + old_late)
    young = replace(young, age_days=young_age + young_late)

    factors = weigh([old, young, *world], users, groups)

    first = priority(factors[old.dataset_id].base, offset(old_place, old_late))
    then = priority(factors[young.dataset_id].base, offset(young_place, young_late))
    assert first > then


DEFAULTS = {'admin': 1.0, 'filtering': 0.9, 'users': 0.7, 'simprod': 0.5}


@pytest.mark.parametrize('light', DEFAULTS)
@pytest.mark.parametrize('heavy', DEFAULTS)
def test_a_small_load_is_ahead_of_a_huge_one_of_any_group(light: str, heavy: str) -> None:
    small = one(dataset_id='small', user='ada', group=light, unfinished_tasks=1000)
    huge = one(dataset_id='huge', user='bob', group=heavy, unfinished_tasks=9000)

    bases = weigh([small, huge], {}, DEFAULTS)

    first_look = offset(place(4, 5, 0), 0)
    assert bases['small'].base > bases['huge'].base + first_look


def test_a_small_load_is_ahead_of_a_huge_one_that_came_three_weeks_before() -> None:
    small, huge = one(unfinished_tasks=10), one(dataset_id='e', user='bob', unfinished_tasks=90, age_days=22.0)

    assert weighed(small, huge).base >= weighed(huge, small).base + offset(place(4, 5, 0), 0)


def test_the_bound_is_a_known_number_of_days() -> None:
    assert pytest.approx(92) == BOUND_DAYS


@dataclass
class Submission:
    """A dataset of a simulation: its tasks all take a day."""

    contender: Contender
    day: int
    tasks: int
    started: list[int] = field(default_factory=list)

    @property
    def left(self) -> int:
        return self.tasks - len(self.started)


def simulate(submissions: Sequence[Submission], slots: int) -> None:
    """Let slots take the best task each day until all have been started, by the pure functions only."""
    day = 0
    while any(each.left for each in submissions):
        here = [each for each in submissions if each.day <= day and each.left]
        world = [replace(each.contender, unfinished_tasks=each.left, age_days=float(day - each.day)) for each in here]
        bases = {name: factors.base for name, factors in weigh(world, HALF, HALF).items()}
        for _ in range(min(slots, sum(each.left for each in here))):
            best = max((each for each in here if each.left), key=lambda each: (next_priority(each, bases), -each.day))
            best.started.append(day)
        day += 1


def next_priority(submission: Submission, bases: dict[str, float]) -> float:
    own = offset(place(0, 1, len(submission.started)), 0)
    return priority(bases[submission.contender.dataset_id], own)


def submitted(number: int, day: int, tasks: int, **fields: object) -> Submission:
    return Submission(one(dataset_id=f'd{number}', jobs=tasks, **fields), day, tasks)


submissions = st.lists(
    st.tuples(
        st.integers(0, 250), st.integers(1, 60), st.sampled_from(USERS), st.sampled_from(GROUPS), st.floats(0, 10)
    ),
    min_size=2,
    max_size=12,
).map(
    lambda rows: [
        submitted(number, day, tasks, user=user, group=group, priority=wish)
        for number, (day, tasks, user, group, wish) in enumerate(rows)
    ]
)


@settings(max_examples=60, deadline=None)
@given(submissions, st.integers(1, 3))
def test_among_users_that_compete_every_wait_is_bounded(world: list[Submission], slots: int) -> None:
    simulate(world, slots)

    for each in world:
        # Whatever comes more than a bound later is no reason to wait.
        ahead = sum(other.tasks for other in world if other.day <= each.day + BOUND_DAYS)
        assert max(each.started) - each.day <= ahead / slots
        for other in world:
            later = [day for day in other.started if other.day > each.day + BOUND_DAYS and day < max(each.started)]
            assert not later


def test_the_least_of_all_does_not_wait_for_ever_in_a_crowd_that_never_ends() -> None:
    least = submitted(0, 0, 1, user='eve', group='users', priority=0.0)
    crowd = [submitted(1 + day, day, 2, user='ada', group='filtering') for day in range(400)]

    simulate([least, *crowd], slots=1)

    # A crowd that brings twice what can be done: half of what came within the bound is done first, and then some.
    assert least.started[0] <= 2 * BOUND_DAYS
    assert max(max(each.started) for each in crowd) == 800


@settings(max_examples=30, deadline=None)
@given(
    st.integers(400, 900),
    st.lists(st.tuples(st.integers(1, 20), st.integers(1, 4)), min_size=1, max_size=6),
    st.sampled_from(GROUPS),
    st.floats(0.1, 10),
)
def test_a_user_with_a_small_load_does_not_wait_for_one_with_a_huge_one(
    huge: int, arrivals: list[tuple[int, int]], group: str, wish: float
) -> None:
    slots = 5
    heavy = submitted(0, 0, huge, user='bob', group=group, priority=wish)
    light = [
        submitted(1 + number, day, tasks, user='ada', group=group, priority=wish)
        for number, (day, tasks) in enumerate(arrivals)
    ]

    simulate([heavy, *light], slots)

    for each in light:
        own = sum(other.tasks for other in light if other.day <= each.started[-1])
        assert each.started[-1] - each.day <= own / slots
    # And the heavy one has all the rest.
    total = huge + sum(each.tasks for each in light)
    assert heavy.started[-1] <= total / slots + 1
