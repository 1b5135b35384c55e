"""What the tasks of a run do: sign life into the history every 20 ms, for some time. Standard library, starts fast.

    python work.py FILE SECONDS [FAILURES]

The first FAILURES tries of a task end with exit code 1.
"""

import json
import os
import sys
import time

TICK_SECONDS = 0.02


def main() -> None:
    """Work."""
    path, seconds, failures = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    who = {
        'type': 'work',
        'task_id': os.environ['ICEPROD_TASK_ID'],
        'epoch': int(os.environ['ICEPROD_TASK_EPOCH']),
        'pid': os.getpid(),
    }
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        os.write(file, json.dumps({**who, 'at': time.monotonic_ns()}).encode() + b'\n')
        time.sleep(TICK_SECONDS)
    os.write(file, json.dumps({**who, 'at': time.monotonic_ns()}).encode() + b'\n')
    sys.exit(int(os.environ['ICEPROD_TASK_FAILURES']) < failures)


if __name__ == '__main__':
    main()
