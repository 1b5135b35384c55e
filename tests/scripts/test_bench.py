"""What the benchmark reads and says; how fast anything is, is not tested."""

import argparse
import os
from collections.abc import Generator

import pytest

from tests.bench import fanout, packages
from tests.bench.claims import WORKLOADS
from tests.bench.cpu import family, parse_machine, parse_stat, processes_of, seconds_of
from tests.bench.figures import Goal, percentile, ratios, spread, summary
from tests.bench.goals import GOALS, excuse, replaced, table_of_goals, tables
from tests.bench.memory import forget_peaks, parse_peak, peak_bytes
from tests.bench.pairs import Answer, Fleet, Pairs, _whole
from tests.bench.stage import Figures, Said

FASTER, SHORTER = Goal('faster', 3), Goal('shorter', at_most=2, unit='ms')
NAN = float('nan')


def test_a_ratio_is_that_of_figures_of_one_round() -> None:
    assert ratios([100, 300], [50, 100]) == [2, 3]


def test_rounds_that_differ_by_more_than_a_quarter_give_no_figure() -> None:
    assert spread([3.0, 4.0, 5.0]) == pytest.approx(0.25)
    assert FASTER.judge([3.0, 4.0, 5.0]) == ('4 (3-5) times', 'met')
    words, verdict = FASTER.judge([2.9, 4.0, 5.1])
    assert (words, verdict) == ('no figure: rounds from 2.9 to 5.1 times', 'not measured')


def test_rounds_that_differ_and_all_say_the_same_decide() -> None:
    assert FASTER.judge([5, 20])[1] == 'met'
    assert FASTER.judge([0.5, 2])[1] == 'not met'


@pytest.mark.parametrize(
    ('goal', 'values', 'verdict'),
    [(FASTER, [3.0], 'met'), (FASTER, [2.9], 'not met'), (SHORTER, [2.0], 'met'), (SHORTER, [2.1], 'not met'),
     (FASTER, [], 'not measured'), (FASTER, [NAN], 'not measured')],
)  # fmt: skip
def test_a_figure_is_within_its_goal_or_not(goal: Goal, values: list[float], verdict: str) -> None:
    assert goal.judge(values)[1] == verdict


def test_what_was_not_measured_says_why() -> None:
    assert FASTER.judge([], 'no Python 3.12') == ('no Python 3.12', 'not measured')


def test_every_goal_is_of_a_workload_that_there_is() -> None:
    assert set(GOALS) <= set(WORKLOADS)


def test_goals_are_told_with_figure_and_verdict_or_reason() -> None:
    figures = Figures()
    figures.goals['queue'] += [80, 90, 95]
    figures.goals['bulk p99'] += [60]
    excuse(figures.why, 'drain', 'failed')

    told = '\n'.join(table_of_goals(figures))

    assert '| queue 1000 waiting by priority | ≤ 100 ms | 90 (80-95) ms | *met* |' in told
    assert '| ≤ 50 ms | 60 ms | *not met* |' in told
    assert '| ≥ 0.9 times | failed | *not measured* |' in told


def test_rows_of_a_table_go_by_number() -> None:
    figures = Figures({'pairs': {(f'{pilots} pilots', 'ours'): {'CPU ms': [pilots]} for pilots in (32, 8)}})

    assert tables(figures)[-2:] == ['| 8 pilots | ours | 8 |', '| 32 pilots | ours | 32 |']


def test_a_summary_has_the_median_and_both_ends() -> None:
    assert summary([3, 1, 2]) == '2 (1-3)'
    assert summary([2.5]) == '2.5'


def test_a_percentile_is_one_of_the_values() -> None:
    assert [percentile(range(100), part) for part in (0, 0.5, 0.99, 1)] == [0, 50, 99, 99]


def test_waits_of_an_interval_are_those_of_claims_under_way_in_it() -> None:
    said = Said(1, 1, 1, 1, 1, 1, [(0.0, 0.5), (0.9, 0.2), (1.5, 0.3), (2.1, 0.4)], {})

    assert said.wait_ms(0, since=1, until=2) == 200
    assert said.wait_ms(1, since=1, until=2) == 300


def test_only_the_tables_of_a_page_are_replaced() -> None:
    page = 'before\n<!-- figures -->\nold\n<!-- end of figures -->\nafter\n'

    assert replaced(replaced(page, ['x']), ['new']) == (
        'before\n<!-- figures -->\n\nnew\n\n<!-- end of figures -->\nafter\n'
    )


def test_cpu_of_a_process_counts_that_of_children_that_have_ended() -> None:
    stat = parse_stat('77 (a (very) odd name) S 12 77 77 0 -1 4194560 100 200 0 0 30 4 500 6000 20 0 9 0 123 1 2')

    assert (stat.parent, stat.ticks) == (12, 6534)


def test_the_machine_is_idle_while_it_waits_for_disks() -> None:
    assert parse_machine('cpu  10 1 5 100 20 2 3 4 0 0\ncpu0 1 1') == (25, 145)


