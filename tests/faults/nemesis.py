"""What goes wrong in a run: a seeded sequence of faults in each of its layers, with quiet in between."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from tests.faults.cluster import LEASE_SECONDS, Cluster
from tests.faults.recording import Journal

Fault = Callable[[Cluster, random.Random], Awaitable[None]]


async def kill_primary(cluster: Cluster, chance: random.Random) -> None:
    """SIGKILL to the primary; it comes back after the others have elected another one, or before."""
    primary = await cluster.members.primary()
    primary.kill()
    await asyncio.sleep(chance.uniform(0, 15))
    primary.restart()


async def pause_primary(cluster: Cluster, chance: random.Random) -> None:
    """SIGSTOP to the primary; when it wakes up it thinks for a moment that it still is one."""
    primary = await cluster.members.primary()
    primary.pause()
    await asyncio.sleep(chance.choice([chance.uniform(1, 5), chance.uniform(11, 15)]))
    primary.resume()


async def step_down(cluster: Cluster, chance: random.Random) -> None:
    """The primary hands over to another one."""
    await cluster.members.step_down()


async def cut_primary(cluster: Cluster, chance: random.Random) -> None:
    """The network loses what goes between the primary and the other members, or between it and everybody."""
    primary, others = await cluster.members.primary(), await cluster.members.secondaries()
    if chance.random() < 0.5:
        primary.place.cut_off()
    else:
        primary.place.cut_off_from([other.place for other in others])
    await asyncio.sleep(chance.uniform(5, 20))
    primary.place.join()


async def kill_service(cluster: Cluster, chance: random.Random) -> None:
    """SIGKILL to a service."""
    service = chance.choice(cluster.services)
    service.kill()
    await asyncio.sleep(chance.uniform(0, 3))
    await service.until_ready()


async def stop_service(cluster: Cluster, chance: random.Random) -> None:
    """SIGTERM to a service."""
    service = chance.choice(cluster.services)
    await service.terminate()
    await asyncio.sleep(chance.uniform(0, 2))
    await service.until_ready()


async def kill_pilot(cluster: Cluster, chance: random.Random) -> None:
    """SIGKILL to a pilot; another one takes its place."""
    pilot = chance.choice(cluster.pilots)
    pilot.kill()
    await asyncio.sleep(chance.uniform(0, 3))
    pilot.replace()


async def pause_pilot(cluster: Cluster, chance: random.Random) -> None:
    """SIGSTOP to a pilot, mostly for longer than its lease."""
    pilot = chance.choice(cluster.pilots)
    pilot.pause()
    await asyncio.sleep(LEASE_SECONDS * chance.uniform(0.5, 2.5))
    pilot.resume()


@dataclass(frozen=True, slots=True)
class Layer:
    """Where no two faults are at the same time; the layers do not know of each other.

    Args:
        faults: what may happen, by name.
        quiet_seconds: the shortest and longest quiet before a fault.
    """

    faults: Mapping[str, Fault]
    quiet_seconds: tuple[float, float]


LAYERS = {
    'database': Layer({'kill primary': kill_primary, 'pause primary': pause_primary, 'step down': step_down}, (3, 8)),
    'services': Layer({'kill service': kill_service, 'stop service': stop_service}, (4, 10)),
    'pilots': Layer({'kill pilot': kill_pilot, 'pause pilot': pause_pilot}, (2, 6)),
}
CUTS = {'cut primary': cut_primary}
"""Further faults of the database, where its members have a network of their own."""


class Nemesis:
    """Brings the faults about.

    Args:
        cluster: what it hits.
        journal: where it says so.
        seed: decides what, when and how long.
    """

    def __init__(self, cluster: Cluster, journal: Journal, seed: int) -> None:
        self._cluster = cluster
        self._journal = journal
        self._seed = seed

    async def run(self, seconds: float) -> None:
        """Begin faults for some seconds, and wait until all are over and everything runs."""
        end = asyncio.get_running_loop().time() + seconds
        async with asyncio.TaskGroup() as group:
            for name, layer in LAYERS.items():
                if name == 'database' and self._cluster.members.can_be_cut:
                    layer = replace(layer, faults={**layer.faults, **CUTS})
                group.create_task(self._haunt(layer, random.Random(f'{self._seed}/{name}'), end))
        await self._cluster.heal()

    async def _haunt(self, layer: Layer, chance: random.Random, end: float) -> None:
        bag: list[str] = []
        while True:
            await asyncio.sleep(chance.uniform(*layer.quiet_seconds))
            if asyncio.get_running_loop().time() > end:
                return
            # Out of a bag: each kind comes up before any comes up again.
            bag = bag or chance.sample(list(layer.faults), k=len(layer.faults))
            await self._bring(bag.pop(), layer, chance)
            # The quiet begins when there is a primary again: else the next fault would hit the one just elected.
            await self._cluster.members.primary()

    async def _bring(self, name: str, layer: Layer, chance: random.Random) -> None:
        number = self._journal.new_id()
        self._journal.write('fault', id=number, name=name)
        await layer.faults[name](self._cluster, chance)
        self._journal.write('healed', id=number)
