"""Running a command of the batch system: it ends in time, and everything but success is an error."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence

from iceprod_tasks.batch.system import BatchTrouble, NothingDone
from iceprod_tasks.domain.masking import masked

_SAID_AT_MOST = 500


async def output_of(
    argv: Sequence[str], *, environment: Mapping[str, str], stdin: str = '', timeout_seconds: float, keep_open: int = -1
) -> str:
    """What a command prints.

    Args:
        argv: the program and its arguments.
        environment: all that it sees.
        stdin: what it reads.
        timeout_seconds: after that it is killed.
        keep_open: a file that stays open for as long as the command runs; -1 for none.

    Raises:
        NothingDone: it could not be started.
        BatchTrouble: it did not end in time, or not with 0.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=() if keep_open < 0 else (keep_open,),
            # A signal to the supervisor's group is not meant for a command that is under way.
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise NothingDone(f'{argv[0]}: {error}') from error
    try:
        async with asyncio.timeout(timeout_seconds):
            out, err = await process.communicate(stdin.encode())
    except TimeoutError:
        raise BatchTrouble(f'{argv[0]} did not end within {timeout_seconds:g} s') from None
    finally:
        # What it has started as well: that would keep its pipes, and what is kept open for it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    if process.returncode:
        said = masked(err.decode(errors='replace').strip())[-_SAID_AT_MOST:]
        raise BatchTrouble(f'{argv[0]} ended with {process.returncode}: {said}')
    return out.decode(errors='replace')
