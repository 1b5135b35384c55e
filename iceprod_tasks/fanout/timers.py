"""Timers of a task."""

import time
from typing import Any, Protocol


class EngineIllegalOperationError(Exception):
    """A timer was changed that fires no more."""


class Clockwork(Protocol):
    """Where timers fire."""

    def rearm(self, timer: 'EngineTimer') -> None:
        """The next time of a timer was changed."""

    def remove_timer(self, timer: 'EngineTimer') -> None:
        """A timer fires no more."""


class EngineTimer:
    """Calls `ev_timer` of a handler, once or again and again.

    Its time counts from when it was made, and it fires while its task runs. One that fires again does so at multiples
    of its interval; times that it has missed come one after the other.

    Args:
        fire_delay: seconds until it fires first.
        interval: seconds between that and the next times; none if it is not positive.
        autoclose: whether a run may end without it.
        handler: who is called.
    """

    def __init__(self, fire_delay: float, interval: float, autoclose: bool, handler: Any) -> None:  # noqa: FBT001
        if handler is None:
            raise AssertionError('An event handler is needed for timer.')
        self.interval = interval
        self.autoclose = autoclose
        self.eh = handler
        self.due = time.monotonic() + fire_delay
        self._has_next = True
        self._is_valid = True
        self._clockwork: Clockwork | None = None

    def bind(self, clockwork: Clockwork | None) -> None:
        """Say where it fires."""
        self._clockwork = clockwork

    def is_valid(self) -> bool:
        """Whether it still fires."""
        return self._is_valid

    def invalidate(self) -> None:
        """Never fire again."""
        self._is_valid = False
        if self._clockwork is not None:
            self._clockwork.remove_timer(self)

    def set_nextfire(self, fire_delay: float, interval: float = -1) -> None:
        """Fire at another time.

        Args:
            fire_delay: seconds from now.
            interval: see above.

        Raises:
            EngineIllegalOperationError: it fires no more.
        """
        if not self._is_valid:
            raise EngineIllegalOperationError('Operation on invalid timer.')
        self.interval = interval
        self.due = time.monotonic() + fire_delay
        self._has_next = True
        if self._clockwork is not None:
            self._clockwork.rearm(self)

    def fired(self) -> None:
        """It fires now; what comes next is known before its handler is called, who may change it."""
        self._has_next = self.interval > 0
        self.due += max(self.interval, 0)

    @property
    def goes_on(self) -> bool:
        """Whether there is a next time."""
        return self._has_next