def test_a_family_has_grandchildren() -> None:
    assert family(1, [(2, 1), (9, 8), (3, 2), (4, 1)]) == [1, 2, 4, 3]


def test_this_process_has_used_some_time() -> None:
    assert os.getpid() in processes_of(os.getpid())
    assert seconds_of([os.getpid()]) > 0
    assert seconds_of([2**22 + 1]) == 0


def test_an_answer_is_read_once_it_is_whole() -> None:
    sent = b'HTTP/1.1 404 Not Found\r\nServer: x\r\ncontent-length: 4\r\n\r\n{ }\n'

    assert [_whole(bytearray(sent[:end])) for end in (10, len(sent) - 1)] == [None, None]
    assert _whole(bytearray(sent)) == (404, b'{ }\n')
    with pytest.raises(ConnectionError):
        _whole(bytearray(b'HTTP/1.1 200 OK\r\n\r\n'))


def talk(pairs: Pairs, *answers: Answer) -> tuple[list[bytes], Fleet]:
    """What a pilot sends, and what it has counted."""
    fleet = Fleet(pairs)
    pilot: Generator[bytes, Answer, None] = fleet._batches() if pairs.batch else fleet._pilot()
    return [next(pilot), *map(pilot.send, answers)], fleet


def test_a_pilot_completes_what_it_has_claimed() -> None:
    pairs = Pairs(1, 'TOKEN', 1, 60, warm_seconds=0)

    sent, fleet = talk(pairs, (200, b'{"task_id":"t1"}'), (200, b'{}'), (200, b'{"task_id":"t1"}'), (409, b'{}'))

    assert b'POST /task_actions/process HTTP/1.1' in sent[0]
    assert b'Authorization: Bearer TOKEN' in sent[0]
    assert b'POST /tasks/t1/task_actions/complete' in sent[1]
    assert sent[0][-35:-1] == sent[1][-35:-1]
    assert (fleet.done, dict(fleet.odd)) == (1, {'given out twice': 1, 'report 409': 1})


def test_a_pilot_of_iceprod_shows_the_instance() -> None:
    sent, fleet = talk(
        Pairs(1, '', 1, 60, dialect='iceprod'), (200, b'{"instance_id": "i1", "task_id": "t1"}'), (200, b'{}')
    )

    assert b'POST /task_actions/queue' in sent[0]
    assert sent[1].endswith(b'{"instance_id":"i1"}')
    assert fleet.ever_done == 1


def test_batches_count_by_task() -> None:
    tasks = b'{"tasks":[{"task_id":"t1","claim_id":"c.0"},{"task_id":"t2","claim_id":"c.1"}]}'
    results = b'{"results":[{"task_id":"t1","code":200},{"task_id":"t2","code":409,"error":"late"}]}'

    sent, fleet = talk(Pairs(1, '', 1, 60, batch=2), (200, tasks), (200, results))

    assert b'"num_tasks":2' in sent[0]
    assert b'{"task_id":"t2","claim_id":"c.1","action":"complete"}' in sent[1]
    assert (fleet.ever_done, dict(fleet.odd)) == (1, {'report 409': 1})


def test_a_python_that_is_named_and_does_not_have_the_package_is_none() -> None:
    assert packages.iceprod_python('/bin/false') == ''
    assert packages.fireworks_python('no-such-program') == ''


def test_packages_take_their_pythons_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('ICEPROD_PYTHON', 'chroot /opt/trixie /opt/iceprod/bin/python')
    parser = argparse.ArgumentParser()

    packages.add_options(parser)

    assert parser.parse_args([]).iceprod_python == 'chroot /opt/trixie /opt/iceprod/bin/python'


def test_the_most_memory_of_a_process_is_read_until_it_is_forgotten() -> None:
    much = bytearray(b'x' * 200_000_000)
    del much
    peak = peak_bytes([os.getpid()])

    forget_peaks([os.getpid()])

    assert peak_bytes([os.getpid()]) < peak - 100_000_000


def test_a_process_without_memory_of_its_own_has_no_peak() -> None:
    assert parse_peak('Name:\tkthreadd\nState:\tS\n') == 0
    assert parse_peak('VmPeak:\t  20 kB\nVmHWM:\t    1234 kB\n') == 1234 * 1024


def test_the_tables_of_the_fan_out_say_what_was_measured_and_whether_that_will_do() -> None:
    figures = {('lines', 'ours'): [[0.01, 0.02, 40.0]] * 2, ('lines', 'ClusterShell'): [[4.0, 4.1, 470.0]] * 2}

    lines = fanout.told(['lines'], figures, 2)

    assert '| a million lines | ClusterShell | 4 | 4.1 | 470 |' in lines
    assert lines[-1].endswith('| ≥ 50 times | 400 times | *met* |')
    assert not any('ssh' in line for line in lines)


def test_only_the_tables_between_their_own_marks_are_replaced() -> None:
    page = f'a\n{fanout.BEGIN}\nold\n{fanout.END}\nb'

    assert replaced(page, ['new'], fanout.BEGIN, fanout.END) == f'a\n{fanout.BEGIN}\n\nnew\n\n{fanout.END}\nb'
