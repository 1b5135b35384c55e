"""The run of `scripts/faults --ci`: what dies or hangs, no task is lost and none is done twice."""

import sys
import time
from pathlib import Path

from tests.faults.processes import Processes

PATIENCE_SECONDS = 900


def test_no_task_is_lost_and_none_is_done_twice_while_everything_fails(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        harness = processes.start('ci', [sys.executable, '-m', 'tests.faults', '--ci', '--keep', str(tmp_path / 'run')])
        end = time.monotonic() + PATIENCE_SECONDS
        while harness.exit_code is None and time.monotonic() < end:
            time.sleep(0.2)

        assert harness.exit_code == 0, (tmp_path / 'ci.log').read_text()
