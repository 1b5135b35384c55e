"""What is left of apptainer's containers; a stand-in has its place, as Debian has no apptainer."""

import asyncio
import contextlib
import os
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from iceprod_tasks.pilot.apptainer import Apptainer
from iceprod_tasks.pilot.boxes import After, Order
from iceprod_tasks.pilot.command import Command
from iceprod_tasks.pilot.folder import Folder

STAND_IN = """#!/bin/sh
case "$*" in
    --version) echo "$NAME" ;;
    "exec --help") echo "$HELP" ;;
esac
"""


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[Folder]:
    """Of an attempt."""
    yield (folder := Folder.make(tmp_path))
    folder.remove()


@contextlib.asynccontextmanager
async def sleeping(tmpdir: str) -> AsyncIterator[Process]:
    """A process with a TMPDIR."""
    process = await asyncio.create_subprocess_exec('sleep', '60', env={'TMPDIR': tmpdir, 'PATH': os.defpath})
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_what_outlives_a_killed_warden_is_killed_and_nobody_else(folder: Folder) -> None:
    order = Order(Command(('true',), {}, None, image='docker://box'), folder, 'x', None)
    box = Apptainer('apptainer', (), (), {}).box(order)

    async with sleeping(str(folder.tmp)) as ours, sleeping(f'{folder.tmp}2') as other:
        spared = await box.finish(1), ours.returncode
        after = await box.finish(137)
        await asyncio.wait_for(ours.wait(), 10)

        assert spared == (After(1), None)
        assert (after, ours.returncode, other.returncode) == (After(137), -9, None)


@pytest.mark.parametrize(
    ('version', 'help_text', 'prefix', 'no_eval'),
    [
        ('apptainer version 1.4.5', '--no-eval', 'APPTAINERENV_', True),
        ('singularity-ce version 3.8.0', '', 'SINGULARITYENV_', False),
        ('singularity version 3.7.1', '', 'SINGULARITYENV_', False),
    ],
)
async def test_an_older_program_is_asked_for_what_it_knows(
    folder: Folder, tmp_path: Path, version: str, help_text: str, prefix: str, no_eval: bool
) -> None:
    program = folder.path / 'apptainer'
    program.write_text(STAND_IN)
    program.chmod(0o755)
    apptainer = Apptainer(str(program), (), (), {'NAME': version, 'HELP': help_text})

    await apptainer.look()
    box = apptainer.box(Order(Command(('true',), {'A': 'two\nlines'}, None, image='docker://box'), folder, 'x', None))

    assert box.command.environment[f'{prefix}A'] == 'two\nlines'
    assert ('--no-eval' in box.command.argv) == no_eval
    assert box.command.environment[f'{prefix}PREPEND_PATH'] == str(folder.programs)
    assert {str(folder.spool), f'{folder.programs}:{folder.programs}:ro'} <= set(box.command.argv)
