"""docs/tutorial.md: what it tells to type works when typed, and leads where it says."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.terminals import SecondTerminal, first_terminal

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = (ROOT / 'docs' / 'tutorial.md').read_text(encoding='utf-8')


@pytest.fixture
def service_url(environment: dict[str, str]) -> Iterator[str]:
    """The service of the first terminal."""
    command = 'iceprod-tasks serve'
    assert f'```sh\n{command}\n```' in TUTORIAL
    with first_terminal(command, environment) as url:
        yield url


@pytest.fixture
def terminal(environment: dict[str, str]) -> Iterator[SecondTerminal]:
    """The second terminal, in the checkout."""
    terminal = SecondTerminal(ROOT, environment)
    yield terminal
    terminal.close()


def test_the_commands_lead_to_a_complete_dataset_with_one_retry(terminal: SecondTerminal, service_url: str) -> None:
    blocks = re.findall(r'```bash\n(.*?)```', TUTORIAL, re.DOTALL)
    text = '\n'.join(blocks).replace('http://127.0.0.1:8080', service_url)

    out = terminal.type(text)

    assert 'jobs: 3 complete' in out
    assert '"reason": "exit code 1"' in out
    assert r'"stdout": "try 2\n"' in out
