"""How an entry of `depends` is read, and circles found."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iceprod_tasks.domain.dependencies import (
    ById,
    Dependency,
    Node,
    OfDataset,
    OfJob,
    Place,
    check_circles,
    circle,
    graph,
    listed,
    read,
    task_in,
)
from iceprod_tasks.domain.errors import InvalidRequest
from iceprod_tasks.domain.tasks import materialized_id

GRAPHS = st.integers(1, 6).flatmap(
    lambda size: st.fixed_dictionaries({node: st.lists(st.integers(0, size - 1), max_size=3) for node in range(size)})
)


@pytest.mark.parametrize(
    ('entry', 'dependency'),
    [
        ('gen', OfJob('gen')), ('d1:gen', OfDataset('d1', 'gen')), ('d1:a:b', OfDataset('d1', 'a:b')),
        ('odd:name', OfJob('odd:name')), (':gen', ById(':gen')), ('d1:', ById('d1:')), ('a-b:c', ById('a-b:c')),
        ('0123abc', ById('0123abc')), ('', ById('')), ('d1:x\ny', OfDataset('d1', 'x\ny')),
    ],
)  # fmt: skip
def test_an_entry_is_a_name_first_then_a_name_of_another_dataset_then_an_id(entry: str, dependency: Dependency) -> None:
    assert read(entry, {'gen', 'odd:name'}) == dependency


def test_entries_are_listed_with_their_places() -> None:
    tasks = [{'name': 'a'}, {'name': 'b', 'depends': ['a', 'd:a']}, {'name': 'c', 'depends': ['b']}]

    assert list(listed(tasks)) == [(1, 0, OfJob('a')), (1, 1, OfDataset('d', 'a')), (2, 0, OfJob('b'))]


def test_a_place_is_another_task_in_each_job_and_an_id_the_same_one() -> None:
    assert [task_in(Place('d', 1), job) for job in (0, 7)] == [materialized_id('d', job, 1) for job in (0, 7)]
    assert [task_in(ById('x'), job) for job in (0, 7)] == ['x', 'x']


@given(GRAPHS)
def test_a_circle_is_found_where_somebody_waits_for_himself_in_the_end(waits_for: Mapping[int, list[int]]) -> None:
    def reached(node: int) -> set[int]:
        seen: set[int] = set()
        pending = list(waits_for[node])
        while pending:
            if (each := pending.pop()) not in seen:
                seen.add(each)
                pending += waits_for[each]
        return seen

    found = circle(waits_for)

    assert bool(found) == any(node in reached(node) for node in waits_for)
    for node, following in zip(found, [*found[1:], *found[:1]], strict=True):
        assert following in waits_for[node]


def refused(dataset_id: str, tasks: list[dict[str, object]], others: dict[Node, list[Node]] | None = None) -> str:
    nodes = {'id7': ('d2', 'b')}
    waits_for = graph(dataset_id, tasks, nodes) | (others or {})
    try:
        check_circles(dataset_id, tasks, waits_for, nodes)
    except InvalidRequest as error:
        return str(error)
    return ''


def test_a_circle_is_told_with_the_place_where_it_begins() -> None:
    own = [{'name': 'a', 'depends': ['b']}, {'name': 'b', 'depends': ['c', 'a']}, {'name': 'c'}]
    assert refused('d1', own) in (
        'tasks[0].depends[0]: dependencies form a circle: a -> b -> a',
        'tasks[1].depends[1]: dependencies form a circle: b -> a -> b',
    )
    assert refused('d1', [{'name': 'a', 'depends': ['a']}]) == (
        'tasks[0].depends[0]: dependencies form a circle: a -> a'
    )


@pytest.mark.parametrize('entry', ['d2:b', 'id7'])
def test_a_circle_through_other_datasets_tells_none_of_their_names(entry: str) -> None:
    tasks: list[dict[str, object]] = [{'name': 'a'}, {'name': 'x', 'depends': ['a', entry]}]
    far: dict[Node, list[Node]] = {('d2', 'b'): [('d3', 'secret')]}

    assert refused('d1', tasks, far | {('d3', 'secret'): [('d1', 'a')]}) == ''
    assert refused('d1', tasks, far | {('d3', 'secret'): [('d1', 'x')]}) == (
        'tasks[1].depends[1]: dependencies form a circle through other datasets'
    )
    assert refused('d1', tasks, far | {('d3', 'secret'): [('d2', 'b')]}) == (
        'tasks: dependencies lead to a circle of other datasets'
    )


def test_a_long_circle_is_told_in_short_and_found_at_once() -> None:
    tasks: list[dict[str, object]] = [
        {'name': f't{number}', 'depends': [f't{(number + 1) % 10_000}']} for number in range(10_000)
    ]

    assert len(refused('d1', tasks)) < 200
    assert refused('d1', [*tasks[:-1], {'name': 't9999'}]) == ''
