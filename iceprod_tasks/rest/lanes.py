"""Lanes: how much is worked on at once, by kind; what pilots need for their work has places that nothing else takes.

A request needs a place in its lane. When all are taken it waits for some seconds, in a queue of bounded length, and is
refused after that. Nobody is refused at once: to refuse costs a tenth of a claim, and who is refused comes back. While
clients wait they cost nothing, and there are no more of them than connections.

While pilots press, that is while many of their claims and reports are under way, the other lanes have fewer places, so
that the process's time goes to pilots first; but never to them alone.
"""

import asyncio
import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from iceprod_tasks.domain.errors import Busy, Overloaded

LaneName = Literal['claim', 'report', 'read', 'list', 'write', 'bulk', 'follow', 'forward', 'free']

WORK: tuple[LaneName, ...] = ('claim', 'report')
"""The lanes of pilots' work."""

BY_METHOD: Mapping[str, LaneName] = {
    'get': 'read',
    'post': 'write',
    'put': 'write',
    'patch': 'write',
    'delete': 'write',
}
"""The lane of a route that names none."""

_PRESSING = 4
"""So many claims and reports under way or waiting are more than a service does at its ease."""
_PRESSED_SECONDS = 0.5
"""Pressure is felt for so long: what is under way goes up and down a hundred times a second."""
_TURN_SECONDS = 0.01
"""Something long lets others have a turn after so long."""
_REST_OF_WORK = 9
_LONGEST_REST_SECONDS = 1.0
_HOLD_SECONDS = 1.0
"""How long a refusal is held back that needs no waiting."""
_JITTER = (0.75, 1.25)


@dataclass(frozen=True, slots=True)
class Width:
    """How much a lane takes.

    Args:
        places: requests that are worked on at once.
        pressed: the same while pilots press.
        waiting: requests that wait for a place.
        wait_seconds: how long one waits at the most, a quarter more or less.
    """

    places: int
    pressed: int
    waiting: int
    wait_seconds: float


WIDTHS: Mapping[LaneName, Width] = {
    'report': Width(32, 32, 4096, 10.0),
    'claim': Width(32, 32, 4096, 10.0),
    'read': Width(16, 3, 1024, 5.0),
    'list': Width(6, 1, 1024, 5.0),
    'write': Width(16, 3, 256, 5.0),
    'bulk': Width(8, 2, 256, 5.0),
    # Who follows an output mostly waits, which costs next to nothing.
    'follow': Width(256, 64, 1024, 5.0),
    # What waits for another service; each has its whole answer in memory.
    'forward': Width(4, 2, 256, 5.0),
}
"""Every lane but `free`, which has no end."""


class Lanes:
    """The lanes of one process.

    Args:
        widths: how much each takes.
    """

    def __init__(self, widths: Mapping[LaneName, Width] = WIDTHS) -> None:
        self._lanes = {name: _Lane(width) for name, width in widths.items()}
        self._work = [self._lanes[name] for name in WORK]
        self._pressed_until = 0.0
        self._relaxing = False

    @property
    def pressed(self) -> bool:
        """Whether pilots press."""
        return asyncio.get_running_loop().time() < self._pressed_until

    def _feel(self) -> None:
        """Look whether pilots press."""
        if sum(lane.taken + len(lane.queue) for lane in self._work) < _PRESSING:
            return
        loop = asyncio.get_running_loop()
        self._pressed_until = loop.time() + _PRESSED_SECONDS
        if not self._relaxing:
            self._relaxing = True
            loop.call_at(self._pressed_until, self._relax)

    def _relax(self) -> None:
        """Let in who has waited for pilots, once these press no longer."""
        if self.pressed:
            asyncio.get_running_loop().call_at(self._pressed_until, self._relax)
            return
        self._relaxing = False
        self._admit()

    def _admit(self) -> None:
        for lane in self._lanes.values():
            lane.admit(pressed=self.pressed)

    async def enter(self, name: LaneName) -> None:
        """Take a place; `leave` gives it back.

        Raises:
            Busy: there is none in time, in a lane of pilots' work.
            Overloaded: there is none in time.
        """
        if name == 'free':
            return
        lane = self._lanes[name]
        if not lane.queue and (lane.taken < lane.width.pressed or lane.taken < lane.limit(pressed=self.pressed)):
            lane.taken += 1
            self._feel()
            return
        if len(lane.queue) >= lane.width.waiting:
            await hold_back()
            raise _refusal(name)
        await self._turn(name, lane)

    async def _turn(self, name: LaneName, lane: '_Lane') -> None:
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        lane.queue.append(turn)
        self._feel()
        timer = loop.call_later(lane.width.wait_seconds * _jitter(), _refuse, turn, name)
        try:
            await turn
        except BaseException:
            if turn in lane.queue:
                lane.queue.remove(turn)
            elif not turn.cancelled() and turn.exception() is None:
                # The turn came together with the end of whoever waited for it.
                self.leave(name)
            raise
        finally:
            timer.cancel()

    def leave(self, name: LaneName) -> None:
        """Give a place back; whoever waits has it at once."""
        if name == 'free':
            return
        lane = self._lanes[name]
        lane.taken -= 1
        if lane.queue:
            lane.admit(pressed=self.pressed)
        self._feel()

    async def give_way(self, since: float) -> float:
        """Let others have a turn in the middle of something long; a long one while pilots press.

        Args:
            since: when it began to work, by the loop's clock.

        Returns:
            When it begins again.
        """
        clock = asyncio.get_running_loop().time
        worked = clock() - since
        if worked < _TURN_SECONDS:
            return since
        await asyncio.sleep(min(_LONGEST_REST_SECONDS, _REST_OF_WORK * worked) if self.pressed else 0)
        return clock()


class _Lane:
    """Places that are taken, and the queue for them."""

    def __init__(self, width: Width) -> None:
        self.width = width
        self.taken = 0
        self.queue: deque[asyncio.Future[None]] = deque()

    def limit(self, *, pressed: bool) -> int:
        return self.width.pressed if pressed else self.width.places

    def admit(self, *, pressed: bool) -> None:
        while self.queue and self.taken < self.limit(pressed=pressed):
            turn = self.queue.popleft()
            if not turn.done():
                self.taken += 1
                turn.set_result(None)


async def hold_back() -> None:
    """Wait a little before a refusal: who is refused at once comes back at once."""
    await asyncio.sleep(_HOLD_SECONDS * _jitter())


def _jitter() -> float:
    return random.uniform(*_JITTER)  # noqa: S311 - no secret


def _refuse(turn: 'asyncio.Future[None]', name: LaneName) -> None:
    if not turn.done():
        turn.set_exception(_refusal(name))


def _refusal(name: LaneName) -> Busy | Overloaded:
    return Busy() if name in WORK else Overloaded()
