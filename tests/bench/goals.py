"""The goals, and the tables of what was measured, for people and for the page."""

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.figures import Goal, summary
from tests.bench.stage import Figures

BEGIN, END = '<!-- figures -->', '<!-- end of figures -->'

GOALS: Mapping[str, Mapping[str, Goal]] = {
    'pairs': {
        'pairs 32 iceprod': Goal('claim + complete, 32 pilots, Motor, against IceProd 3.2.43', 3),
        'pairs 32 one filter': Goal('the same against one filter', 3),
        'cpu motor iceprod': Goal('CPU a pair, 32 pilots: of IceProd against ours on Motor', 3),
        'cpu motor one filter': Goal('CPU a pair, 32 pilots: of one filter against ours on Motor', 3),
        'cpu pymongo iceprod': Goal('CPU a pair, 32 pilots: of IceProd against ours on PyMongo', 4),
        'cpu pymongo one filter': Goal('CPU a pair, 32 pilots: of one filter against ours on PyMongo', 4),
        'pairs 1 iceprod': Goal('claim + complete, 1 pilot, against IceProd', 1.1),
        'pairs 1 one filter': Goal('the same against one filter', 1.1),
    },
    'heads': {
        'head 1 iceprod': Goal('claim p50 behind 100 000 that do not fit, 1 pilot: of IceProd against ours', 100),
        'head 1 one filter': Goal('the same of one filter against ours', 100),
        'head 32 iceprod': Goal('claim p50 behind 100 000 that do not fit, 32 pilots: of IceProd against ours', 500),
        'head 32 one filter': Goal('the same of one filter against ours', 500),
        'head rate': Goal('own rate, head of 100 000 against none', 0.8),
    },
    'sizes': {
        'size rate': Goal('own rate, 1 000 000 tasks against 10 000', 0.8),
        'count a dataset': Goal('counts of a dataset at 1 000 000 tasks', at_most=2, unit='ms'),
        'count all': Goal('counts of all at 1 000 000 tasks', at_most=10, unit='ms'),
    },
    'batches': {'batch': Goal('batch claim + report, tasks/s against pairs/s of IceProd', 10)},
    'fireworks': {'fireworks': Goal('claim + complete, 8 pilots, against FireWorks 2.1.4', 10)},
    'drain': {'drain': Goal('rate after 40 000 against that of the first 4 000', 0.9)},
    'processes': {'two processes': Goal('two processes against one, 32 pilots', 1)},
    'counters': {'count cpu': Goal('CPU a pair with counters against without', at_most=1.15)},
    'bulk': {
        'queue': Goal('queue 1000 waiting by priority', at_most=100, unit='ms'),
        'bulk seconds': Goal('status of 100 000 ids while 8 pilots claim', at_most=5, unit='s'),
        'bulk p99': Goal('p99 of their claims meanwhile', at_most=50, unit='ms'),
    },
}
"""By workload."""


def excuse(why: dict[str, str], workload: str, reason: str) -> None:
    """Say why the goals of a workload cannot be measured."""
    why |= {key: reason for key in GOALS.get(workload, {}) if key not in why}


def table_of_goals(figures: Figures) -> list[str]:
    """The goals with their figures, as Markdown."""
    lines = ['| goal | wanted | figure | verdict |', '| --- | --- | --- | --- |']
    for goals in GOALS.values():
        for key, goal in goals.items():
            words, verdict = goal.judge(figures.goals.get(key, []), figures.why.get(key, ''))
            lines.append(f'| {goal.name} | {goal.bound} | {words} | *{verdict}* |')
    return lines


def tables(figures: Figures) -> list[str]:
    """A table for each workload, as Markdown."""
    lines = []
    for workload, rows in figures.tables.items():
        columns = list(dict.fromkeys(name for row in rows.values() for name in row))
        lines += [
            '',
            f'**{workload}**',
            '',
            f'| what | who | {" | ".join(columns)} |',
            '| --- ' * (len(columns) + 2) + '|',
        ]
        for (row, who), kept in sorted(rows.items(), key=lambda each: _places(each[0])):
            cells = ' | '.join(summary(kept.get(name, [])) for name in columns)
            lines.append(f'| {row} | {who} | {cells} |')
    return lines


def _places(row: tuple[str, str]) -> list[tuple[int, int | str]]:
    """An order in which 8 comes before 32."""
    words = ' '.join(row).replace(',', ' ').split()
    return [(0, int(word)) if word.isdigit() else (1, word) for word in words]


def told(figures: Figures, rounds: int, *, quick: bool) -> list[str]:
    """All that is to be said of a run, as Markdown."""
    lines = [
        occasion(rounds, _company(figures.others), quick=quick), '', *table_of_goals(figures), *tables(figures), '',
    ]  # fmt: skip
    wrong = '; '.join(dict.fromkeys(figures.wrong))
    return [*lines, f'What should not have been: {wrong}.' if wrong else 'No task was given out twice or kept back.']


def occasion(rounds: int, company: str = '', *, quick: bool = False) -> str:
    """When and where a run was, and how its figures are to be read."""
    return (
        f'{datetime.now(UTC):%Y-%m-%d}: {"a quick run" if quick else "a run"} of {rounds} round{"s" * (rounds > 1)} on '
        f'{_machine()}. {company}{" " * bool(company)}A figure is the median of the rounds (least-greatest).'
    )


def _machine() -> str:
    cpuinfo = Path('/proc/cpuinfo').read_text() if Path('/proc/cpuinfo').exists() else ''
    names = [line.partition(': ')[2] for line in cpuinfo.split('\n') if line.startswith('model name')]
    return (
        f'{os.cpu_count()} processors ({names[0] if names else platform.machine()}), Python {platform.python_version()}'
    )


def _company(others: Sequence[float]) -> str:
    if not others:
        return ''
    middle, most = statistics.median(others), max(others)
    return f'Other programs used {middle:.0f} % of the machine meanwhile, at times {most:.0f} %.'


def replaced(page: str, lines: Sequence[str], begin: str = BEGIN, end: str = END) -> str:
    """A page with its tables replaced, those between two marks."""
    head, _, rest = page.partition(begin)
    return head + begin + '\n\n' + '\n'.join(lines) + '\n\n' + end + rest.partition(end)[2]
