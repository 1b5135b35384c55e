"""The checker bites: a service that lacks a part of the protocol fails on that part's invariant."""

from pathlib import Path

import pytest

from tests.faults.scripted import SCRIPTS, play


@pytest.mark.parametrize('part', SCRIPTS)
async def test_a_service_that_lacks_a_part_of_the_protocol_breaks_its_promise(tmp_path: Path, part: str) -> None:
    violations = await play(tmp_path, part, weakened=True)

    assert SCRIPTS[part].invariant in {violation.invariant for violation in violations}, violations


@pytest.mark.parametrize('part', SCRIPTS)
async def test_the_service_keeps_its_promises_under_the_same_script(tmp_path: Path, part: str) -> None:
    assert await play(tmp_path, part, weakened=False) == []
