"""The form of Drove's page leads to a task."""

import pytest

from tests.dialects.drove.bodies import create
from tests.dialects.drove.conftest import Drove, basic, reasons

FORM = {'Content-Type': 'application/x-www-form-urlencoded', **basic('operator')}
SEARCH = '/apis/v1/tasks/search'


@pytest.mark.parametrize(
    ('form', 'place'),
    [
        ('taskSearchAppName=TEST_APP&taskSearchTaskID=T0012', '/apis/v1/tasks/TEST_APP/instances/T0012'),
        ('taskSearchAppName=+TEST_APP&taskSearchTaskID=T0012+', '/apis/v1/tasks/TEST_APP/instances/T0012'),
        ('taskSearchAppName=TEST_APP&taskSearchTaskID=T0013', '/'),
        ('taskSearchAppName=%0d%0aX:y&taskSearchTaskID=T0012', '/'),
        ('taskSearchAppName=TEST_APP', '/'),
        ('', '/'),
    ],
)
async def test_a_search_leads_to_the_task_or_to_the_front_page(drove: Drove, form: str, place: str) -> None:
    assert (await drove.operate(create())).status == 200

    answer = await drove.api('POST', SEARCH, content=form, headers=FORM)

    assert (answer.status, answer.headers['Location']) == (303, place)


@pytest.mark.parametrize('form', [b'\xff', b'a=%ff', b'a=b&' * 101], ids=['no UTF-8', 'no UTF-8 inside', '101 fields'])
async def test_what_is_no_form_is_refused(drove: Drove, form: bytes) -> None:
    answer = await drove.api('POST', SEARCH, content=form, headers=FORM)

    assert reasons(answer) == ['the body is no form, or has too many fields']
