"""Log in: is this the password of that account?"""

import asyncio
import hashlib
import hmac
import secrets
import time
from concurrent.futures import ThreadPoolExecutor

from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.accounts import LONGEST_NAME, caller_of
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.errors import Busy, NotAuthenticated
from iceprod_tasks.domain.passwords import LONGEST_BYTES, NOBODYS, fits

_KNOWN_SECONDS = 30.0
_KNOWN_AT_MOST = 1000
_THREADS = 2
_WAITING_AT_MOST = 32


class Passwords:
    """Checks passwords beside the event loop, and remembers for a moment whose were right.

    What it remembers is no password: a digest under a key that is in this process alone. An account that is removed, or
    has another password, is known for up to 30 seconds longer.

    Args:
        service: the service.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._threads = ThreadPoolExecutor(_THREADS, 'passwords')
        self._key = secrets.token_bytes(32)
        self._known: dict[bytes, tuple[Caller, float]] = {}
        self._under_way: dict[bytes, asyncio.Task[Caller]] = {}

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def caller(self, name: str, password: str) -> Caller:
        """Whom an account speaks for.

        Args:
            name: of the account.
            password: what is said to be its password.

        Raises:
            NotAuthenticated: there is no such account, or it has another password.
            Busy: too many passwords are being checked.
            Unavailable: the database does not answer.
        """
        if len(name) > LONGEST_NAME or len(password.encode()) > LONGEST_BYTES:
            raise NotAuthenticated
        digest = hmac.digest(self._key, hashlib.sha256(name.encode()).digest() + password.encode(), 'sha256')
        caller, until = self._known.get(digest, (None, 0.0))
        if caller is not None and time.monotonic() < until:
            return caller
        check = self._under_way.get(digest)
        if check is None:
            if len(self._under_way) >= _WAITING_AT_MOST:
                raise Busy
            check = self._under_way[digest] = asyncio.create_task(self._check(name, password, digest))
            check.add_done_callback(lambda done: self._end(digest, done))
        # Who asks may go away while others wait for the same answer.
        return await asyncio.shield(check)

    def _end(self, digest: bytes, done: asyncio.Task[Caller]) -> None:
        del self._under_way[digest]
        if not done.cancelled():
            # Nobody may be there any more to hear of it.
            done.exception()

    async def _check(self, name: str, password: str, digest: bytes) -> Caller:
        self._known.pop(digest, None)
        account = await self._service.store.accounts.get(name)
        until = time.monotonic() + _KNOWN_SECONDS
        kept = NOBODYS if account is None else account['password']
        right = await asyncio.get_running_loop().run_in_executor(self._threads, fits, password, kept)
        if account is None or not right:
            raise NotAuthenticated
        if len(self._known) >= _KNOWN_AT_MOST:
            self._known.pop(next(iter(self._known)))
        self._known[digest] = caller_of(account), until
        return self._known[digest][0]
