"""The log: a JSON object a line, whatever is in it, and no secrets."""

import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from iceprod_tasks.domain.errors import CannotStart
from iceprod_tasks.domain.masking import masked
from iceprod_tasks.logs import Beside, JsonLines, _Malformed
from iceprod_tasks.storage.client import connect
from tests.leaks import leaks

FORGED = 'x\n{"level": "INFO"}\r\x0b\x1c\x85\u2028\u2029\ud800\0"'
TOKEN = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl'


def record(text: str, *args: Any, **extra: Any) -> logging.LogRecord:
    made = logging.makeLogRecord({'name': 'iceprod_tasks.rest', 'levelname': 'INFO', 'msg': text, 'args': args})
    made.__dict__ |= extra
    return made


def written(text: str, *args: Any, **extra: Any) -> dict[str, Any]:
    line = JsonLines().format(record(text, *args, **extra))
    assert len(line.splitlines()) == 1
    read: dict[str, Any] = json.loads(line)
    return read


def test_a_line_has_time_level_process_logger_message_and_what_more_there_is() -> None:
    line = written('%d tasks', 5, action='queue', process=7, created=1795760054.98765)

    assert line == {
        'time': '2026-11-27T06:14:14.987Z', 'level': 'INFO', 'process': 7, 'logger': 'iceprod_tasks.rest',
        'message': '5 tasks', 'action': 'queue',
    }  # fmt: skip


def test_no_character_in_what_is_logged_ends_the_line() -> None:
    line = written('%s', FORGED, actor=FORGED)

    assert (line['message'], line['actor']) == (FORGED, FORGED)


def test_an_exception_stays_in_the_line() -> None:
    try:
        raise ValueError('one\ntwo')
    except ValueError:
        line = written('failed', exc_info=sys.exc_info())

    assert line['exception'].endswith('ValueError: one\ntwo')


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Where somebody writes, and somebody else need not read."""
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


def test_a_log_that_nobody_reads_keeps_nobody_waiting_and_tells_afterwards_what_was_dropped(
    pipe: tuple[int, int],
) -> None:
    reading, writing = pipe
    handler = Beside(writing, room=100)
    began = time.monotonic()

    for number in range(2000):
        handler.handle(record('line %d %s', number, 'x' * 1000))
    took_seconds = time.monotonic() - began
    text = ''
    while 'dropped' not in text:
        text += os.read(reading, 65536).decode()

    assert took_seconds < 5
    assert text.splitlines()[0].startswith('line 0 ')
    told = int(text.splitlines()[-1].split()[0])
    assert told + text.count('line ') == 2000


def test_what_was_logged_last_is_written_before_the_end(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    handler = Beside(writing)

    handler.handle(record('the end'))
    handler.flush()

    assert os.read(reading, 100) == b'the end\n'


@pytest.mark.parametrize('value', [2**70, 'zwölf', '\ud800', {'deep': ['ß', None]}])
def test_what_is_seldom_in_a_line_is_written_as_it_is(value: Any) -> None:
    assert str(written('x', what=value)['what']) == str(value)


def test_what_is_no_json_is_written_as_text() -> None:
    assert written('x', what={1, 2})['what'] == '{1, 2}'


@pytest.mark.parametrize(
    ('text', 'seen'),
    [
        ('mongodb://ada:secret@db1,db2/?replicaSet=rs0', 'mongodb://ada:***@db1,db2/?replicaSet=rs0'),
        ('cannot use "mongodb+srv://ada:se@cr/et@db1/x"', 'cannot use "mongodb+srv://ada:***@db1/x"'),
        ('MONGODB://a:b@h', 'MONGODB://a:***@h'),
        ('mongodb://h/?tlsCertificateKeyFilePassword=secret&w=1', 'mongodb://h/?tlsCertificateKeyFilePassword=***&w=1'),
        ('mongodb://ada@h:27017/, mongodb://h:1/a', 'mongodb://ada@h:27017/, mongodb://h:1/a'),
        (f'Authorization: {TOKEN}.', 'Authorization: ***.'),
        ('nothing', 'nothing'),
    ],
)
def test_passwords_and_tokens_are_masked(text: str, seen: str) -> None:
    assert masked(text) == seen


def test_a_line_is_masked_in_all_its_fields() -> None:
    line = written('%s', 'mongodb://ada:secret@h', url='mongodb://ada:secret@h', token=TOKEN)

    assert leaks(json.dumps(line), ['secret']) == []


def test_what_tornado_quotes_of_broken_requests_is_left_out() -> None:
    broken = record('Malformed HTTP message from %s: %s', '127.0.0.1', "Invalid header value 'Basic c2VjcmV0'")

    assert _Malformed().filter(broken)
    assert 'c2VjcmV0' not in JsonLines().format(broken)


@pytest.mark.parametrize(
    ('text', 'found'),
    [
        (f'x {TOKEN} y', 1), ('mongodb://ada:secret@h', 1), ('mongodb://ada:***@h', 0), ('authorization: bearer x', 1),
        ('a known one', 1), ('nothing', 0),
    ],
)  # fmt: skip
def test_the_search_for_secrets_finds_them(text: str, found: int) -> None:
    assert len(leaks(text, ['known one'])) == found


@pytest.mark.parametrize(
    'url',
    [
        'mongodb://ada:ze/bra@h', 'mongodb://ada:ze@bra@h', 'mongodb://ada:ze:bra@h', 'mongodb://ada:ze%bra@h',
        'mongodb://ada:ze?bra@h/', 'mongodb://ada:zebra@h:port', 'ada:zebra@h', 'mongodb://ada:zebra@h/?zebra=1',
        'mongodb://h/?tlsCertificateKeyFilePassword=zebra&authMechanism=zebra',
    ],
)  # fmt: skip
async def test_what_is_said_of_a_connection_string_that_is_none_does_not_quote_its_password(url: str) -> None:
    with pytest.raises(CannotStart) as error:
        connect(url)

    assert 'ze' not in masked(str(error.value)).replace('size', '')
    assert 'bra' not in str(error.value)
