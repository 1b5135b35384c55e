"""The log of the service: a JSON object a line on stderr, from whatever library a word comes."""

import json
import logging
from datetime import UTC, datetime

from iceprod_tasks.domain.masking import masked

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
        time = datetime.fromtimestamp(record.created, UTC)
        line = {
            'time': f'{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03d}Z',
            'level': record.levelname,
            'process': record.process,
            'logger': record.name,
            'message': record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in _OWN},
        }
        if record.exc_info:
            line['exception'] = self.formatException(record.exc_info)
        # Nothing but ASCII: some readers take other characters than the newline for the end of a line.
        return json.dumps(line, default=str)


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
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.captureWarnings(True)  # noqa: FBT003 - its only argument
    logging.getLogger('tornado.general').addFilter(_Malformed())
    # At its lowest level the driver writes commands, with the claim ids and hashes in them.
    logging.getLogger('pymongo').setLevel(max(logging.INFO, logging.getLogger().level))
