"""Set what the tasks of one name need, raised or lowered: cpu, gpu; memory, disk (GB); time (hours); os; site.

python scripts/admin/set_requirements.py DATASET NAME memory=8 os=debian_12,debian_13 ... [--dry-run]
"""

import argparse
import sys
import urllib.parse
from collections.abc import Callable
from typing import Any

import rest

KINDS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(('cpu', 'gpu'), int),
    **dict.fromkeys(('memory', 'disk', 'time'), float),
    'os': lambda text: text.split(','),
    'site': str,
}

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument('dataset')
parser.add_argument('name')
parser.add_argument('pairs', nargs='+', metavar='KEY=VALUE')
parser.add_argument('--dry-run', action='store_true', help='only say what would be done')
given = parser.parse_args()

wanted = {}
for pair in given.pairs:
    key, _, value = pair.partition('=')
    try:
        wanted[key] = KINDS[key](value)
    except (KeyError, ValueError):
        sys.exit(f'not a requirement: {pair}')

base = rest.dataset(given.dataset)
number = sum(rest.call('GET', f'{base}/task_counts/name_status').get(given.name, {}).values())
if not number:
    sys.exit(f'the dataset has no tasks called {given.name}')
if not given.dry_run:
    rest.call('PATCH', f'{base}/task_actions/bulk_requirements/{urllib.parse.quote(given.name, safe="")}', wanted)
print(f'{"would set" if given.dry_run else "set"} {wanted} for {number} tasks')
