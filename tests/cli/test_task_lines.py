"""How tasks look as lines: the examples of the page line by line, and whatever else a service may say."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iceprod_tasks.cli.task_lines import BETWEEN_TASKS, blocks, harmless, one_line, percent, time_text
from iceprod_tasks.client.task_records import read_tasks
from tests.client.task_service import a_task

PAGE = Path(__file__).parent / 'vappio_page'
TIME = '2010/12/02 19:57:44 UTC'
TASK_LINE = re.compile(r'Task: (\S+) +Type: (\S+) +State: (\S+) +Num: (\d+)/(\d+) .* LastUpdated: (.* UTC)$')


def seconds(text: str) -> float:
    return datetime.strptime(text, '%Y/%m/%d %H:%M:%S UTC').replace(tzinfo=UTC).timestamp()


def task_of(line: str) -> dict[str, Any]:
    """The task that a line of the page is about; its fraction of a second is not shown."""
    found = TASK_LINE.match(line)
    assert found, line
    name, kind, state, completed, total, time = found.groups()
    return a_task(
        name, state, tType=kind, completedTasks=int(completed), numTasks=int(total), timestamp=seconds(time) + 0.99
    )


def shown(*tasks: dict[str, Any], kinds: Any = ()) -> str:
    return BETWEEN_TASKS.join(blocks(read_tasks(list(tasks)), kinds))


def messages(*given: Mapping[str, Any], kinds: Any = None) -> list[str]:
    """The lines of a task's messages."""
    stamped = [{'timestamp': seconds(TIME), **message} for message in given]
    return shown(a_task(messages=stamped), kinds=kinds).split('\n')[1:]


def test_example_1_is_reproduced() -> None:
    page = (PAGE / 'example_1.txt').read_text()
    tasks = [task_of(line) for line in page.splitlines() if line]
    # The page shows a part of a listing, whose longest name has one character more.
    longest = a_task('n' * 26)

    text = shown(*tasks, longest)

    assert text.split(BETWEEN_TASKS)[:-1] == page.rstrip('\n').split(BETWEEN_TASKS)


def test_example_2_is_reproduced() -> None:
    page = (PAGE / 'example_2.txt').read_text()
    tasks = [task_of(line) for line in page.splitlines() if line]

    assert len(tasks) == 4
    assert shown(*tasks) + '\n' == page


def test_example_5_is_reproduced() -> None:
    # The last line of the page is wrapped.
    page = (PAGE / 'example_5.txt').read_text()
    page = re.sub(r'-C\n +/tmp', '-C /tmp', page)
    first, *said = page[: page.index('Stacktrace:')].splitlines()
    trace = [line[8:] for line in page.partition('Stacktrace:\n')[2].splitlines()]
    mtypes = {'Notification': 'notification', 'Debug': 'silent', 'Error': 'error'}
    parts = [re.split(' - |: ', line, maxsplit=2) for line in said]
    told = [{'mtype': mtypes[title], 'timestamp': seconds(time), 'text': text} for title, time, text in parts]
    told[-1] |= {'name': 'ProgramRunError', 'stacktrace': '\n'.join(trace)}

    text = shown(task_of(first) | {'messages': told}, kinds=None)

    assert len(told) == 4
    assert len(trace) == 18
    assert '\n\tTraceback' in text
    assert text.expandtabs(8) + '\n' == page


def test_no_tasks_are_no_lines() -> None:
    assert blocks([]) == []


def test_names_have_one_width_and_longer_types_push_on() -> None:
    lines = shown(a_task('a', tType='t' * 15), a_task('bcd', 'completed')).split(BETWEEN_TASKS)

    assert lines[0].startswith(f'Task: a   Type: {"t" * 15} State: running       Num: ')
    assert lines[1].startswith('Task: bcd Type: tagData       State: completed     Num: ')


@pytest.mark.parametrize(
    ('completed', 'total', 'shown'),
    [
        (0, 2, 0), (1, 3, 33), (2, 3, 66), (29, 100, 29), (3, 2, 150), (0, 0, 0), (5, 0, 0), (-1, 3, -33), (0.5, 1, 50),
        (1, 0.5, 200), (2**63 - 1, 2**63, 99), (1e308, 1e-308, None),
    ],
)  # fmt: skip
def test_the_percentage_is_exact_and_without_its_fraction(completed: float, total: float, shown: int | None) -> None:
    assert percent(completed, total) == shown or shown is None


@given(st.integers(0, 10**30), st.integers(1, 10**30))
def test_the_percentage_of_whole_numbers_is_their_division(completed: int, total: int) -> None:
    assert percent(completed, total) == 100 * completed // total


def test_the_percentage_has_three_places() -> None:
    nums = [shown(a_task(completedTasks=done, numTasks=20)).partition('Num: ')[2][:13] for done in (0, 10, 20)]

    assert nums == ['0/20 (  0%) L', '10/20 ( 50%) ', '20/20 (100%) ']


