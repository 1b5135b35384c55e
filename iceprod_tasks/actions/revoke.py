"""Revoke: tokens that are signed and not over, and are not to be believed all the same."""

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.callers import Proof
from iceprod_tasks.domain.errors import Unavailable
from iceprod_tasks.domain.revocations import Kind

log = logging.getLogger('iceprod_tasks.actions')

_EVERY_SECONDS = 1.0
# An import brings old ones.
_WHOLE_EVERY = 60
_LATEST = datetime(9999, 1, 1, tzinfo=UTC)


async def revoke_token(service: Service, by: str, token_id: str, expires: datetime | None) -> dict[str, Any]:
    """Believe a token no more.

    Args:
        service: the service.
        by: the name of who says so.
        token_id: of the token.
        expires: when it ends by itself; None where nobody knows, and it is remembered for ever.

    Returns:
        The revocation.
    """
    return await _add(service, 'token_id', token_id, by, expires)


async def revoke_proof(service: Service, by: str, proof: Proof) -> dict[str, Any]:
    """Believe the token no more by which somebody is known."""
    # Tokens may be good for longer than there are dates.
    expires = min(proof.expires, _LATEST.timestamp())
    return await revoke_token(service, by, proof.token_id, datetime.fromtimestamp(expires, UTC))


async def revoke_user(service: Service, by: str, name: str) -> dict[str, Any]:
    """Believe no token any more that was made for a name until now.

    Args:
        service: the service.
        by: the name of who says so.
        name: whose tokens.

    Returns:
        The revocation.
    """
    return await _add(service, 'user', name, by, None)


async def _add(service: Service, kind: Kind, value: str, by: str, expires: datetime | None) -> dict[str, Any]:
    revocation = await service.store.revocations.add(kind, value, by, expires)
    service.revoked.add(revocation)
    return revocation


def list_revocations(service: Service) -> AsyncIterator[dict[str, Any]]:
    """All revocations, the oldest first."""
    return service.store.revocations.select()


async def catch_up(service: Service, *, whole: bool = True) -> None:
    """Learn what other processes have revoked.

    Args:
        service: the service.
        whole: whether all of it is read, or only what is new.

    Raises:
        Unavailable: the database does not answer.
    """
    async for revocation in service.store.revocations.since(None if whole else service.revoked.newest):
        service.revoked.add(revocation)


async def follow(service: Service) -> None:
    """Catch up again and again, until cancelled."""
    for turn in itertools.count(1):
        await asyncio.sleep(_EVERY_SECONDS)
        try:
            await catch_up(service, whole=turn % _WHOLE_EVERY == 0)
        except Unavailable as error:
            log.warning('revocations: %s', error, extra={'action': 'revoke'})
        except Exception:
            log.exception('revocations cannot be read', extra={'action': 'revoke'})
