"""A pilot: its slots, and the signals it obeys."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from iceprod_tasks import __version__
from iceprod_tasks.client import AsyncClient
from iceprod_tasks.pilot.attempt import Tools
from iceprod_tasks.pilot.containers import Containers
from iceprod_tasks.pilot.diary import Diary
from iceprod_tasks.pilot.files import Mover
from iceprod_tasks.pilot.line import Line
from iceprod_tasks.pilot.metrics import Metrics
from iceprod_tasks.pilot.plan import Plan
from iceprod_tasks.pilot.presence import Presence
from iceprod_tasks.pilot.run import Runner
from iceprod_tasks.pilot.slot import Slot
from iceprod_tasks.pilot.streak import Streak

log = logging.getLogger(__name__)


class BlackHole(Exception):
    """Tasks fail here one after the other, and quickly."""


class Pilot:
    """Claims and runs tasks in several slots at once.

    Args:
        client: the way to the service.
        plan: its orders.
    """

    def __init__(self, client: AsyncClient, plan: Plan) -> None:
        self._plan = plan
        self._stop = asyncio.Event()
        self._metrics = Metrics(len(plan.slots))
        self._diary = Diary(Streak(plan.black_hole_failures), self._metrics)
        line = Line(client, plan, self._stop, self._diary.drained)
        runner = Runner(plan.offer, grace_seconds=plan.grace_seconds, groups=plan.groups)
        self._tools = Tools(runner, Mover(plan.files), Containers(plan.containers))
        self._presence = Presence(client, _about(plan), self._diary, plan.presence_seconds)
        self._slots = [
            Slot(
                f'{plan.name}/{number}',
                client,
                plan,
                environment=environment,
                line=line,
                tools=self._tools,
                diary=self._diary,
                stop=self._stop,
            )
            for number, environment in enumerate(plan.slots)
        ]

    async def run(self) -> None:
        """Work until told to stop, or, if so ordered, until nothing is left.

        Raises:
            ClientError: the service will not have this pilot.
            BlackHole: it has failed too often, and ended what it had.
            OSError: the port for its numbers cannot be had.
        """
        with contextlib.ExitStack() as ends:
            if self._plan.metrics_port is not None:
                server = self._metrics.serve(self._plan.metrics_port)
                ends.callback(server.server_close)
                ends.callback(server.shutdown)
            ends.enter_context(self._obeying_signals())
            async with self._presence:
                results = await asyncio.gather(*(slot.work() for slot in self._slots), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        if self._diary.is_black_hole and not self._stop.is_set():
            raise BlackHole(self._diary.why)

    def stop(self) -> None:
        """End the running work, hand its claims back, and let `run` return."""
        self._stop.set()
        self._diary.drain('the pilot was told to stop')

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


def _about(plan: Plan) -> dict[str, Any]:
    """What never changes in the entry of a pilot."""
    offer, slots = plan.offer, len(plan.slots)
    each = {'cpu': offer.cpu, 'gpu': offer.gpu, 'memory': offer.memory_gb, 'disk': offer.disk_gb}
    return {
        'queue_host': plan.host,
        'queue_version': __version__,
        'version': __version__,
        'host': plan.host,
        'site': offer.site,
        'grid_queue_id': os.environ.get('SLURM_JOB_ID', ''),
        'name': plan.name,
        'slots': slots,
        'resources': offer.requirements(),
        'resources_available': {name: slots * value for name, value in each.items()},
    }
