"""A replica set of real mongods on this machine, whose members can be killed, paused, restarted and stepped down.

with Processes(folder) as processes:
    members = ReplicaSet(processes, folder)
    await members.start()
    primary = await members.primary()
    primary.kill()
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError

from iceprod_tasks.storage import mongod_binary
from tests.faults.network import Host, hosts
from tests.faults.processes import Process, Processes, free_ports

DEFAULT_ELECTION_TIMEOUT_SECONDS = 10.0
_FIRST_ELECTION_TIMEOUT_SECONDS = 1.0
_CACHE_GB = 0.25
_ANSWER_SECONDS = 2.0
_CONFIGURE_SECONDS = 30.0
_LOOK_SECONDS = 0.2
_HEALTHY = {'PRIMARY', 'SECONDARY'}

Answer = dict[str, Any]


class Member:
    """One mongod and its data.

    Args:
        processes: where it is started.
        data: an existing folder of its own.
        place: where it runs.
        port: where it listens.
    """

    def __init__(self, processes: Processes, data: Path, place: Host, port: int) -> None:
        self.host = f'{place.address}:{port}'
        self.place = place
        self._processes = processes
        self._data = data
        self._port = port
        self._process = self._launch()

    def _launch(self) -> Process:
        argv = mongod_binary.command(mongod_binary.find(), self._data, self._port, _CACHE_GB)
        argv[argv.index('--bind_ip') + 1] = self.place.address
        return self._processes.start(self._data.name, [*self.place.prefix, *argv])

    @property
    def runs(self) -> bool:
        """Whether it is there and not paused."""
        return self._process.runs

    def kill(self) -> None:
        """SIGKILL; what it acknowledged is in its journal."""
        self._process.kill()

    def pause(self) -> None:
        """SIGSTOP."""
        self._process.pause()

    def resume(self) -> None:
        """SIGCONT."""
        self._process.resume()

    def restart(self) -> None:
        """Start it on its data, once it was killed."""
        self._process = self._launch()

    def heal(self) -> None:
        """Whatever was done to it, let it run."""
        if self.place.namespace:
            self.place.join()
        if self._process.paused:
            self.resume()
        if not self._process.runs:
            self.restart()

    async def ask(self, command: str, value: Any = 1, *, seconds: float = _ANSWER_SECONDS, **options: Any) -> Answer:
        """A command to this very member.

        Raises:
            PyMongoError: it refuses, or does not answer in time.
        """
        # In a thread: the driver's own async client leaves sockets behind when an attempt to connect times out.
        return await asyncio.to_thread(self._ask, command, value, seconds, options)

    def _ask(self, command: str, value: Any, seconds: float, options: dict[str, Any]) -> Answer:
        url = f'mongodb://{self.host}/?directConnection=true'
        client: MongoClient[Answer] = MongoClient(url, timeoutMS=round(1000 * seconds))
        with client:
            return client.admin.command(command, value, **options)


class ReplicaSet:
    """Some members, all of which may become primary.

    Args:
        processes: where they are started; they end with it.
        folder: an existing one, for their data (some 50 MB a member).
        size: how many.
        election_timeout_seconds: how long the others wait for a primary that is silent.
    """

    def __init__(
        self,
        processes: Processes,
        folder: Path,
        *,
        size: int = 3,
        election_timeout_seconds: float = DEFAULT_ELECTION_TIMEOUT_SECONDS,
    ) -> None:
        self.members = []
        for number, (place, port) in enumerate(zip(hosts(size), free_ports(size), strict=True)):
            data = folder / f'mongod-{number}'
            data.mkdir()
            self.members.append(Member(processes, data, place, port))
        self._election_timeout_seconds = election_timeout_seconds

    @property
    def can_be_cut(self) -> bool:
        """Whether members can be cut off from one another."""
        return all(member.place.namespace for member in self.members)

    @property
    def url(self) -> str:
        """The connection string, for MONGODB_URL."""
        hosts = ','.join(member.host for member in self.members)
        return f'mongodb://{hosts}/?replicaSet={mongod_binary.REPLICA_SET}'

    async def start(self, timeout_seconds: float = 60.0) -> None:
        """Make one set of them, and wait until it is healthy."""
        config = {
            '_id': mongod_binary.REPLICA_SET,
            'members': [{'_id': number, 'host': member.host} for number, member in enumerate(self.members)],
            # The first election waits this long, although nobody can have been elected before.
            'settings': {'electionTimeoutMillis': round(1000 * _FIRST_ELECTION_TIMEOUT_SECONDS)},
        }
        async with asyncio.timeout(timeout_seconds):
            await self._until_all_listen()
            await self.members[0].ask('replSetInitiate', config, seconds=_CONFIGURE_SECONDS)
            await self.until_healthy(timeout_seconds)
            await self._set_election_timeout()

    async def primary(self, timeout_seconds: float = 60.0) -> Member:
        """The primary; while there is none, the next one.

        Raises:
            TimeoutError: nobody was elected.
        """
        async with asyncio.timeout(timeout_seconds):
            while (found := await self._elected()) is None:
                await asyncio.sleep(_LOOK_SECONDS)
            return found

    async def secondaries(self) -> list[Member]:
        """All members but the primary."""
        primary = await self.primary()
        return [member for member in self.members if member is not primary]

    async def step_down(self, seconds: int = 10) -> None:
        """Make the primary give up its place for some seconds."""
        # It may close the connection before it answers, or have nobody yet to hand over to.
        with contextlib.suppress(AutoReconnect, OperationFailure):
            await (await self.primary()).ask('replSetStepDown', seconds, seconds=_CONFIGURE_SECONDS)

    async def until_healthy(self, timeout_seconds: float = 60.0) -> float:
        """Wait until there is a primary that all others follow; how many seconds that took.

        Raises:
            TimeoutError: it does not come to that.
        """
        began = time.monotonic()
        async with asyncio.timeout(timeout_seconds):
            while not await self._is_healthy():
                await asyncio.sleep(_LOOK_SECONDS)
        return time.monotonic() - began

    def heal(self) -> None:
        """Let every member run."""
        for member in self.members:
            member.heal()

    async def _until_all_listen(self) -> None:
        for member in self.members:
            while not await _answer(member, 'ping'):
                await asyncio.sleep(0.05)

    async def _elected(self) -> Member | None:
        running = [member for member in self.members if member.runs]
        answers = await _answers(running, 'hello')
        claiming = [
            (answer['electionId'], member)
            for member, answer in zip(running, answers, strict=True)
            if answer.get('isWritablePrimary')
        ]
        # One that was cut off goes on for a while thinking that it is primary: the last election counts.
        return max(claiming, key=lambda pair: pair[0])[1] if claiming else None

    async def _is_healthy(self) -> bool:
        primary = await self._elected()
        if primary is None:
            return False
        status = await _answer(primary, 'replSetGetStatus')
        states = [member['stateStr'] for member in status.get('members', [])]
        return len(states) == len(self.members) and set(states) <= _HEALTHY and states.count('PRIMARY') == 1

    async def _set_election_timeout(self) -> None:
        primary = await self.primary()
        config = (await primary.ask('replSetGetConfig'))['config']
        config['settings']['electionTimeoutMillis'] = round(1000 * self._election_timeout_seconds)
        config['version'] += 1
        await primary.ask('replSetReconfig', config, seconds=_CONFIGURE_SECONDS)


async def _answers(members: Sequence[Member], command: str) -> list[Answer]:
    return await asyncio.gather(*(_answer(member, command) for member in members))


async def _answer(member: Member, command: str) -> Answer:
    """The answer, empty when there is none."""
    try:
        return await member.ask(command)
    except PyMongoError:
        return {}
