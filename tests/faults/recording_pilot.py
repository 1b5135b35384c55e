"""The real pilot on a network that records and loses answers: a program for one pilot of a run.

    python -m tests.faults.recording_pilot ORDERS

ORDERS is the JSON of an `Orders`.
"""

import asyncio
import json
import logging
import os
import random
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from iceprod_tasks.client import AsyncClient
from iceprod_tasks.pilot import Pilot, Plan
from iceprod_tasks.pilot.offer import Offer
from tests.faults.processes import MARK
from tests.faults.recording import Journal, RecordingNetwork

_OFFER = Offer(cpu=1, gpu=0, memory_gb=4.0, disk_gb=4.0, time_hours=None, os='any', site='faults')
_POLL_SECONDS = 0.5
_ANSWER_SECONDS = 8.0
"""A little more than the service itself takes until it gives the database up."""


@dataclass(frozen=True, slots=True)
class Orders:
    """What a pilot is told.

    Args:
        name: of the pilot.
        servers: addresses of equal services.
        token: of a pilot.
        history: an existing folder.
        work: an existing folder, where the tasks get theirs.
        seed: of its luck.
        drop: how much of the answers is lost.
        slots: tasks at once.
        lease_seconds: of its claims.
    """

    name: str
    servers: tuple[str, ...]
    token: str
    history: str
    work: str
    seed: str
    drop: float
    slots: int
    lease_seconds: float

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        return cls(**json.loads(text))


async def fly(orders: Orders) -> None:
    """Run a pilot until SIGTERM."""
    journal = Journal(Path(orders.history), orders.name)
    network = RecordingNetwork(journal, orders.name, orders.servers, random.Random(orders.seed), orders.drop)
    environment = {name: os.environ[name] for name in ('PATH', MARK)}
    plan = Plan(
        offer=_OFFER,
        slots=(environment,) * orders.slots,
        name=orders.name,
        workdir=Path(orders.work),
        poll_seconds=_POLL_SECONDS,
        lease_seconds=orders.lease_seconds,
    )
    client = AsyncClient(orders.servers[0], orders.token, timeout_seconds=_ANSWER_SECONDS, transport=network)
    async with client:
        await Pilot(client, plan).run()


if __name__ == '__main__':
    logging.basicConfig(level='INFO', format='%(asctime)s %(levelname)s %(message)s')
    asyncio.run(fly(Orders.from_json(sys.argv[1])))
