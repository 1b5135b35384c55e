"""Find tasks that run much longer than those of their name that are complete did on the average.

python scripts/admin/find_stragglers.py DATASET [--factor 3]
"""

import argparse
import sys
from datetime import UTC, datetime

import rest

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument('dataset')
parser.add_argument('--factor', type=float, default=3.0, help='how many times longer (default: 3)')
given = parser.parse_args()

base = rest.dataset(given.dataset)
mean_hours = {name: stats['avg_hrs'] for name, stats in rest.call('GET', f'{base}/task_stats').items()}
now = datetime.now(UTC)
unknown = set()
for task in rest.tasks(f'{base}/tasks', status='processing', keys='name|status_changed|site'):
    began = datetime.fromisoformat(task['status_changed']).replace(tzinfo=UTC)
    hours = (now - began).total_seconds() / 3600
    mean = mean_hours.get(task['name'])
    if mean is None:
        unknown.add(task['name'])
    elif hours > given.factor * mean:
        times = f'{hours / mean:.1f} times the mean' if mean else 'the mean is 0'
        print(f'{task["task_id"]} {task["name"]} at {task["site"] or "-"}: {hours:.2f} hours, {times}')
if unknown:
    print(f'no task is complete yet of: {", ".join(sorted(unknown))}', file=sys.stderr)
