"""A pilot: its slots, and the signals it obeys."""

import asyncio
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from iceprod_tasks.client import AsyncClient
from iceprod_tasks.pilot.line import Line
from iceprod_tasks.pilot.plan import Plan
from iceprod_tasks.pilot.run import Runner
from iceprod_tasks.pilot.slot import Slot

log = logging.getLogger(__name__)


class Pilot:
    """Claims and runs tasks in several slots at once.

    Args:
        client: the way to the service.
        plan: its orders.
    """

    def __init__(self, client: AsyncClient, plan: Plan) -> None:
        self._stop = asyncio.Event()
        line = Line(client, plan, self._stop)
        runner = Runner(plan.offer)
        self._slots = [
            Slot(
                f'{plan.name}/{number}',
                client,
                plan,
                environment=environment,
                line=line,
                runner=runner,
                stop=self._stop,
            )
            for number, environment in enumerate(plan.slots)
        ]

    async def run(self) -> None:
        """Work until told to stop, or, if so ordered, until nothing is left.

        Raises:
            ClientError: the service will not have this pilot.
        """
        with self._obeying_signals():
            results = await asyncio.gather(*(slot.work() for slot in self._slots), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def stop(self) -> None:
        """End the running work, hand its claims back, and let `run` return."""
        self._stop.set()

    @contextmanager
    def _obeying_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGTERM, signal.SIGINT)
        for number in numbers:
            loop.add_signal_handler(number, self._on_signal, number)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    def _on_signal(self, number: signal.Signals) -> None:
        if self._stop.is_set():
            log.warning('%s again: leaving at once; the wardens kill what runs', number.name)
            os._exit(128 + number)
        log.info('%s: handing back what runs', number.name)
        self.stop()
