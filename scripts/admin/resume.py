"""Let a suspended dataset go on with its jobs and tasks.

python scripts/admin/resume.py DATASET [--reason WHY] [--dry-run]
"""

import argparse

import rest

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument('dataset')
parser.add_argument('--reason', default='resume.py', help="for the tasks' logs")
parser.add_argument('--dry-run', action='store_true', help='only say what would be done')
given = parser.parse_args()

body = {'reason': given.reason, 'dry_run': given.dry_run}
report = rest.call('POST', f'{rest.dataset(given.dataset)}/dataset_actions/resume', body)
print(rest.summary(report))
