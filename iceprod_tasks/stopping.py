"""The wish that a process ends: the first signal asks for it in order, the second one ends it at once."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from types import FrameType

from iceprod_tasks.actions.service import Drain

log = logging.getLogger('iceprod_tasks.server')


class Stopping(Drain):
    """Begins with SIGTERM or SIGINT; made inside a running loop.

    Args:
        at_once: what is done when a second signal comes, before the process ends.
    """

    def __init__(self, at_once: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._at_once = at_once
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._first, number)

    def _first(self, number: signal.Signals) -> None:
        log.info('%s: stopping', number.name, extra={'action': 'stop'})
        self.begin()
        for each in (signal.SIGTERM, signal.SIGINT):
            self._loop.remove_signal_handler(each)
            # Not through the loop, which may be what hangs.
            signal.signal(each, self._second)

    def _second(self, number: int, _: FrameType | None) -> None:
        self._at_once()
        os._exit(128 + number)
