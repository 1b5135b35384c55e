"""Fixtures of the pilot's tests: a stand-in for the service, and pilots that run in this process."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from iceprod_tasks.client import AsyncClient
from iceprod_tasks.pilot import Pilot, Plan
from iceprod_tasks.pilot.offer import Offer
from tests.pilot.fake_service import FakeService, fake_service

OFFER = Offer(cpu=1, gpu=0, memory_gb=2.0, disk_gb=10.0, time_hours=None, os='test_1', site='here')
PROGRAM = [sys.executable, '-c', 'from iceprod_tasks.cli.pilot import pilot; pilot()']
ENVIRONMENT: Mapping[str, str] = {'PATH': '/usr/bin:/bin'}

Fly = Callable[..., Awaitable[list[dict[str, Any]]]]
Start = Callable[..., AbstractAsyncContextManager[Process]]


@pytest.fixture
async def service() -> AsyncIterator[FakeService]:
    """A stand-in for the service."""
    async with fake_service() as service:
        yield service


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """One slot that ends when nothing is left."""
    workdir = tmp_path / 'attempts'
    workdir.mkdir()
    return Plan(offer=OFFER, slots=(ENVIRONMENT,), name='test', workdir=workdir, until_empty=True, poll_seconds=0.1)


@pytest.fixture
def fly(service: FakeService, plan: Plan) -> Fly:
    """Runs a pilot until nothing is left; what it reported."""

    async def run(**changes: Any) -> list[dict[str, Any]]:
        async with AsyncClient(service.url, 'secret') as client, asyncio.timeout(120):
            await Pilot(client, replace(plan, **changes)).run()
        return service.reports

    return run


@pytest.fixture
def start(service: FakeService, tmp_path: Path) -> Start:
    """Starts `iceprod-tasks pilot` against the stand-in; it is gone after the test."""

    @asynccontextmanager
    async def run(*options: str) -> AsyncIterator[Process]:
        environment = {
            'PATH': '/usr/bin:/bin',
            'ICEPROD_TASKS_SERVER': service.url,
            'ICEPROD_TASKS_TOKEN': 'very secret',
            'LICENSE': 'mine',
        }
        process = await asyncio.create_subprocess_exec(
            *PROGRAM, '--workdir', str(tmp_path), *options, env=environment, stdout=PIPE, stderr=PIPE
        )
        try:
            async with asyncio.timeout(120):
                yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    return run
