"""Together: requests that wait while others are under way are served by the next command as one.

Many pilots that ask at once would each race for the same best task. What comes while a command is under way is
gathered, and the next command is for all of it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

Request = TypeVar('Request')
Answer = TypeVar('Answer')

Serve = Callable[[Sequence[Request]], Awaitable[Sequence[Answer | Exception]]]


class Together(Generic[Request, Answer]):
    """Gathers requests of a kind.

    One round of a kind is under way at a time. Whoever comes alone is a round of its own, and waits for nobody.

    Args:
        serve: answers requests of one kind, each with a result or with the error that it gets; an error that it raises
            is the answer to all of them.
        at_most: requests a round.
    """

    def __init__(self, serve: Serve[Request, Answer], at_most: int) -> None:
        self._serve = serve
        self._at_most = at_most
        self._waiting: dict[Hashable, list[tuple[Request, asyncio.Future[Answer]]]] = {}
        self._rounds: dict[Hashable, asyncio.Task[None]] = {}

    async def ask(self, kind: Hashable, request: Request) -> Answer:
        """The answer to a request.

        Args:
            kind: only requests of the same kind are served together.
            request: what `serve` gets.
        """
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(kind, []).append((request, answer))
        if kind not in self._rounds:
            self._rounds[kind] = asyncio.create_task(self._go_round(kind))
        return await answer

    async def _go_round(self, kind: Hashable) -> None:
        try:
            while waiting := self._waiting.pop(kind, None):
                if later := waiting[self._at_most :]:
                    self._waiting[kind] = later
                # Whoever has gone away meanwhile wants nothing more.
                await self._answer([each for each in waiting[: self._at_most] if not each[1].done()])
        finally:
            del self._rounds[kind]
            for _, answer in self._waiting.pop(kind, ()):
                answer.cancel()

    async def _answer(self, some: Sequence[tuple[Request, 'asyncio.Future[Answer]']]) -> None:
        if not some:
            return
        try:
            results = await self._serve([request for request, _ in some])
        except Exception as error:
            results = [error] * len(some)
        for (_, answer), result in zip(some, results, strict=True):
            if answer.done():
                continue
            if isinstance(result, Exception):
                answer.set_exception(result)
            else:
                answer.set_result(result)
