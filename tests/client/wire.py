"""A stand-in for the network: scripted answers, and a record of what was asked."""

import json
from collections.abc import Iterable
from typing import Any

import httpx2

from iceprod_tasks.client import AsyncClient

Step = httpx2.Response | Exception


def says(status: int, body: Any = None, **headers: str) -> httpx2.Response:
    """An answer."""
    return httpx2.Response(status, json=body, headers={name.replace('_', '-'): text for name, text in headers.items()})


def refused(status: int, error: str = 'no', **more: Any) -> httpx2.Response:
    """An answer in the service's one shape of errors."""
    return says(status, {'code': status, 'error': error, **more})


class Wire:
    """Gives the scripted answers in their order; the last one again and again."""

    def __init__(self, steps: Iterable[Step]) -> None:
        self._steps = list(steps)
        self.requests: list[httpx2.Request] = []

    @property
    def bodies(self) -> list[Any]:
        """The JSON of each request."""
        return [json.loads(request.content) for request in self.requests]

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        """The next step of the script."""
        self.requests.append(request)
        step = self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]
        if isinstance(step, Exception):
            raise step
        return step


def client_of(*steps: Step, retry_seconds: float | None = 30.0) -> tuple[AsyncClient, Wire]:
    """A client whose network is a script."""
    wire = Wire(steps)
    transport = httpx2.MockTransport(wire.answer)
    return AsyncClient('http://service/', 'secret', retry_seconds=retry_seconds, transport=transport), wire
