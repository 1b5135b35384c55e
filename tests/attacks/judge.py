"""What is wrong with an answer, whatever the request was."""

import gzip
import json
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from tests.attacks.case import NOTHING, Case, filled
from tests.attacks.wire import Answer

_LEAK = re.compile(
    r'Traceback|File "|site-packages|dist-packages|pymongo|motor|bson|uvloop|tornado|jsonschema|orjson|asyncio'
    r'|mongod|MongoServer|WriteError|E11000|errmsg|BadValue|codeName|/tmp/|/usr/|/work/|/home/|\.py\b'
    r'|[a-z]Error\b|0x[0-9a-f]{8}',
    re.I,
)
"""Names of our parts, places on our disk, texts of the driver."""

EVERY_ANSWER: Mapping[str, str] = {
    'server': r'iceprod_tasks',
    'x-content-type-options': r'nosniff',
    'content-security-policy': r".*default-src 'none'.*frame-ancestors 'none'.*",
    'referrer-policy': r'no-referrer',
    'cross-origin-resource-policy': r'same-origin|same-site',
    'cache-control': r'no-store',
    'x-request-id': r'[A-Za-z0-9._-]{1,64}',
}
"""Headers of each answer that a handler gives, and what they say."""

_LONGEST_ECHO = 2000
_MOST_VIOLATIONS = 100
_LONGEST_VIOLATION = 250
_LONGEST_PATH = 16 * 1024
_LONGEST_HEAD = 30_000


def faults_of(case: Case, answers: Sequence[Answer], known: Mapping[str, str], secrets: Sequence[str]) -> list[str]:
    """What is wrong with the answers to a case.

    Args:
        case: what was sent.
        answers: what came.
        known: what the placeholders stand for.
        secrets: what must be in no answer, unless it is the sender's own.
    """
    expected = [status for status in case.expect if status != NOTHING] + _too_long(case)
    if not answers:
        return [] if NOTHING in case.expect else [f'no answer, expected {expected}']
    faults = []
    if len(answers) > case.answers:
        faults.append(f'{len(answers)} answers: {[answer.status for answer in answers]}')
    for answer in answers[: case.answers]:
        if answer.status not in expected:
            faults.append(f'status {answer.status}, expected {expected}: {answer.body[:200]!r}')
        faults += _shape(case, answer) + _leaks(case, answer, secrets)
        text = _text(answer)
        faults += [f'lacks {say!r}' for say in case.says if _filled(say, known) not in text]
        faults += [f'tells {word!r}' for word in case.silent if _filled(word, known) in text + repr(answer.headers)]
    return faults


def _too_long(case: Case) -> list[int]:
    """What may be answered instead of anything else where the head is longer than any head has to be."""
    path_bytes = len(case.path)
    head_bytes = path_bytes + sum(len(name) + len(value) for name, value in case.headers)
    return ([414] if path_bytes > _LONGEST_PATH else []) + ([431] if head_bytes > _LONGEST_HEAD else [])


def lacking_headers(answer: Answer) -> list[str]:
    """The headers of every answer that this one lacks."""
    said = {name: answer.header(name) or '' for name in EVERY_ANSWER}
    return [
        f'{name}: {said[name]!r}' for name, pattern in EVERY_ANSWER.items() if not re.fullmatch(pattern, said[name])
    ]


def _shape(case: Case, answer: Answer) -> list[str]:
    """Errors are JSON with their code and a short text; nothing is ever 500."""
    faults = []
    if answer.status >= 500 and answer.status not in case.expect:
        faults.append(f'status {answer.status}')
    if answer.reason != HTTPStatus(answer.status).phrase and answer.status not in (413, 422):
        faults.append(f'reason phrase {answer.reason!r}')
    if answer.status == 405 and not answer.header('allow'):
        faults.append('405 without Allow')
    if answer.status in (429, 503) and not answer.header('retry-after'):
        faults.append(f'{answer.status} without Retry-After')
    if answer.status == 401 and not answer.header('www-authenticate'):
        faults.append('401 without WWW-Authenticate')
    if answer.status < 400 or case.method == 'HEAD' or (case.bare and not answer.body):
        return faults
    if answer.status == 401 and case.path.startswith('/apis/'):
        # The command line of Drove prints it as it is.
        return faults
    return faults + _error(answer)


def _error(answer: Answer) -> list[str]:
    if not (answer.header('content-type') or '').startswith('application/json'):
        return ['an error that is no JSON']
    try:
        said = json.loads(answer.body)
    except ValueError:
        return ['an error that is no JSON']
    longest = _LONGEST_ECHO
    if isinstance(said, dict) and said.get('success') is False:
        # The envelope of a dialect, whose text stands in for ours.
        said = {'code': answer.status, 'error': said.get('data', {}).get('msg')}
    if isinstance(said, dict) and said.get('status') == 'FAILED':
        # All that is wrong is told at once, each in a few words.
        violations = said.get('data', {}).get('validationErrors', ())
        longest += _LONGEST_VIOLATION * min(len(violations), _MOST_VIOLATIONS)
        said = {'code': answer.status, 'error': said.get('message')}
    if not isinstance(said, dict) or said.get('code') != answer.status or not isinstance(said.get('error'), str):
        return ['an error without its code or its text']
    return ['an error that is too long'] if len(answer.body) > longest else []


def _leaks(case: Case, answer: Answer, secrets: Sequence[str]) -> list[str]:
    text = _text(answer)
    heads = ' '.join(f'{name}: {value}' for name, value in answer.headers)
    told = [word for word in secrets if word in text + heads and case.sender != 'holder']
    # What the sender has sent may come back in a refusal.
    faults = [
        f'tells a secret: {word[:9]}...' for word in told if answer.status < 400 or '_claim@' not in str(case.body)
    ]
    leak = _LEAK.search(text) if answer.status >= 400 else None
    if leak is not None and leak[0] not in f'{case.path}{case.body}':
        faults.append(f'tells of the inside: {text[max(0, leak.start() - 40) : leak.end() + 40]!r}')
    if re.search(r'access-control-|set-cookie|x-powered-by', heads):
        faults.append(f'headers that nobody asked for: {heads}')
    if 'evil.example' in heads:
        faults.append('a header with a host of the sender in it')
    return faults


def _text(answer: Answer) -> str:
    body = gzip.decompress(answer.body) if answer.body.startswith(b'\x1f\x8b') else answer.body
    return body.decode(errors='replace')


def _filled(text: str, known: Mapping[str, str]) -> str:
    return filled(text.encode(), known).decode()
