"""Fixtures of the pilot's tests: a stand-in for the service, and pilots that run in this process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from iceprod_tasks.client import AsyncClient
from iceprod_tasks.pilot import Pilot, Plan
from iceprod_tasks.pilot.offer import Offer
from tests.pilot.fake_service import FakeService, fake_service

OFFER = Offer(cpu=1, gpu=0, memory_gb=2.0, disk_gb=10.0, time_hours=None, os='test_1', site='here')
ENVIRONMENT: Mapping[str, str] = {'PATH': '/usr/bin:/bin'}

Fly = Callable[..., Awaitable[list[dict[str, Any]]]]


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
