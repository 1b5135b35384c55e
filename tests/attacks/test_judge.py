"""The judge of the attacks finds what it is there to find."""

import json
from typing import Any

import pytest

from tests.attacks.case import Case
from tests.attacks.judge import faults_of
from tests.attacks.wire import Answer, BrokenAnswer, parse

_JSON = (('content-type', 'application/json'),)
_SECRET = 's3cr3t-of-somebody'


def _refusal(code: int = 400, error: str = 'no', **more: Any) -> Answer:
    return Answer(code, 'Bad Request', _JSON, json.dumps({'code': code, 'error': error, **more}).encode())


def _faults(*answers: Answer, **case: Any) -> list[str]:
    return faults_of(Case('', (400,), **case), answers, {'task': 'abc'}, [_SECRET])


def test_a_right_answer_has_no_faults() -> None:
    assert _faults(_refusal()) == []


@pytest.mark.parametrize(
    'answer',
    [
        _refusal(500), Answer(400, 'Bad Request', _JSON, b''), Answer(400, 'Bad Request', (), b'{}'),
        Answer(400, 'Bad Request', _JSON, b'{"code":401,"error":"no"}'), Answer(400, 'x evil', _JSON, _refusal().body),
        _refusal(error='Traceback (most recent call last)'), _refusal(error='pymongo said no'),
        _refusal(error='/usr/lib/x'),
        _refusal(error=_SECRET), Answer(400, 'Bad Request', (*_JSON, ('x', _SECRET)), _refusal().body),
        Answer(400, 'Bad Request', (*_JSON, ('access-control-allow-origin', '*')), _refusal().body),
        _refusal(error='x' * 3000),
    ],
)  # fmt: skip
def test_each_kind_of_wrong_answer_is_found(answer: Answer) -> None:
    assert _faults(answer)


@pytest.mark.parametrize(
    ('errors', 'faults'), [(['x' * 200] * 100, False), (['x' * 200] * 200, True), (['x' * 3000], True)]
)
def test_what_is_told_of_many_violations_may_be_longer_but_has_an_end(errors: list[str], faults: bool) -> None:
    said = {'status': 'FAILED', 'message': 'no', 'data': {'validationErrors': errors}}

    found = _faults(Answer(400, 'Bad Request', _JSON, json.dumps(said).encode()))

    assert found == (['an error that is too long'] if faults else [])


def test_a_second_answer_is_found() -> None:
    assert _faults(_refusal(), _refusal()) == ['2 answers: [400, 400]']


def test_what_must_be_there_and_what_must_not_is_looked_for() -> None:
    assert _faults(_refusal(task='abc'), says=('xyz',), silent=('@task@',)) == ["lacks 'xyz'", "tells '@task@'"]


@pytest.mark.parametrize(
    'text', [b'HTTP/1.1 200 OK\nX: 1\n\n\r\n\r\n', b'HTTP/1.1 200 OK\r\nX 1\r\n\r\n', b'hello\r\n\r\n']
)
def test_what_is_no_http_is_found(text: bytes) -> None:
    with pytest.raises(BrokenAnswer):
        parse(text, head_only=False)
