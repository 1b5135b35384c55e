"""The plain way to claim, on the same stack: one `find_one_and_update` whose filter has the whole offer in it.

Tornado and Motor, a token checked and a body checked by its schema, majority writes, the tasks and indexes of upstream;
nothing else of the service. Run as `python -m tests.bench.one_filter URL DATABASE PORT SECRET`.
"""

import asyncio
import json
import sys
from datetime import UTC, datetime
from typing import Any

import jwt
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import ReturnDocument
from tornado.web import Application, HTTPError, RequestHandler

from iceprod_tasks.rest import bodies
from iceprod_tasks.rest.identity.tokens import ISSUER


class Asked(RequestHandler):
    """A request with a token and a body."""

    def initialize(self, tasks: Any, secret: str) -> None:
        self.tasks, self.secret = tasks, secret

    def prepare(self) -> None:
        token = self.request.headers.get('Authorization', '').removeprefix('Bearer ')
        try:
            claims = jwt.decode(token, self.secret, algorithms=['HS256'], audience=ISSUER, issuer=ISSUER)
        except jwt.PyJWTError as error:
            raise HTTPError(401) from error
        if not {'admin', 'system'} & set(claims['roles']):
            raise HTTPError(403)

    def body(self, schema: str) -> dict[str, Any]:
        body = bodies.parse(self.request.body)
        bodies.check(body, schema)
        return body

    def answer(self, task: dict[str, Any] | None) -> None:
        if task is None:
            raise HTTPError(404)
        self.set_header('Content-Type', 'application/json')
        self.finish(bodies.render(task))


def _fits(field: str, key: str, offered: Any) -> dict[str, Any]:
    """What upstream asks of one requirement."""
    if isinstance(offered, int | float):
        if key == 'gpu' and offered > 0:
            return {field: {'$gte': 1, '$lte': offered}}
        return {'$or': [{field: {'$exists': False}}, {field: {'$lte': offered}}]}
    return {'$or': [{field: {'$exists': False}}, {field: offered}]}


class Claim(Asked):
    """Queued to processing."""

    async def post(self) -> None:
        body = self.body('claim')
        where: dict[str, Any] = {'status': 'queued'}
        fitting = [_fits(f'requirements.{key}', key, offered) for key, offered in body.get('requirements', {}).items()]
        if fitting:
            where['$and'] = fitting
        sets = {'status': 'processing', 'claim_id': body.get('claim_id', ''), 'status_changed': datetime.now(UTC)}
        self.answer(
            await self.tasks.find_one_and_update(
                where, {'$set': sets}, {'_id': False}, sort=[('priority', -1)], return_document=ReturnDocument.AFTER
            )
        )


class Complete(Asked):
    """Processing to complete."""

    async def post(self, task_id: str) -> None:
        body = self.body('report')
        where = {'task_id': task_id, 'status': 'processing', 'claim_id': body.get('claim_id', '')}
        sets = {'status': 'complete', 'status_changed': datetime.now(UTC)}
        self.answer(await self.tasks.find_one_and_update(where, {'$set': sets}, {'_id': False}))


async def main(url: str, database: str, port: str, secret: str) -> None:
    client: Any = AsyncIOMotorClient(url, w='majority', journal=True)
    tasks = client[database]['tasks']
    given = {'tasks': tasks, 'secret': secret}
    routes = [
        (r'/task_actions/process', Claim, given),
        (r'/tasks/(?P<task_id>\w+)/task_actions/complete', Complete, given),
    ]
    Application(routes, log_function=lambda _: None).listen(int(port), '127.0.0.1')
    print(json.dumps({'ready': True}), flush=True)
    await asyncio.Event().wait()


if __name__ == '__main__':
    try:
        import uvloop
    except ImportError:
        asyncio.run(main(*sys.argv[1:]))
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main(*sys.argv[1:]))
