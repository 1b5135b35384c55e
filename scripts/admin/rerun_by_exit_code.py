"""Run failed tasks of a dataset again whose last try ended with one of some exit codes.

python scripts/admin/rerun_by_exit_code.py DATASET CODE ... [--dry-run]
"""

import argparse
from collections import Counter

import rest

AT_ONCE = 10_000

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument('dataset')
parser.add_argument('codes', type=int, nargs='+', metavar='CODE')
parser.add_argument('--dry-run', action='store_true', help='only say what would be done')
given = parser.parse_args()

base = rest.dataset(given.dataset)
total: Counter[str] = Counter()


def rerun(task_ids: list[str]) -> None:
    """Run some tasks again; none would mean all."""
    if task_ids:
        body = {'tasks': task_ids, 'statuses': ['failed'], 'reason': 'rerun_by_exit_code.py', 'dry_run': given.dry_run}
        report = rest.call('POST', f'{base}/task_actions/rerun', body)
        total.update({verdict: report[verdict] for verdict in ('changed', 'unchanged', 'refused')})


found: list[str] = []
for task in rest.tasks(f'{base}/tasks', status='failed', keys='outcome'):
    if (task['outcome'] or {}).get('exit_code') in given.codes:
        found.append(task['task_id'])
        if len(found) == AT_ONCE:
            rerun(found)
            found.clear()
rerun(found)
print(rest.summary({'dry_run': given.dry_run, 'changed': 0, 'unchanged': 0, 'refused': 0, **total}))
