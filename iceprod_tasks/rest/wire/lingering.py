"""Connections that we end while the other side still sends: it is listened to for a while, so that it gets our answer.

Closed with unread data in it, a connection is reset, and what the other side has not read yet is lost.
"""

import asyncio
import contextlib
import socket

_LONGEST_SECONDS = 2.0
_MOST = 256
_READ_BYTES = 64 * 1024

_lingering: set[asyncio.Task[None]] = set()


def linger(connection: socket.socket) -> None:
    """Close a connection once the other side has, or after some time; at once when there are too many of the kind.

    Args:
        connection: all that is to be said has been written to it.
    """
    if len(_lingering) >= _MOST:
        connection.close()
        return
    task = asyncio.get_running_loop().create_task(_end(connection))
    _lingering.add(task)
    task.add_done_callback(_lingering.discard)


async def _end(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    with connection, contextlib.suppress(OSError, TimeoutError):
        connection.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(_LONGEST_SECONDS):
            while await loop.sock_recv(connection, _READ_BYTES):
                pass
