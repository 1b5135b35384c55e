"""Requests as clients of Drove send them."""

import json
import re
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).parents[3] / 'docs' / 'examples' / 'test_task.json'
SEED_CREATE = """{
    "type": "CREATE",
    "spec": {...}, //(1)!
    "opSpec": { //(2)!
        "timeout": "5m",
        "parallelism": 1,
        "failureStrategy": "STOP"
    }
}"""
SEED_KILL = """{
    "type": "KILL",
    "sourceAppName" : "TEST_APP",//(1)!
    "taskId" : "T0012",//(2)!
    "opSpec": {//(3)!
        "timeout": "5m",
        "parallelism": 1,
        "failureStrategy": "STOP"
    }
}"""
"""The bodies of seed 003, as its page shows them."""


def example() -> dict[str, Any]:
    return dict(json.loads(EXAMPLE.read_text()))


def of_seed(page: str) -> str:
    """A body of the seed without its marks, the spec filled in; otherwise to the byte."""
    return re.sub(r'//\(\d\)!', '', page).replace('{...}', json.dumps(example()))


def spec(**changes: Any) -> dict[str, Any]:
    """A task of type SHELL; a change to None leaves the key out."""
    whole = {
        'sourceAppName': 'TEST_APP',
        'taskId': 'T0012',
        'executable': {'type': 'SHELL', 'url': '/bin/true'},
        'resources': [{'type': 'CPU', 'count': 1}, {'type': 'MEMORY', 'sizeInMB': 512}],
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not None}


def docker(**changes: Any) -> dict[str, Any]:
    executable = {'type': 'DOCKER', 'url': 'docker.io/library/alpine:3', 'dockerPullTimeout': '100 seconds'}
    return spec(**{'executable': executable, **changes})


def op_spec(**changes: Any) -> dict[str, Any]:
    whole = {'timeout': '5m', 'parallelism': 1, 'failureStrategy': 'STOP', **changes}
    return {name: value for name, value in whole.items() if value is not None}


def create(given: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    return {'type': 'CREATE', 'spec': given or spec(), 'opSpec': op_spec(**changes)}


def kill(app: str = 'TEST_APP', task: str = 'T0012', **changes: Any) -> dict[str, Any]:
    return {'type': 'KILL', 'sourceAppName': app, 'taskId': task, 'opSpec': op_spec(**changes)}
