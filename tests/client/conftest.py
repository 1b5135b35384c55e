"""Fixtures of the client's tests."""

from types import SimpleNamespace

import pytest

from iceprod_tasks.client import connection, datasets


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The client does not wait; the waits asked for are here.

    Only what the client itself calls is replaced: others in this process have loops that live by real sleeping.
    """
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    for module in (connection, datasets):
        monkeypatch.setattr(module, 'asyncio', SimpleNamespace(sleep=sleep))
    return waits
