"""A service is not held up by looking through what it has loaded at its start."""

import gc

import pytest

from iceprod_tasks import logs
from iceprod_tasks.cli.serve import run
from iceprod_tasks.settings import Settings


def test_what_was_loaded_is_no_part_of_later_collections(monkeypatch: pytest.MonkeyPatch) -> None:
    async def looked_at() -> int:
        return len(gc.get_objects())

    monkeypatch.setattr(logs, 'configure', lambda level: None)
    before = len(gc.get_objects())
    try:
        during = run(Settings(), looked_at())
    finally:
        gc.unfreeze()

    assert during < before / 10
