"""The log of the service: a JSON object a line on stderr, from whatever library a word comes."""

import contextlib
import json
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from iceprod_tasks.domain.masking import masked

_STDERR = 2
_LAST_WORDS_SECONDS = 1.0
_GATHERING_SECONDS = 0.01
_LINES_A_WRITE = 100
_ENCODER = json.JSONEncoder(default=str)
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {'message', 'asctime', 'taskName'}


class JsonLines(logging.Formatter):
    """Writes a record as one line of ASCII; everything in `extra` is a field."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without passwords and tokens.

        Args:
            record: what was logged.
        """
        return masked(self.unmasked(record))

    def unmasked(self, record: logging.LogRecord) -> str:
        """The line as it would be if nobody had put a secret into it.

        Args:
            record: what was logged.
        """
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec='milliseconds')
        line = {
            'time': time.removesuffix('+00:00') + 'Z',
            'level': record.levelname,
            'process': record.process,
            'logger': record.name,
            'message': record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in _OWN},
        }
        if record.exc_info:
            line['exception'] = self.formatException(record.exc_info)
        return _encoded(line)


def _encoded(line: Mapping[str, Any]) -> str:
    # Nothing but ASCII: some readers take other characters than the newline for the end of a line. Few lines have
    # anything else in them, and to write those as ASCII takes ten times as long.
    with contextlib.suppress(TypeError):
        text = orjson.dumps(line, default=str)
        if text.isascii():
            return text.decode()
    return _ENCODER.encode(line)


class Beside(logging.Handler):
    """Writes lines in a thread of its own: whoever has the log in hand and does not read it keeps no request waiting.

    The thread is woken for many lines at once. To wake it costs more than to write a line, and while it runs, requests
    do not.

    What finds no room is dropped, and how much it was is told when there is room again.

    Args:
        descriptor: of the file that lines are written to.
        room: lines that can wait.
    """

    def __init__(self, descriptor: int, room: int = 10_000) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._room = room
        self._lines: deque[str] = deque()
        self._some = threading.Event()
        self._writing = False
        self._dropped = 0
        threading.Thread(target=self._write_on, name='log', daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Leave a record to the thread."""
        if len(self._lines) >= self._room:
            self._dropped += 1
            return
        try:
            self._lines.append(self.format(record))
        except Exception:
            self.handleError(record)
            return
        if not self._some.is_set():
            self._some.set()

    def flush(self) -> None:
        """Wait until all is written, but not for long."""
        end = time.monotonic() + _LAST_WORDS_SECONDS
        while (self._lines or self._some.is_set() or self._writing) and time.monotonic() < end:
            time.sleep(_GATHERING_SECONDS / 2)

    def _write_on(self) -> None:
        while True:
            self._some.wait()
            time.sleep(_GATHERING_SECONDS)
            self._writing = True
            self._some.clear()
            while self._lines:
                self._write([self._lines.popleft() for _ in range(min(len(self._lines), _LINES_A_WRITE))])
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                self.emit(logging.makeLogRecord({
                    'name': __name__, 'levelno': logging.WARNING, 'levelname': 'WARNING', 'action': 'log',
                    'msg': f'{dropped} lines were dropped: the log was not read in time',
                }))  # fmt: skip
            self._writing = False

    def _write(self, lines: Sequence[str]) -> None:
        # Not by `sys.stderr`: a thread that waits in it keeps the interpreter from ending.
        left = ('\n'.join(lines) + '\n').encode()
        # Otherwise nobody is there any more who could be told.
        with contextlib.suppress(OSError):
            while left:
                left = left[os.write(self._descriptor, left) :]


class _Malformed(logging.Filter):
    """Takes out of Tornado's words on broken requests what it quotes: it can be a header with a password."""

    def filter(self, record: logging.LogRecord) -> bool:
        if str(record.msg).startswith('Malformed HTTP message'):
            record.msg, record.args = 'what a client has sent is no HTTP request', ()
        return True


def configure(level: str) -> None:
    """Send all that is logged in this process to stderr, once.

    Args:
        level: the name of the lowest level that is written.
    """
    handler = Beside(_STDERR)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.captureWarnings(True)  # noqa: FBT003 - its only argument
    # What no line has need not be found out for each: who called, and from which thread.
    logging._srcfile = None
    logging.logThreads = logging.logMultiprocessing = False
    logging.getLogger('tornado.general').addFilter(_Malformed())
    # At its lowest level the driver writes commands, with the claim ids and hashes in them.
    logging.getLogger('pymongo').setLevel(max(logging.INFO, logging.getLogger().level))
