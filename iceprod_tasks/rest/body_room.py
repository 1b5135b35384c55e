"""How much of requests' bodies is in memory at once: what would not fit is told to come again."""

from iceprod_tasks.domain.errors import Unavailable

FREE_BYTES = 64 * 1024
"""What everybody may send: it takes no room, so that nobody who sends much can keep out pilots' reports."""

_ROOM_BYTES = 256 * 1024 * 1024


class BodyRoom:
    """The room that a process has for long bodies.

    Args:
        room_bytes: how much it is.
    """

    def __init__(self, room_bytes: int = _ROOM_BYTES) -> None:
        self._left_bytes = room_bytes

    def take(self, size_bytes: int) -> None:
        """Take some of it.

        Raises:
            Unavailable: there is not enough left.
        """
        if size_bytes > self._left_bytes:
            raise Unavailable('too much is being sent at once; repeat the same request')
        self._left_bytes -= size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Have it free again."""
        self._left_bytes += size_bytes