@pytest.mark.parametrize(
    ('value', 'text'),
    [
        (0, '1970/01/01 00:00:00 UTC'),
        (1291329692.999, '2010/12/02 22:41:32 UTC'),
        (-0.5, '1969/12/31 23:59:59 UTC'),
        (-62135596800, '0001/01/01 00:00:00 UTC'),
        (253402300799.9, '9999/12/31 23:59:59 UTC'),
        (253402300800, '253402300800 UTC'),
        (-1e300, '-1e+300 UTC'),
    ],
)
def test_times_are_utc_to_the_second(value: float, text: str) -> None:
    assert time_text(value) == text


def test_a_notification_and_a_silent_message_are_a_line_each() -> None:
    assert messages({'mtype': 'notification', 'text': 'a'}, {'mtype': 'silent', 'text': 'b'}) == [
        f'Notification - {TIME}: a',
        f'Debug - {TIME}: b',
    ]


def test_a_stacktrace_has_a_tab_before_each_line_and_the_empty_last_one() -> None:
    assert messages({'mtype': 'error', 'text': 'a', 'stacktrace': 'b\n  c\n'}) == [
        f'Error - {TIME}: a', 'Stacktrace:', '\tb', '\t  c', '\t',
    ]  # fmt: skip


@pytest.mark.parametrize('more', [{}, {'stacktrace': ''}], ids=['none', 'empty'])
def test_an_error_without_a_stacktrace_has_no_such_lines(more: dict[str, str]) -> None:
    assert messages({'mtype': 'error', 'text': 'a', **more}) == [f'Error - {TIME}: a']


@pytest.mark.parametrize(('result', 'text'), [('a b', 'a b'), ({'ü': [1]}, '{"ü": [1]}'), (None, 'null')])
def test_a_result_is_shown_as_its_text(result: object, text: str) -> None:
    assert messages({'mtype': 'result', 'result': result}) == [f'Result - {TIME}: {text}']


def test_a_message_of_an_unknown_kind_is_shown_with_all_others_only() -> None:
    unknown = [{'mtype': 'warning', 'text': 'a'}, {'mtype': 'warning', 'n': 1, 'timestamp': 0}]

    assert messages(*unknown) == [
        f'Warning - {TIME}: a',
        'Warning - 1970/01/01 00:00:00 UTC: {"timestamp": 0, "mtype": "warning", "n": 1}',
    ]
    assert messages(*unknown, kinds={'notification', 'silent', 'error'}) == []


@pytest.mark.parametrize('kinds', [(), {'notification'}, {'error'}, {'silent'}, {'notification', 'error'}])
def test_only_the_kinds_that_are_wanted_are_shown_in_the_order_of_the_task(kinds: set[str]) -> None:
    given = [{'mtype': mtype, 'text': mtype} for mtype in ('error', 'notification', 'silent', 'notification')]

    lines = messages({'mtype': 'result', 'result': ''}, *given, kinds=kinds)

    assert [line.rpartition(' ')[2] for line in lines] == [each['text'] for each in given if each['mtype'] in kinds]


def test_texts_stay_as_they_are_but_for_what_a_terminal_obeys() -> None:
    assert harmless('a\tb\nc  ü\u00a0\u2028€ 🙂') == 'a\tb\nc  ü\u00a0\u2028€ 🙂'
    assert harmless('\x1b[2Ja\x07\x9b1mb\rc\r\nd\x00\x7f\ud800') == ' [2Ja  1mb c\nd   '


def test_what_stands_within_a_line_breaks_none() -> None:
    lines = shown(a_task('a\nb', 'c\td', tType='e\x1bf'))

    assert lines.startswith('Task: a b Type: e f           State: c d           Num: ')


ODD_TEXT = st.text(alphabet=st.characters(exclude_categories=()))
ODD_NUMBER = st.integers() | st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.lists(
        st.builds(
            lambda task, said: a_task(**task) | {'messages': said},
            st.fixed_dictionaries(
                dict.fromkeys(('name', 'state', 'tType'), ODD_TEXT)
                | dict.fromkeys(('completedTasks', 'numTasks', 'timestamp'), ODD_NUMBER)
            ),
            st.lists(
                st.fixed_dictionaries(
                    {
                        'mtype': st.sampled_from(['notification', 'silent', 'error', 'result']) | ODD_TEXT,
                        'timestamp': ODD_NUMBER,
                        'text': ODD_TEXT,
                        'result': ODD_TEXT,
                        'stacktrace': ODD_TEXT,
                    }
                )
            ),
        )
    )
)
def test_whatever_a_service_says_is_lines_without_control_characters(tasks: list[dict[str, Any]]) -> None:
    given = blocks(read_tasks(tasks), None)

    assert len(given) == len(tasks)
    for block in given:
        assert re.search('[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]', block) is None
        assert TASK_WORDS.match(block.partition('\n')[0])
        block.encode()


TASK_WORDS = re.compile(r'Task: .* Type: .{13,} State: .{13,} Num: -?\d+/-?\d+ \([ -]*\d+%\) LastUpdated: .* UTC$')


@given(ODD_TEXT)
def test_one_line_is_one(text: str) -> None:
    assert '\n' not in one_line(text)
    assert '\t' not in one_line(text)
