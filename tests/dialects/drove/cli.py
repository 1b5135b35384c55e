"""The real command line of Drove, version 0.0.14 from PyPI, as people run it."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

# It ends with 0 whatever happens: what it prints is all that there is.
_PROGRAM = (str(Path(sys.executable).with_name('drove')),)
_CONFIG = """[local]
endpoint = {url}
username = {name}
password = {password}
"""


class DroveCli:
    """`drove -c local`.

    Args:
        folder: where its config is written.
        url: of the service.
        name: of the account.
        password: its password.
    """

    def __init__(self, folder: Path, url: str, name: str, password: str) -> None:
        self._folder = folder
        self._config = folder / f'drove-{name}-{urlsplit(url).port}.cfg'
        self._config.write_text(_CONFIG.format(url=url, name=name, password=password.replace('%', '%%')))

    @property
    def argv(self) -> tuple[str, ...]:
        """Its beginning."""
        return (*_PROGRAM, '-f', str(self._config), '-c', 'local')

    def __call__(self, *words: str, code: int = 0, timeout_seconds: float = 60) -> str:
        """What it prints."""
        done = subprocess.run(
            [*self.argv, *words], capture_output=True, text=True, timeout=timeout_seconds, check=False, cwd=self._folder
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert 'Traceback' not in done.stderr, done.stderr
        return done.stdout

    def start(self, *words: str) -> subprocess.Popen[str]:
        """It in the background; whoever starts it ends it."""
        return subprocess.Popen(
            [*self.argv, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=self._folder,
            env={'PYTHONUNBUFFERED': '1', 'PATH': '/usr/bin:/bin'},
        )  # fmt: skip

    def task(self, spec: Mapping[str, Any]) -> str:
        """What it prints when a task is created."""
        file = self._folder / f'{spec.get("taskId", "task")}.json'
        file.write_text(json.dumps(spec))
        return self('tasks', 'create', str(file))

    def described(self, app: str, task: str) -> dict[str, Any]:
        """A task as `describe task --json` tells it."""
        return dict(json.loads(self('describe', 'task', app, task, '--json')))
