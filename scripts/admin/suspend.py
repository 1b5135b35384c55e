"""Suspend a dataset with its jobs and tasks; work that runs is stopped.

python scripts/admin/suspend.py DATASET [--reason WHY] [--dry-run]
"""

import argparse

import rest

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument('dataset')
parser.add_argument('--reason', default='suspend.py', help="for the tasks' logs")
parser.add_argument('--dry-run', action='store_true', help='only say what would be done')
given = parser.parse_args()

body = {'reason': given.reason, 'dry_run': given.dry_run}
report = rest.call('POST', f'{rest.dataset(given.dataset)}/dataset_actions/suspend', body)
print(rest.summary(report))
