"""The commands as a user runs them, each in a process of its own, all ended with the test."""

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.leaks import leaks_in

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / 'docs' / 'examples' / 'primes.json'
COMMAND = [sys.executable, '-m', 'iceprod_tasks.cli.main']
DESCRIBE = [sys.executable, '-m', 'iceprod_tasks.cli.vp_describe_task']


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])


class Commands:
    """A folder for the data, an environment, and the processes started in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f'http://127.0.0.1:{self.port}'
        self.started: list[subprocess.Popen[str]] = []
        kept = {
            name: os.environ[name]
            for name in ('PATH', 'HOME', 'LANG', 'PYTHONPATH', 'MONGODB_DRIVER')
            if name in os.environ
        }
        self.environment = {
            **kept, 'XDG_DATA_HOME': str(folder), 'PORT': str(self.port), 'ICEPROD_TASKS_SERVER': self.url,
        }  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.started:
            process.kill()
            process.communicate()
        assert kind is not None or leaks_in(self.folder) == []

    def start(self, *arguments: str, log: str) -> subprocess.Popen[str]:
        """A command in the background; what it says goes to a file."""
        with (self.folder / log).open('a') as file:
            process = subprocess.Popen(
                [*COMMAND, *arguments], env=self.environment, stdout=file, stderr=file, text=True, cwd=self.folder
            )
        self.started.append(process)
        return process

    def run(self, *arguments: str, code: int = 0, timeout_seconds: float = 120, said: str | None = None) -> str:
        """A command to its end, which is told something; what it printed."""
        done = subprocess.run(
            [*COMMAND, *arguments], env=self.environment, capture_output=True, text=True, cwd=self.folder,
            timeout=timeout_seconds, check=False, input=said,
        )  # fmt: skip
        assert done.returncode == code, f'{arguments} ended with {done.returncode}: {done.stdout}{done.stderr}'
        return done.stdout if code == 0 else done.stderr

    def serve(self, *arguments: str) -> subprocess.Popen[str]:
        """The service, once it answers."""
        log = self.folder / 'serve.log'
        said = len(re.findall(r'^iceprod-tasks serves', log.read_text(), re.M)) if log.exists() else 0
        process = self.start('serve', *arguments, log='serve.log')
        end = time.monotonic() + 90
        while len(re.findall(r'^iceprod-tasks serves', log.read_text(), re.M)) == said:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        return process

    def token(self, role: str, *groups: str) -> str:
        """A token of one role."""
        named = [word for group in groups for word in ('--group', group)]
        return self.run('token', '--role', role, '--user', f'a-{role}', *named).strip()

    def log(self, name: str) -> str:
        """What a command has said so far."""
        return (self.folder / name).read_text()
