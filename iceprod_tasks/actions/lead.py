"""Lead: one service at a time does what only one may do, and what it writes lands only while it leads."""

import logging
from collections.abc import Mapping
from typing import TypeVar

from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.errors import NotLeader
from iceprod_tasks.storage.transactions import Work

log = logging.getLogger('iceprod_tasks.actions')

T = TypeVar('T')


async def campaign(service: Service) -> int:
    """Renew the lease where it is ours, take it where it is over; 1 when a term is new, else 0.

    Raises:
        Unavailable: the database does not answer soon.
    """
    leadership = service.leadership
    asked = leadership.now()
    term = await service.store.leaders.take(leadership.name, leadership.lease_seconds)
    is_new = leadership.heard(term, asked)
    if is_new:
        log.info('%s leads, term %d', term.holder, term.number, extra={'action': 'lead'})
    return int(is_new)


async def leads(service: Service) -> bool:
    """Whether this service leads; another one that does is known without asking the database.

    Raises:
        Unavailable: nothing is known, and the database does not answer soon.
    """
    leadership = service.leadership
    if leadership.is_leader:
        return True
    if leadership.is_ours or not leadership.number:
        # Its time is over as far as this process knows; another process of this service may have renewed it.
        await campaign(service)
    return leadership.is_leader


async def write_as_leader(service: Service, work: Work[T]) -> T:
    """Write something that lands only if this service leads in that moment.

    `work` may be called several times, and after `Unavailable` it may have landed: so a repeat of the request has to
    find what the first one wrote, by ids or guards that come from the request. It awaits nothing but the database.

    Args:
        service: the service.
        work: writes, with the session that it is called with.

    Returns:
        What `work` came to.

    Raises:
        NotLeader: it does not lead; nothing was written.
        Unavailable: it did not get through, or nobody knows whether it did.
        NoTransactions: the database is a standalone mongod.
    """
    leadership = service.leadership
    if not await leads(service):
        raise NotLeader(leadership.leader)
    try:
        return await service.store.leaders.fenced(leadership.name, leadership.number, work)
    except NotLeader:
        # Another process of this service may have the next term; or what was known of the lease is gone, with the
        # database.
        await campaign(service)
        if not leadership.is_leader:
            raise
    return await service.store.leaders.fenced(leadership.name, leadership.number, work)


async def who_leads(service: Service) -> Mapping[str, object]:
    """The leader by the lease as it is now.

    Returns:
        `leader`, `term` and `until`, all None when nobody leads, and `is_leader`, whether this service does.
    """
    term = await service.store.leaders.current()
    known = {'leader': term.holder, 'term': term.number, 'until': term.until} if term else {}
    return {'leader': None, 'term': None, 'until': None, **known, 'is_leader': service.leadership.is_leader}
