"""Secrets that stand in logs: what every service of the test run writes is searched for them."""

import logging
import re
from collections.abc import Iterable
from pathlib import Path

from iceprod_tasks.logs import JsonLines

_PATTERNS = (
    re.compile(r'eyJ[\w-]{8,}\.[\w-]+\.[\w-]*'),
    re.compile(r'mongodb(?:\+srv)?://[^\s/@"]*:(?!\*\*\*@)[^\s/"]*@'),
    re.compile(r'Bearer \w', re.IGNORECASE),
)


def leaks(text: str, secrets: Iterable[str] = ()) -> list[str]:
    """The secrets in a text.

    Args:
        text: a log.
        secrets: those that are known, beside tokens and passwords in connection strings.
    """
    found = [match[0] for pattern in _PATTERNS for match in pattern.finditer(text)]
    return found + [secret for secret in secrets if secret in text]


def leaks_in(folder: Path) -> list[str]:
    """The secrets in the logs of services.

    Args:
        folder: has files named `*.log`, and somewhere in it the secrets that services have made for themselves.
    """
    secrets = [file.read_text() for file in folder.glob('**/token_secret')]
    texts = (file.read_text(errors='replace') for file in folder.glob('*.log'))
    return [leak for text in texts for leak in leaks(text, secrets)]


class Listener(logging.Handler):
    """Hears what the services in this process log, and keeps the lines that have secrets.

    Args:
        secrets: those that are known.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__(logging.DEBUG)
        self._lines = JsonLines()
        self._secrets = tuple(secrets)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Look at a line before it is masked: masks are for what we have not thought of."""
        line = self._lines.unmasked(record)
        if leaks(line, self._secrets):
            self.heard.append(line)
