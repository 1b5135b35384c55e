"""Remember: what a request with a key was answered, so that each repeat of it gets the same and does nothing.

The key is written before the work begins, with the seed of the ids that the work uses. A repeat that finds it without
an answer and in nobody's hands does the work again: it makes the same documents, and moves no task twice.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.errors import IceprodTasksError, KeyReused, Unavailable, UnderWay
from iceprod_tasks.domain.origins import Origin
from iceprod_tasks.domain.tasks import new_id
from iceprod_tasks.storage import idempotency
from iceprod_tasks.storage.cancelling import end
from iceprod_tasks.storage.client import utc_now
from iceprod_tasks.storage.idempotency import Key

LARGEST_ANSWER_BYTES = 1024 * 1024
"""A longer answer is not kept; a repeat does the work again."""

_HOLDS_A_LEASE = 3


@dataclass(frozen=True, slots=True)
class Request:
    """A request that may be repeated.

    Args:
        scope: what tells it from others: who asks, what for, and the key.
        content: the rest of it; with another one it is another request.
    """

    scope: Sequence[str]
    content: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered.

    Args:
        body: the text.
        head: what the surface says beside it.
    """

    body: bytes
    head: Mapping[str, Any]


def fresh_origin() -> Origin:
    """The origin of what a request without a key makes."""
    return Origin(new_id(), utc_now())


async def remember(
    service: Service, request: Request, work: Callable[[Origin], Awaitable[Answer]]
) -> tuple[Answer, bool]:
    """Do the work of a request, unless it has been done.

    Args:
        service: the service.
        request: the request.
        work: what it asks for; an error of ours, other than `Unavailable`, says that it has changed nothing.

    Returns:
        The first answer, and whether it was given before.

    Raises:
        KeyReused: the key is that of another request.
        UnderWay: somebody is at work on it.
    """
    keys, owner = service.store.keys, new_id()
    content = hashlib.sha256(request.content).hexdigest()
    name = _name(request.scope)
    try:
        key = await keys.take(name, content, owner, kept_hours=service.limits.idempotency_hours)
    except Unavailable:
        # We may have it all the same.
        await _put_down(service, name, owner)
        raise
    if key.content != content:
        raise KeyReused
    if key.answer is not None:
        return Answer(**key.answer), True
    if key.owner != owner:
        raise UnderWay
    origin = Origin(key.seed, key.began, request=key.seed, again=key.tries > 1)
    async with _in_hand(service, key):
        answer = await work(origin)
        await _keep(service, key, answer)
    return answer, False


@contextlib.asynccontextmanager
async def _in_hand(service: Service, key: Key) -> AsyncIterator[None]:
    """Hold on to a key during the work; put it down when nobody knows what the work has done."""
    holding = asyncio.create_task(_hold(service, key))
    try:
        yield
    except BaseException as error:
        refused = isinstance(error, IceprodTasksError) and not isinstance(error, Unavailable)
        if not refused:
            await _put_down(service, key.name, key.owner)
        elif not await service.store.keys.forget(key.name, key.owner):
            # What is in the way may have been made by whoever took over.
            raise UnderWay from error
        raise
    finally:
        await end(holding)


async def _put_down(service: Service, name: str, owner: str) -> None:
    """Leave a key to whoever repeats the request; where that fails, to whoever does once the lease is over."""
    with contextlib.suppress(Unavailable):
        await service.store.keys.put_down(name, owner)


async def _hold(service: Service, key: Key) -> None:
    """Hold on to a key until cancelled, or until it is in other hands."""
    held = 1
    while held:
        await asyncio.sleep(idempotency.LEASE_SECONDS / _HOLDS_A_LEASE)
        with contextlib.suppress(Unavailable):
            held = await service.store.keys.hold(key.name, key.owner)


async def _keep(service: Service, key: Key, answer: Answer) -> None:
    if len(answer.body) > LARGEST_ANSWER_BYTES:
        await service.store.keys.put_down(key.name, key.owner)
        return
    kept = {'body': answer.body, 'head': dict(answer.head)}
    hours = service.limits.idempotency_hours
    if not await service.store.keys.answer(key.name, key.owner, kept, kept_hours=hours):
        # We were taken for dead: whoever took over gives the one answer.
        raise UnderWay


def _name(scope: Sequence[str]) -> str:
    return hashlib.sha256(orjson.dumps(list(scope))).hexdigest()
