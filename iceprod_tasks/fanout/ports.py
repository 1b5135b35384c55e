"""Ports: how one task sends messages to another one."""

import queue
import threading
from collections.abc import Callable
from typing import Any


class EnginePort:
    """Where a task gets messages from others.

    Args:
        handler: whose `ev_msg` is called for each, in the thread of the task.
        autoclose: whether a run may end as long as the port is open.
        most: messages that wait here; who sends more waits himself.
    """

    def __init__(self, handler: Any = None, autoclose: bool = False, most: int = 100) -> None:  # noqa: FBT001, FBT002
        self.eh = handler
        self.autoclose = autoclose
        self.has_started = False
        self._waiting: queue.Queue[tuple[Any, threading.Event]] = queue.Queue(most)
        self._post: Callable[[Callable[[], None]], None] | None = None

    def open(self, post: Callable[[Callable[[], None]], None]) -> None:
        """Belong to a task.

        Args:
            post: has something called in its thread, as soon as it runs.
        """
        self._post = post

    def close(self) -> None:
        """Take no more messages, and forget those that wait."""
        self._post = None
        while not self._waiting.empty():
            self._waiting.get_nowait()[1].set()

    def msg(self, send_msg: Any, send_once: bool = False) -> bool:  # noqa: FBT001, FBT002
        """Send a message to the port, from any thread, and wait until its task has it.

        Args:
            send_msg: anything.
            send_once: whether not to wait.

        Returns:
            Whether the port is open.
        """
        post = self._post
        if post is None:
            return False
        taken = threading.Event()
        self._waiting.put((send_msg, taken))
        post(self._deliver)
        if not send_once:
            taken.wait()
        return True

    def msg_send(self, send_msg: Any) -> bool:
        """Send a message to the port, from any thread, without waiting; whether the port is open."""
        return self.msg(send_msg, send_once=True)

    def _deliver(self) -> None:
        if not self._waiting.empty():
            message, taken = self._waiting.get_nowait()
            taken.set()
            if self.eh is not None:
                self.eh.ev_msg(self, message)
