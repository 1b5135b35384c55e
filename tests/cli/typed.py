"""Commands as a user types them, run in this process against the service of the tests, over real HTTP."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from click.testing import CliRunner

from iceprod_tasks.cli.main import main
from tests.conftest import Api


@dataclass(frozen=True)
class Said:
    """What a command printed: data, and talk."""

    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


async def typed(api: Api, *words: str, stdin: str = '', code: int = 0, token: str | None = None) -> Said:
    """Run a command to its end, as an admin unless a token says otherwise."""
    environment = {
        'ICEPROD_TASKS_SERVER': api.url,
        'ICEPROD_TASKS_TOKEN': api.token('admin') if token is None else token,
        'no_proxy': '*',
    }
    run = CliRunner().invoke
    result = await asyncio.to_thread(run, main, words, input=stdin, env=environment)
    assert result.exit_code == code, f'{words} ended with {result.exit_code}: {result.output}{result.exception!r}'
    return Said(result.stdout, result.stderr)
