"""The services of a run: real `iceprod-tasks serve` processes on one database."""

import asyncio
import sys
from collections.abc import Sequence

import httpx2

from tests.faults.processes import Process, Processes, free_ports, plain_environment

SERVE = ('-m', 'iceprod_tasks.cli.main', 'serve')


class Service:
    """One service.

    Args:
        processes: where it is started.
        name: of its log.
        environment: what tells it where the database is.
        flags: of `serve`.
        program: what is run in place of `python -m iceprod_tasks.cli.main serve`.
    """

    def __init__(
        self,
        processes: Processes,
        name: str,
        environment: dict[str, str],
        flags: Sequence[str],
        *,
        program: Sequence[str] = SERVE,
    ) -> None:
        self.name = name
        self._processes = processes
        self._port = free_ports(1)[0]
        self._environment = {**plain_environment(), **environment}
        self._argv = [sys.executable, *program, '--port', str(self._port), *flags]
        self._process = self._launch()

    def _launch(self) -> Process:
        return self._processes.start(self.name, self._argv, self._environment)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f'http://127.0.0.1:{self._port}'

    @property
    def runs(self) -> bool:
        """Whether it is there."""
        return self._process.runs

    async def until_ready(self, timeout_seconds: float = 60.0) -> None:
        """Wait until it answers.

        Raises:
            TimeoutError: it does not; its log says why.
        """
        async with asyncio.timeout(timeout_seconds), httpx2.AsyncClient() as http:
            while not await self._answers(http):
                await asyncio.sleep(0.05)

    async def _answers(self, http: httpx2.AsyncClient) -> bool:
        if not self.runs:
            # Without its database it does not start: whoever runs services starts them again.
            self.restart()
        try:
            return (await http.get(f'{self.url}/healthz')).is_success
        except httpx2.RequestError:
            return False

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()

    async def terminate(self) -> int:
        """SIGTERM; its exit code."""
        return await self._process.terminate()

    def restart(self) -> None:
        """Start it again, once it has ended."""
        self._process = self._launch()
