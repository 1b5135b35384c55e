"""Requests over HTTP that find no place, or come too often: what they are answered, and when a place is free again."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

from iceprod_tasks.actions.service import Drain, Service
from iceprod_tasks.rest.handler import Handler
from iceprod_tasks.rest.identity.identities import Identities
from iceprod_tasks.rest.identity.tokens import Tokens
from iceprod_tasks.rest.lanes import LaneName, Lanes, Width
from iceprod_tasks.rest.rates import Rates
from iceprod_tasks.rest.routing import EVERYONE, Route, begins_work, in_lane, specs
from tests.conftest import SECRET

WIDTHS: Mapping[LaneName, Width] = {name: Width(1, 1, 0, 0.05) for name in ('claim', 'report', 'read', 'write')}
WAITING: Mapping[LaneName, Width] = {name: Width(1, 1, 1, 5) for name in WIDTHS}
MEGABYTE = b' ' * 1024 * 1024


class Slow(Handler):
    """Answers when it is told to."""

    go_on = asyncio.Event()
    begun = 0

    async def get(self) -> None:
        type(self).begun += 1
        await self.go_on.wait()
        self.answer({})

    async def post(self) -> None:
        await self.go_on.wait()
        self.answer({})


class Failing(Handler):
    """Fails in each of the ways there are."""

    async def get(self, how: str) -> None:
        if how == 'early':
            raise RuntimeError('on purpose')

        async def pieces() -> AsyncIterator[bytes]:
            yield MEGABYTE
            raise RuntimeError('on purpose')

        await self.stream(pieces())


class Large(Handler):
    """An answer that does not fit into what the kernel keeps for a connection."""

    async def get(self) -> None:
        self.say(MEGABYTE * 32)


class Up:
    """A server with these handlers, and narrow lanes."""

    def __init__(
        self, api: Any, rates: Rates, widths: Mapping[LaneName, Width] = WIDTHS, drain: Drain | None = None
    ) -> None:
        self.tokens = Tokens(SECRET)
        self.lanes = Lanes(widths)
        service: Service = replace(api.service, drain=drain or Drain())
        identities = Identities(self.tokens, service)
        cfg = {'service': service, 'identities': identities, 'lanes': self.lanes, 'rates': rates}
        routes = (
            Route('/slow', Slow, {'get': EVERYONE, 'post': in_lane('claim', begins_work(EVERYONE))}),
            Route(r'/failing/(?P<how>\w+)', Failing, {'get': EVERYONE}),
            Route('/large', Large, {'get': EVERYONE}),
        )
        self.server = HTTPServer(Application(specs(routes, cfg), log_function=lambda _: None))
        sockets = bind_sockets(0, '127.0.0.1')
        self.port = sockets[0].getsockname()[1]
        self.server.add_sockets(sockets)
        self.token = self.tokens.mint('root', ['admin'], [], 60)
        self.http = httpx2.AsyncClient(
            base_url=f'http://127.0.0.1:{self.port}', headers={'Authorization': f'Bearer {self.token}'}
        )

    async def until_free(self, name: LaneName) -> None:
        async with asyncio.timeout(10):
            while self.lanes._lanes[name].taken:
                await asyncio.sleep(0.01)

    @contextlib.asynccontextmanager
    async def asked(self, method: str) -> AsyncIterator['asyncio.Task[httpx2.Response]']:
        """A request that is under way for as long as the block lasts."""
        Slow.go_on.clear()
        lane: LaneName = 'read' if method == 'GET' else 'claim'
        task = asyncio.create_task(self.http.request(method, '/slow'))
        while not self.lanes._lanes[lane].taken:
            await asyncio.sleep(0.01)
        yield task
        Slow.go_on.set()
        assert (await task).status_code == 200


@contextlib.asynccontextmanager
async def serving(api: Any, per_second: float = 0, **options: Any) -> AsyncIterator[Up]:
    up = Up(api, Rates(per_second), **options)
    yield up
    await up.http.aclose()
    up.server.stop()
    await up.server.close_all_connections()


def asks_to_come_back(answer: httpx2.Response) -> bool:
    return 1 <= int(answer.headers['Retry-After']) <= 3


async def test_among_hundreds_of_long_lists_every_claim_is_served(api: Any) -> None:
    claims, lists = 30, 300
    for number in range(claims):
        await api.add_task(name=f'n{number}', text='x' * 10_000)
    headers = {'Authorization': f'Bearer {api.token("system")}'}
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(base_url=api.url, headers=headers, timeout=60, limits=limits) as http:
        reading = [asyncio.create_task(http.get('/tasks')) for _ in range(lists)]
        await asyncio.sleep(0.1)
        claimed = await asyncio.gather(*(http.post('/task_actions/process', json={}) for _ in range(claims)))
        read = await asyncio.gather(*reading)

    assert {answer.status_code for answer in claimed} == {200}
    assert {answer.status_code for answer in read} <= {200, 429}


async def test_a_read_without_a_place_is_429(api: Any) -> None:
    async with serving(api) as up, up.asked('GET'):
        answer = await up.http.get('/slow')

    assert answer.status_code == 429
    assert answer.json()['code'] == 429
    assert asks_to_come_back(answer)


async def test_a_claim_without_a_place_is_503(api: Any) -> None:
    async with serving(api) as up, up.asked('POST'):
        answer = await up.http.post('/slow')

    assert answer.status_code == 503
    assert asks_to_come_back(answer)


async def test_who_comes_too_often_is_429(api: Any) -> None:
    Slow.go_on.set()
    async with serving(api, 0.001) as up:
        answers = [await up.http.get('/slow') for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 429]
    assert asks_to_come_back(answers[1])


async def test_who_has_no_valid_token_takes_no_place(api: Any) -> None:
    async with serving(api) as up, up.asked('GET'):
        answer = await up.http.get('/slow', headers={'Authorization': 'Bearer x'})

    assert answer.status_code == 401


@pytest.mark.parametrize('how', ['early', 'late'])
async def test_a_request_that_fails_gives_its_place_back(api: Any, how: str) -> None:
    async with serving(api) as up:
        with contextlib.suppress(httpx2.RemoteProtocolError):
            await up.http.get(f'/failing/{how}')

        await up.until_free('read')


async def test_a_place_is_kept_until_the_client_has_taken_the_answer(api: Any) -> None:
    async with serving(api) as up:
        async with up.http.stream('GET', '/large') as answer:
            await asyncio.sleep(0.2)
            kept = up.lanes._lanes['read'].taken
            read = len(await answer.aread())

        await up.until_free('read')
    assert (kept, read) == (1, 32 * len(MEGABYTE))


async def test_a_client_that_goes_away_from_a_large_answer_gives_its_place_back(api: Any) -> None:
    async with serving(api) as up:
        async with up.http.stream('GET', '/large'):
            pass

        await up.until_free('read')


async def test_who_waits_for_a_place_while_the_service_stops_begins_nothing(api: Any) -> None:
    drain = Drain()
    async with serving(api, widths=WAITING, drain=drain) as up, up.asked('POST'):
        waiting = asyncio.create_task(up.http.post('/slow'))
        await asyncio.sleep(0.2)
        drain.begin()

    assert (await waiting).status_code == 503


async def test_nothing_is_begun_for_a_client_that_has_gone_while_it_waited(api: Any) -> None:
    async with serving(api, widths=WAITING) as up:
        async with up.asked('GET'):
            begun = Slow.begun
            with pytest.raises(httpx2.ReadTimeout):
                await up.http.get('/slow', timeout=0.2)
            await asyncio.sleep(0.1)
        await up.until_free('read')

    assert Slow.begun == begun
