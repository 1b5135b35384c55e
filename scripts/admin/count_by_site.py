"""Count tasks by the site where they ran last, and by status; those of a dataset, or of all as an operator.

python scripts/admin/count_by_site.py [DATASET]
"""

import argparse
from collections import Counter

import rest

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument('dataset', nargs='?')
given = parser.parse_args()

path = f'{rest.dataset(given.dataset)}/tasks' if given.dataset else '/tasks'
counts: dict[str, Counter[str]] = {}
for task in rest.tasks(path, keys='site|status'):
    counts.setdefault(task['site'] or '-', Counter())[task['status']] += 1

for site, statuses in sorted(counts.items(), key=lambda pair: -pair[1].total()):
    words = ', '.join(f'{number} {status}' for status, number in statuses.most_common())
    print(f'{site:24} {statuses.total():8}  {words}')
