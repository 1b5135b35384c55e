"""A request's place in its lane: taken before it is worked on, and kept until its answer is sent."""

import contextlib
from asyncio import Future
from typing import Any

from tornado.iostream import StreamClosedError
from tornado.web import RequestHandler

from iceprod_tasks.domain.errors import Overloaded
from iceprod_tasks.rest.lanes import LaneName, Lanes


class Admitted(RequestHandler):
    """A handler that works in a lane."""

    lanes: Lanes
    _lane: LaneName | None = None
    _gone = False
    _sent: 'Future[None] | None' = None

    async def admit(self, lane: LaneName) -> None:
        """Take a place, or wait for one.

        Raises:
            Busy: there is none in time, in a lane of pilots' work.
            Overloaded: there is none in time, or the client has not waited.
        """
        await self.lanes.enter(lane)
        self._lane = lane
        if self._gone:
            raise Overloaded

    async def change_lane(self, lane: LaneName) -> None:
        """Go on in another lane, once it is known that the request is about more than most of its route.

        Raises:
            Overloaded: there is no place in time.
        """
        if self._lane is not None:
            self.lanes.leave(self._lane)
            self._lane = None
        await self.admit(lane)

    def on_connection_close(self) -> None:
        """The client has gone; what it waits for need not be begun."""
        self._gone = True
        super().on_connection_close()

    def finish(self, chunk: str | bytes | dict[str, Any] | None = None) -> 'Future[None]':
        """Send the end of the answer."""
        self._sent = super().finish(chunk)
        return self._sent

    async def _execute(self, transforms: Any, *args: bytes, **kwargs: bytes) -> None:
        """All that Tornado does for a request; it has no other end that comes whatever happens."""
        try:
            await super()._execute(transforms, *args, **kwargs)
            if self._sent is not None:
                # An answer that a slow client has not taken yet is in our memory.
                with contextlib.suppress(StreamClosedError):
                    await self._sent
        finally:
            if self._lane is not None:
                self.lanes.leave(self._lane)
