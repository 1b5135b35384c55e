"""docs/examples/api.sh: every answer is as the script says, and no route is left out."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from iceprod_tasks.rest.identity.tokens import Tokens
from iceprod_tasks.server import running
from iceprod_tasks.settings import Settings
from tests.conftest import SECRET
from tests.docs.routes import served

SCRIPT = Path(__file__).resolve().parents[2] / 'docs' / 'examples' / 'api.sh'
PATIENCE_SECONDS = 120


@pytest.fixture
async def service_url(mongodb_url: str, database_name: str) -> AsyncIterator[str]:
    """A service of its own, with a scheduler: the script waits for jobs to be made."""
    settings = Settings(token_secret=SECRET, port=0, mongodb_database=database_name)
    async with running(settings, mongodb_url, Tokens(SECRET)) as up:
        yield f'http://127.0.0.1:{up.port}'


async def run(url: str, token: str) -> tuple[int, str, str]:
    environment = {**os.environ, 'ICEPROD_TASKS_SERVER': url, 'ICEPROD_TASKS_TOKEN': token, 'no_proxy': '*'}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec('bash', SCRIPT, env=environment, stdout=pipe, stderr=pipe)
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE_SECONDS)
    return process.returncode or 0, out.decode(), err.decode()


async def test_every_answer_is_as_the_script_says_and_every_route_is_asked(service_url: str) -> None:
    token = Tokens(SECRET).mint('root', ['admin'], [], 3600)

    code, out, err = await run(service_url, token)

    assert (code, err) == (0, ''), out
    assert out.splitlines()[-1] == 'all answers are as written'
    # A line is: status, method, path with query, answer.
    asked = [(words[1], words[2].partition('?')[0]) for line in out.splitlines()[:-1] if (words := line.split(' ', 3))]
    untouched = [
        str(route)
        for route in served()
        if not any(method == route.method and route.path.match(path) for method, path in asked)
    ]
    assert untouched == []


async def test_the_script_ends_at_the_first_answer_that_is_another_one(service_url: str) -> None:
    token = Tokens(SECRET).mint('someone', ['pilot'], [], 3600)

    code, _, err = await run(service_url, token)

    assert code == 1
    assert err == 'expected 201\n'
