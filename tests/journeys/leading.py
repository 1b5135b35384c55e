"""A service of its own process that writes as leader what it is told on its standard input; `test_leader.py` runs it.

Each line is a name: it is written to the collection `things`. One that begins with `slow` rests in the middle of its
transaction, after a line that says so, for the test to stop the process there.
"""

import asyncio
import sys
from typing import Any

from iceprod_tasks import logs
from iceprod_tasks.actions.lead import write_as_leader
from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.errors import NotLeader
from iceprod_tasks.rest.identity.tokens import Tokens
from iceprod_tasks.server import running
from iceprod_tasks.settings import Settings


async def main() -> None:
    """Serve until standard input closes."""
    settings = Settings.from_environment().override(
        port=0, scheduler=False, advertise=sys.argv[1], leader_lease_seconds=float(sys.argv[2])
    )
    async with running(settings, settings.mongodb_url, Tokens(settings.secret())) as up:
        say(up.port)
        while name := (await asyncio.to_thread(sys.stdin.readline)).strip():
            say(await outcome(up.service, name))


def say(line: object) -> None:
    sys.stdout.write(f'{line}\n')
    sys.stdout.flush()


async def outcome(service: Service, name: str) -> str:
    """What comes of writing a thing."""
    things = service.store.collection('things')

    async def work(session: Any) -> None:
        await things.insert_one({'_id': name, 'by': service.leadership.name}, session=session)
        if name.startswith('slow'):
            say('in the middle')
            await asyncio.sleep(0.5)

    try:
        await write_as_leader(service, work)
    except NotLeader as error:
        return f'refused: {error.leader}'
    return 'written'


if __name__ == '__main__':
    logs.configure('INFO')
    asyncio.run(main())
