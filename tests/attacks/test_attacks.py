"""Each hostile request gets a right answer, and nothing else suffers from it."""

import time
from collections import Counter

import pytest

from tests.attacks.case import Case
from tests.attacks.corpus import CASES
from tests.attacks.judge import faults_of, lacking_headers
from tests.attacks.stage import Stage
from tests.attacks.wire import Answer, BrokenAnswer

_LONGEST_SECONDS = 3.0
"""Nothing that is asked here is worth more time, on a busy machine too."""
_PLAY = '/tasks/@play_task@'
_REPRESENTATIVES = (
    Case('headers: 200', (200,)),
    Case('headers: 200 of a stream', (200,), path='/tasks'),
    Case('headers: 201', (201,), 'POST', '/logs', body={'data': ''}),
    Case('headers: 400', (400,), 'PATCH', _PLAY, body='{'),
    Case('headers: 401', (401,), path='/tasks', sender='nobody'),
    Case('headers: 403', (403,), path='/tasks', sender='mallory'),
    Case('headers: 404', (404,), path='/tasks/@unknown@'),
    Case('headers: 404 of no route', (404,), path='/nothing'),
    Case('headers: 405', (405,), 'DELETE', '/tasks'),
    Case('headers: 409', (409,), 'POST', f'{_PLAY}/task_actions/heartbeat', body={'claim_id': '0' * 32}),
    Case('headers: 413', (413,), 'POST', '/logs', headers=(('Content-Length', '900000000'),)),
    Case('headers: 415', (415,), 'PATCH', _PLAY, body='{}', headers=(('Content-Type', 'text/plain'),)),
    Case('headers: an archive', (200,), path='/datasets/@play@/archive'),
)


@pytest.mark.parametrize('case', [pytest.param(case, id=case.name) for case in CASES])
def test_a_hostile_request_gets_its_answer_and_nothing_else_suffers(stage: Stage, case: Case) -> None:
    assert faults(stage, case) == []


def faults(stage: Stage, case: Case) -> list[str]:
    """Whatever is wrong after a case."""
    began = time.monotonic()
    try:
        answers = stage.send(case)
        found = faults_of(case, answers, stage.known, stage.secrets)
    except BrokenAnswer as error:
        answers, found = [], [f'broken answer: {error}']
    if answers and (seconds := time.monotonic() - began) > _LONGEST_SECONDS:
        found.append(f'took {seconds:.1f} s')
    if stage.headers_everywhere and not case.bare:
        found += [f'header {text}' for answer in answers for text in lacking_headers(answer)]
    refused = not answers or case.method in ('GET', 'HEAD') or answers[0].status >= 400
    return [
        *found, *stage.suffered(refused=refused), *_seen_afterwards(stage, case),
        *_unlike_its_twin(stage, case, answers),
    ]  # fmt: skip


def _seen_afterwards(stage: Stage, case: Case) -> list[str]:
    if case.then is None:
        return []
    path, wanted = case.then
    answer = stage.send(Case(case.name, (200,), path=path))[0]
    return [] if wanted in answer.body.decode() else [f'{wanted} is not in {path}: {answer.body[:300]!r}']


def _unlike_its_twin(stage: Stage, case: Case, answers: list[Answer]) -> list[str]:
    """Whether the answer tells that something exists, which it would not tell of what does not."""
    if not case.twin or not answers:
        return []
    known = stage.without_anything()
    twin = stage.send(case, known)[0]
    theirs, other = (_without(answer.body, names) for answer, names in ((answers[0], stage.known), (twin, known)))
    if (answers[0].status, theirs) == (twin.status, other):
        return []
    return [f'of what does not exist it says {twin.status} {other[:100]!r}, here {answers[0].status} {theirs[:100]!r}']


def _without(body: bytes, known: dict[str, str]) -> bytes:
    for value in known.values():
        body = body.replace(value.encode(), b'...')
    return body


@pytest.mark.parametrize('case', [pytest.param(case, id=case.name) for case in _REPRESENTATIVES])
def test_every_answer_has_the_headers_that_keep_browsers_from_guessing(stage: Stage, case: Case) -> None:
    (answer,) = stage.send(case)

    assert (answer.status, lacking_headers(answer)) == (*case.expect, [])


def test_the_corpus_is_large_and_its_names_are_unique() -> None:
    names = Counter(case.name for case in (*CASES, *_REPRESENTATIVES))

    assert len(names) >= 1000
    assert [name for name, times in names.items() if times > 1] == []
