"""The client that programs use: the verbs of the service, one method each."""

from typing import cast

from iceprod_tasks.client.actions import Actions
from iceprod_tasks.client.asking import Document
from iceprod_tasks.client.claims import Claims
from iceprod_tasks.client.datasets import Datasets
from iceprod_tasks.client.jobs import Jobs
from iceprod_tasks.client.messages import Messages
from iceprod_tasks.client.outputs import Outputs
from iceprod_tasks.client.pilots import Pilots
from iceprod_tasks.client.revocations import Revocations
from iceprod_tasks.client.tasks import Tasks


class AsyncClient(Claims, Messages, Outputs, Pilots, Tasks, Jobs, Datasets, Actions, Revocations):
    """A service, seen from a Python program; use it as an async context manager.

    Every request can be repeated, and is until it is answered, with growing, jittered delays and as the service's
    Retry-After asks: claims and reports carry a claim id, and what makes or moves things carries an idempotency key.

    Args:
        server: the service's address, for example `http://127.0.0.1:8080`.
        token: the bearer token; empty sends none.
        timeout_seconds: the longest silence of the service in one attempt; over what takes long, it has an hour.
        retry_seconds: how long to go on repeating a request; None for ever, 0 not at all.
        transport: an `httpx2` transport in place of the network.

    Raises:
        ValueError: the address is not one of HTTP.

    Every method raises a `ClientError` (see `iceprod_tasks.client.errors`) when the service says no or nothing.
    """

    async def health(self) -> Document:
        """Whether the service answers; needs no token."""
        return cast(Document, await self._get('/healthz'))
