"""What the scripts beside it share: a call of the REST API, and lists that come in pages.

The service's address and a token come from ICEPROD_TASKS_SERVER and ICEPROD_TASKS_TOKEN.
"""

import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from typing import Any

SERVER = os.environ.get('ICEPROD_TASKS_SERVER', 'http://127.0.0.1:8080').rstrip('/')
TOKEN = os.environ.get('ICEPROD_TASKS_TOKEN', '')
PAGE = 5000
PATIENCE_SECONDS = 3600  # an action on a million tasks takes minutes


def call(method: str, path: str, body: Any = None) -> Any:
    """Send a request; the JSON of the answer."""
    return _call(method, path, body)[0]


def tasks(path: str, **query: str) -> Iterator[dict[str, Any]]:
    """The tasks of a list one by one, fetched in pages: `/datasets/D/tasks`, or `/tasks` for operators."""
    following = f'{path}?{urllib.parse.urlencode({**query, "limit": PAGE})}'
    while following:
        page, following = _call('GET', following)
        yield from page['tasks'] if path == '/tasks' else page.values()


def dataset(dataset_id: str) -> str:
    """The beginning of the paths of a dataset."""
    return f'/datasets/{urllib.parse.quote(dataset_id, safe="")}'


def summary(report: dict[str, Any]) -> str:
    """What an action did, or in a dry run would do."""
    changed = 'would change' if report['dry_run'] else 'changed'
    lines = []
    if itself := report.get('dataset'):
        would = report['dry_run'] and itself['result'] == 'changed'
        lines.append(f'dataset: {"would change, is" if would else itself["result"] + ","} {itself["status"]}')
    parts = {name: report[name] for name in ('jobs', 'tasks') if name in report} or {'tasks': report}
    for name, done in parts.items():
        lines.append(f'{name}: {changed} {done["changed"]}, unchanged {done["unchanged"]}, refused {done["refused"]}')
    return '\n'.join(lines)


def _call(method: str, path: str, body: Any = None) -> tuple[Any, str]:
    data = None if body is None else json.dumps(body).encode()
    headers = {'Authorization': f'Bearer {TOKEN}', 'Content-Type': 'application/json'}
    try:
        request = urllib.request.Request(SERVER + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            return json.load(answer), _next_page(answer.headers.get('Link', ''))
    except urllib.error.HTTPError as error:
        sys.exit(f'{method} {path}: {error.code} {_reason(error)}')
    except (OSError, HTTPException, ValueError) as error:
        sys.exit(f'{method} {SERVER}{path}: {getattr(error, "reason", error)}')


def _next_page(link: str) -> str:
    """The path in a `Link` header; the token goes to no server but its own."""
    url, _, relation = link.partition('>')
    if 'rel="next"' not in relation:
        return ''
    parts = urllib.parse.urlsplit(url.lstrip('<'))
    return f'{parts.path}?{parts.query}'


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)['error'])
    except (ValueError, TypeError, KeyError):
        return str(error.reason)
