"""Looking at processes from outside."""

from pathlib import Path

import psutil


def is_alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def writes_pid(path: Path) -> str:
    """A command that says which process it is, and then waits."""
    return f'echo $$ > {path}.new; mv {path}.new {path}; while :; do sleep 0.1; done'
