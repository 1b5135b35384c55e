"""docs/tutorial.md: what it tells to type works when typed, and leads where it says."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = (ROOT / 'docs' / 'tutorial.md').read_text(encoding='utf-8')
PATIENCE_SECONDS = 180


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """As after the installation, with data of its own and any free port."""
    scripts = Path(sys.executable).parent
    path = f'{scripts}{os.pathsep}{os.environ["PATH"]}'
    kept = {name: value for name, value in os.environ.items() if not name.startswith(('MONGODB_', 'TOKEN_SECRET'))}
    return {**kept, 'PATH': path, 'XDG_DATA_HOME': str(tmp_path), 'PORT': '0', 'no_proxy': '*'}


@pytest.fixture
def service_url(environment: dict[str, str]) -> Iterator[str]:
    """The service of the first terminal."""
    command = 'iceprod-tasks serve'
    assert f'```sh\n{command}\n```' in TUTORIAL
    service = subprocess.Popen(command.split(), env=environment, stderr=subprocess.PIPE, text=True)
    with service:
        try:
            line = service.stderr.readline() if service.stderr else ''
            yield re.findall(r'serves (http://\S+),', line)[0]
        finally:
            service.send_signal(signal.SIGINT)
            # What is left in the pipe must not keep it from ending.
            service.communicate(timeout=PATIENCE_SECONDS)
    assert service.returncode == 0


def type_into_second_terminal(text: str, environment: dict[str, str]) -> str:
    shell = ['bash', '-euo', 'pipefail', '-c', text]
    pipe = subprocess.PIPE
    with subprocess.Popen(shell, cwd=ROOT, env=environment, stdout=pipe, text=True, start_new_session=True) as typed:
        try:
            out, _ = typed.communicate(timeout=PATIENCE_SECONDS)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(typed.pid, signal.SIGKILL)
    assert typed.returncode == 0
    return out


def test_the_commands_lead_to_a_complete_dataset_with_one_retry(environment: dict[str, str], service_url: str) -> None:
    blocks = re.findall(r'```bash\n(.*?)```', TUTORIAL, re.DOTALL)
    text = '\n'.join(blocks).replace('http://127.0.0.1:8080', service_url)

    out = type_into_second_terminal(text, environment)

    assert 'jobs: 3 complete' in out
    assert '"reason": "exit code 1"' in out
    assert r'"stdout": "try 2\n"' in out
