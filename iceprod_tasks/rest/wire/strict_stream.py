"""A stream on which what is no proper request is refused, in the form of all our errors.

Tornado is lenient with heads, and says nothing, or a bare 400, to what it cannot read.
"""

import asyncio
from typing import Any

from tornado.iostream import StreamClosedError, UnsatisfiableReadError

from iceprod_tasks.rest.wire import heads
from iceprod_tasks.rest.wire.stream import Stream

_TORNADOS_REFUSAL = b'HTTP/1.1 400 Bad Request\r\n\r\n'
_IMPROPER = 400, 'the request is not proper HTTP'


class StrictStream(Stream):
    """A stream that reads heads strictly."""

    async def read_until_regex(self, regex: bytes, max_bytes: int | None = None) -> bytes:  # noqa: ARG002 - Tornado's
        """Read the head of a request, the one thing that Tornado reads so.

        Args:
            regex: where it ends.
            max_bytes: Tornado's limit; ours is less.

        Raises:
            StreamClosedError: the other side has gone, or was refused.
        """
        if self.closed():
            # What came before that is still in the buffer, and nobody waits for it.
            raise StreamClosedError
        head = await super().read_until_regex(regex, heads.LONGEST_BYTES)
        flaw = heads.flaw(head)
        if flaw is not None:
            self.refuse(*flaw)
            raise StreamClosedError
        return head

    def write(self, data: bytes | memoryview) -> Any:
        """Send something; a refusal of Tornado's, as of broken chunks, in our words and with our headers."""
        if data != _TORNADOS_REFUSAL:
            return super().write(data)
        self.refuse(*_IMPROPER)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def close(self, exc_info: Any = False) -> None:  # noqa: FBT002 - Tornado's
        """Close it; what has no end where it must have one, a head or the size of a chunk, is told so first."""
        if isinstance(exc_info, UnsatisfiableReadError) and not self.closed():
            self.refuse(*(heads.TOO_LONG if self._waits else _IMPROPER))
        super().close(exc_info)
