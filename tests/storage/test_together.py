"""Requests that wait while others are under way are served together."""

import asyncio
from collections.abc import Sequence

import pytest

from iceprod_tasks.storage.together import Together


class Counter:
    """Serves by telling how many came together; waits for a word where it is told to."""

    def __init__(self) -> None:
        self.rounds: list[list[str]] = []
        self.go = asyncio.Event()

    async def __call__(self, requests: Sequence[str]) -> list[str | Exception]:
        self.rounds.append(list(requests))
        await self.go.wait()
        return [KeyError(each) if each.startswith('bad') else each.upper() for each in requests]


async def ask_all(together: Together[str, str], *requests: str, kind: str = 'k') -> list[asyncio.Task[str]]:
    asked = [asyncio.create_task(together.ask(kind, each)) for each in requests]
    await asyncio.sleep(0.01)
    return asked


async def test_what_comes_while_a_round_is_under_way_is_the_next_round() -> None:
    serve = Counter()
    together = Together(serve, at_most=10)
    first = await ask_all(together, 'a')
    others = await ask_all(together, 'b', 'c', 'd')

    serve.go.set()

    assert await asyncio.gather(*first, *others) == ['A', 'B', 'C', 'D']
    assert serve.rounds == [['a'], ['b', 'c', 'd']]


async def test_a_round_has_no_more_than_it_may() -> None:
    serve = Counter()
    together = Together(serve, at_most=2)
    first = await ask_all(together, 'a')
    others = await ask_all(together, 'b', 'c', 'd')

    serve.go.set()

    assert await asyncio.gather(*first, *others) == ['A', 'B', 'C', 'D']
    assert serve.rounds == [['a'], ['b', 'c'], ['d']]


async def test_kinds_do_not_wait_for_each_other() -> None:
    serve = Counter()
    together = Together(serve, at_most=10)

    await ask_all(together, 'a', kind='one')
    await ask_all(together, 'b', kind='two')

    assert serve.rounds == [['a'], ['b']]
    serve.go.set()


async def test_each_gets_its_own_error() -> None:
    serve = Counter()
    serve.go.set()

    answers = await asyncio.gather(
        *await ask_all(Together(serve, at_most=10), 'a', 'bad', 'b', 'bad too'), return_exceptions=True
    )

    assert [str(answer) for answer in answers] == ['A', "'bad'", 'B', "'bad too'"]


async def test_an_error_of_a_round_is_that_of_all_in_it_and_of_no_others() -> None:
    async def serve(requests: Sequence[str]) -> list[str | Exception]:
        if 'a' in requests:
            raise ValueError('down')
        return [*requests]

    together = Together(serve, at_most=2)

    answers = await asyncio.gather(*await ask_all(together, 'a', 'b', 'c'), return_exceptions=True)

    assert [str(answer) for answer in answers] == ['down', 'down', 'c']


async def test_who_has_gone_away_is_not_served_and_keeps_nobody() -> None:
    serve = Counter()
    together = Together(serve, at_most=10)
    first = await ask_all(together, 'a')
    gone, stays = await ask_all(together, 'gone', 'stays')

    first[0].cancel()
    gone.cancel()
    await asyncio.sleep(0)
    serve.go.set()

    assert await stays == 'STAYS'
    assert serve.rounds == [['a'], ['stays']]
    with pytest.raises(asyncio.CancelledError):
        await first[0]
