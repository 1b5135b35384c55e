"""`GET /leader`: who leads, to those who run the service; and by which address a service goes."""

import socket

import pytest

from iceprod_tasks.actions.lead import campaign
from iceprod_tasks.domain.errors import CannotStart
from iceprod_tasks.server import advertised
from iceprod_tasks.settings import Settings
from tests.conftest import Api


async def test_the_only_service_leads_and_says_so(api: Api) -> None:
    await campaign(api.service)

    answer = await api('GET', '/leader')

    assert answer.status == 200
    assert answer.body['leader'] == api.url
    assert answer.body['term'] == api.service.leadership.number
    assert answer.body['is_leader'] is True
    assert answer.body['until'] > '2026'


async def test_when_nobody_has_the_lease_nobody_is_named(api: Api) -> None:
    await api.database.leaders.delete_many({})

    body = (await api('GET', '/leader')).body

    assert (body['leader'], body['term'], body['until']) == (None, None, None)


@pytest.mark.parametrize(('role', 'status'), [('admin', 200), ('system', 200), ('user', 403), ('pilot', 403)])
async def test_operators_alone_may_ask(api: Api, role: str, status: int) -> None:
    assert (await api.as_(role)('GET', '/leader')).status == status


@pytest.mark.parametrize(
    ('host', 'said', 'address'),
    [
        ('127.0.0.1', '', 'http://127.0.0.1:81'), ('tasks.example.org', '', 'http://tasks.example.org:81'),
        ('::1', '', 'http://[::1]:81'), ('0.0.0.0', '', f'http://{socket.gethostname()}:81'),
        ('::', 'https://tasks.example.org/', 'https://tasks.example.org'),
    ],
)  # fmt: skip
def test_a_service_goes_by_the_address_set_else_by_where_it_listens(host: str, said: str, address: str) -> None:
    assert advertised(Settings(host=host, advertise=said), 81) == address


@pytest.mark.parametrize('seconds', [0.0, 0.99, 300.1, float('nan'), float('inf')])
def test_a_lease_that_is_too_short_or_too_long_is_refused(seconds: float) -> None:
    with pytest.raises(CannotStart, match='lease'):
        Settings().override(leader_lease_seconds=seconds)
