"""Secrets in texts: what is written for people to read has none of them."""

import re

HIDDEN = '***'

_PASSWORD = re.compile(r'(mongodb(?:\+srv)?://[^\s/@"\']*?):[^\s"\']*@', re.IGNORECASE)
"""The password of a connection string, which ends at the last @ if somebody has forgotten to quote it."""
_OPTION = re.compile(r'(\w*password=|authMechanismProperties=)[^&\s"\']+', re.IGNORECASE)
_TOKEN = re.compile(r'eyJ[\w-]{8,}\.[\w-]+\.[\w-]*')


def masked(text: str) -> str:
    """A text without passwords of connection strings, and without tokens.

    Args:
        text: for a log, or for whoever has started a command.
    """
    if 'eyJ' in text:
        text = _TOKEN.sub(HIDDEN, text)
    if 'mongodb' in text.lower():
        text = _PASSWORD.sub(rf'\1:{HIDDEN}@', text)
        text = _OPTION.sub(rf'\1{HIDDEN}', text)
    return text
