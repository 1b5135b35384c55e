"""Reset the failed tasks of a dataset: they are tried again, with no failures counted.

python scripts/admin/reset_failed.py DATASET [--dry-run]
"""

import argparse

import rest

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument('dataset')
parser.add_argument('--dry-run', action='store_true', help='only say what would be done')
given = parser.parse_args()

body = {'statuses': ['failed'], 'reason': 'reset_failed.py', 'dry_run': given.dry_run}
print(rest.summary(rest.call('POST', f'{rest.dataset(given.dataset)}/task_actions/reset', body)))
