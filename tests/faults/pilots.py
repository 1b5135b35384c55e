"""The pilots of a run: processes that run the real pilot, see `recording_pilot`."""

import sys
from dataclasses import replace

from tests.faults.processes import Process, Processes, plain_environment
from tests.faults.recording_pilot import Orders

_PROGRAM = ('-m', 'tests.faults.recording_pilot')


class PilotProcess:
    """One pilot, and those that take its place after it.

    Args:
        processes: where it is started.
        orders: what it is told; each one that takes its place gets its own name and luck.
    """

    def __init__(self, processes: Processes, orders: Orders) -> None:
        self._processes = processes
        self._orders = orders
        self._generation = 0
        self._process = self._launch()

    def _launch(self) -> Process:
        name = f'{self._orders.name}.{self._generation}'
        orders = replace(self._orders, name=name, seed=f'{self._orders.seed}/{self._generation}')
        return self._processes.start(name, [sys.executable, *_PROGRAM, orders.to_json()], plain_environment())

    @property
    def runs(self) -> bool:
        """Whether it is there and not paused."""
        return self._process.runs

    def kill(self) -> None:
        """SIGKILL to the pilot alone: what it runs is its own business."""
        self._process.kill()

    def pause(self) -> None:
        """SIGSTOP to the pilot alone."""
        self._process.pause()

    def resume(self) -> None:
        """SIGCONT."""
        self._process.resume()

    def replace(self) -> None:
        """Start the next one, once this one is dead."""
        self._generation += 1
        self._process = self._launch()

    def heal(self) -> None:
        """Whatever was done to it, let it run."""
        if self._process.paused:
            self.resume()
        if not self._process.runs:
            self.replace()

    async def terminate(self) -> int:
        """SIGTERM; its exit code."""
        return await self._process.terminate()
