"""The schemas say what the domain says, and are read as they are written."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from iceprod_tasks.domain.datasets import DATASET_STATUSES
from iceprod_tasks.domain.jobs import JOB_STATUSES
from iceprod_tasks.domain.statuses import STATUSES
from iceprod_tasks.rest import bodies


def patterns(part: Any) -> Iterator[str]:
    """Every pattern in a schema."""
    for key, item in part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ():
        if key == 'pattern' and isinstance(item, str):
            yield item
        if key != 'x-errors':
            yield from patterns(item)


def test_the_statuses_of_the_schemas_are_those_of_the_table() -> None:
    assert tuple(bodies.load_schema('definitions')['$defs']['status']['enum']) == STATUSES
    assert tuple(bodies.load_schema('definitions')['$defs']['job_status']['enum']) == JOB_STATUSES
    assert tuple(bodies.load_schema('dataset')['properties']['status']['enum']) == DATASET_STATUSES


@pytest.mark.parametrize('name', bodies.schema_names())
def test_every_pattern_is_anchored_at_both_ends(name: str) -> None:
    found = list(patterns(bodies.load_schema(name)))

    assert all(re.fullmatch(r'\^[^|]*\$', pattern) for pattern in found)


@pytest.mark.parametrize('name', bodies.schema_names())
def test_no_schema_brings_its_own_dialect_into_another(name: str) -> None:
    whole = bodies.whole_schema(name)
    # A config may name its schema, by the same word.
    own = name in ('dataset', 'dataset_config')

    assert json.dumps(whole).count('"$schema"') == own + 1
    assert '"$ref"' not in json.dumps(whole)
