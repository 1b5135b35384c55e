"""The heads of requests, read strictly before Tornado reads them.

What two programs on the way could read in two ways is refused: a line that ends without CR, two lengths, a length
beside chunks, a second host. Nor does any of it get into the log, where Tornado would quote it.
"""

import re

LONGEST_BYTES = 32 * 1024
_LONGEST_TARGET_BYTES = 16 * 1024
_MOST_FIELDS = 100

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
_REQUEST_LINE = re.compile(rb'%s{1,32} ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])' % _TOKEN)
_FIELD = re.compile(rb'(%s{1,256}):([\t\x20-\x7e\x80-\xff]*)' % _TOKEN)
_LENGTH = re.compile(rb'[0-9]+')
_HOST = re.compile(rb'[A-Za-z0-9._~:\[\]-]{0,300}')
_FRAMING = frozenset((b'host', b'content-length', b'transfer-encoding'))

Flaw = tuple[int, str]
"""A status and a reason."""

TOO_LONG: Flaw = (431, f'the head of a request has at most {LONGEST_BYTES} bytes')


def flaw(head: bytes) -> Flaw | None:
    """What is wrong with the head of a request, None if nothing is.

    Args:
        head: up to the empty line, with it.
    """
    # Some clients end a body with a line of its own.
    request, *fields = head.removeprefix(b'\r\n').removesuffix(b'\r\n\r\n').split(b'\r\n')
    if not head.endswith(b'\r\n\r\n'):
        return 400, 'each line of a head ends with CR and LF'
    return _flaw_of_request_line(request) or _flaw_of_fields(fields, is_old=request.endswith(b'0'))


def _flaw_of_request_line(line: bytes) -> Flaw | None:
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        return 400, 'the first line is not a request'
    target, version = match[1], match[2] + b'.' + match[3]
    if version not in (b'1.0', b'1.1'):
        return 505, 'the service speaks HTTP/1.1'
    if not target.startswith(b'/'):
        return 400, 'a request names a path'
    if len(target) > _LONGEST_TARGET_BYTES:
        return 414, f'a path and its query have at most {_LONGEST_TARGET_BYTES} bytes'
    return None


def _flaw_of_fields(lines: list[bytes], *, is_old: bool) -> Flaw | None:
    if len(lines) > _MOST_FIELDS:
        return 431, f'a request has at most {_MOST_FIELDS} headers'
    framing: dict[bytes, bytes] = {}
    for line in lines:
        match = _FIELD.fullmatch(line)
        if match is None:
            return 400, 'a header is not proper'
        name = match[1].lower()
        if name in _FRAMING:
            if name in framing:
                return 400, f'{match[1].decode()} comes twice'
            framing[name] = match[2].strip(b' \t')
    return _flaw_of_host(framing, is_old=is_old) or _flaw_of_framing(framing, is_old=is_old)


def _flaw_of_host(framing: dict[bytes, bytes], *, is_old: bool) -> Flaw | None:
    host = framing.get(b'host', b'' if is_old else None)
    if host is None:
        return 400, 'a request has a Host'
    return None if _HOST.fullmatch(host) else (400, 'Host is not proper')


def _flaw_of_framing(framing: dict[bytes, bytes], *, is_old: bool) -> Flaw | None:
    length, coding = framing.get(b'content-length'), framing.get(b'transfer-encoding')
    if length is not None and not _LENGTH.fullmatch(length):
        return 400, 'Content-Length is not a length'
    if coding is None:
        return None
    if coding.lower() != b'chunked':
        return 400, 'chunked is the one transfer encoding'
    if length is not None:
        return 400, 'a body has a Content-Length or comes in chunks'
    return (400, 'chunks are of HTTP/1.1') if is_old else None
