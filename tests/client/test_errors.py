"""Answers as exceptions."""

import time
from email.utils import formatdate

import httpx2
import pytest

from iceprod_tasks.client import (
    BadRequest,
    ClientError,
    Conflict,
    Gone,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    NoWork,
    Overloaded,
    ServerError,
    TooLarge,
)
from iceprod_tasks.client.errors import error_of
from tests.client.wire import refused, says


@pytest.mark.parametrize(
    ('code', 'kind'),
    [
        (400, BadRequest),
        (401, NotAuthenticated),
        (403, NotPermitted),
        (404, NotFound),
        (409, Conflict),
        (410, Gone),
        (413, TooLarge),
        (415, ClientError),
        (429, Overloaded),
        (500, ServerError),
        (503, ServerError),
    ],
)
def test_each_code_has_its_class(code: int, kind: type[ClientError]) -> None:
    error = error_of(refused(code, 'the reason', more=1))

    assert type(error) is kind
    assert (error.code, error.reason, error.body['more']) == (code, 'the reason', 1)


def test_no_work_tells_what_is_left() -> None:
    error = error_of(refused(404, left=7))

    assert isinstance(error, NoWork)
    assert error.left == 7


@pytest.mark.parametrize('body', ['', 'no json', '[]', 'null', '\xff'])
def test_an_error_without_our_body_still_says_something(body: str) -> None:
    error = error_of(httpx2.Response(502, content=body.encode('latin-1')))

    assert isinstance(error, ServerError)
    assert error.reason == 'Bad Gateway'


@pytest.mark.parametrize(
    ('header', 'seconds'), [('3', 3.0), ('-3', 0.0), ('soon', 0.0), ('nan', 0.0), ('1e9', 300.0), ('', 0.0)]
)
def test_retry_after_is_a_bounded_number(header: str, seconds: float) -> None:
    error = error_of(says(503, {}, Retry_After=header))

    assert error.retry_after_seconds == seconds


def test_retry_after_may_be_a_date() -> None:
    error = error_of(says(503, {}, Retry_After=formatdate(time.time() + 100, usegmt=True)))

    assert 0 < error.retry_after_seconds <= 100
