"""The stream of a connection: what is between Tornado and the socket."""

from typing import Any

from tornado.iostream import IOStream

from iceprod_tasks.rest.lingering import linger


class Stream(IOStream):
    """Tornado's stream, which lets go of a connection gently."""

    lingers = False
    """Whether the other side may still be sending when it is closed."""

    def close(self, exc_info: Any = False) -> None:  # noqa: FBT002 - Tornado's
        """Close it, and let the other side read what it was told."""
        if self.lingers and not self.closed():
            # The connection lives on while one descriptor of it is open.
            linger(self.socket.dup())
        super().close(exc_info)
