"""The lines of an export: what is in one, in which order, and how a document is written so that no type is lost.

The format is described in docs/operating.md. A document is MongoDB's Extended JSON: what JSON has is written as it is,
all else as an object with a key like `$oid`, `$date` or `$numberLong`.
"""

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from bson import json_util
from bson.errors import BSONError

from iceprod_tasks.storage.client import Document

FORMAT = 'iceprod-tasks export'
FORMAT_VERSION = 1

EXPORTED: Mapping[str, str] = {
    'datasets': 'dataset_id',
    'config': 'dataset_id',
    'auths': 'dataset_id',
    'jobs': 'job_id',
    'tasks': 'task_id',
    'files': 'file_id',
    'messages': 'message_id',
    'logs': 'log_id',
    'task_stats': 'task_stat_id',
    'outputs': 'output_id',
    'node_results': 'node_result_id',
    'operations': 'operation_id',
    'pilots': 'pilot_id',
    'grids': 'grid_id',
    'users': 'username',
    'groups': 'name',
    'accounts': 'name',
    'revocations': '_id',
    'counters': '_id',
}
"""The collections of an export and the id of their documents that is unique, in the order in which they are read.

A service goes on while it is exported. So what says how much there is of something is read before that: a dataset, then
its jobs, then their tasks. Chores mend what is there too much; nothing would mend what is missing.
"""

LEFT_OUT: Mapping[str, str] = {
    'deletions': 'traces of deleted datasets, of use for an hour',
    'imports': 'which exports were read into this very database',
    'schema': 'which releases may work on this very database',
    'leaders': 'who leads at this moment',
    'maintenance': 'whether operations are accepted at this moment',
    'marks': 'by which processes that are asked for counts know that they are up to date',
    'idempotency_keys': 'answers to requests that may be repeated, which nobody does after an import',
}
"""The collections that no export has, each with what it is."""

OF_DATASETS = (
    'datasets', 'config', 'auths', 'jobs', 'tasks', 'files', 'messages', 'logs', 'task_stats', 'outputs',
    'node_results',
)  # fmt: skip
"""The collections whose documents name a dataset."""

LONGEST_LINE_BYTES = 128 * 1024 * 1024
"""The longest document that the database takes, in the longest way of writing it."""

_PREFIX = re.compile(rb'\{"collection":"(\w+)","document":(?=\{)')
_AS_THEY_ARE = frozenset({str, int, bool, type(None)})
_OPTIONS = json_util.CANONICAL_JSON_OPTIONS.with_options(tz_aware=True, tzinfo=UTC)
# Times before it are numbers in Extended JSON.
_EPOCH_YEAR = 1970


def line(value: Mapping[str, Any]) -> bytes:
    """The first or the last line of an export."""
    return orjson.dumps(_extended(value), option=orjson.OPT_APPEND_NEWLINE)


def document_line(collection: str, document: Document) -> bytes:
    """The line of a document."""
    return line({'collection': collection, 'document': document})


def collection_of(raw: bytes) -> str | None:
    """The collection that a line has a document of; None for other lines."""
    found = _PREFIX.match(raw)
    return found[1].decode() if found else None


def is_json(raw: bytes) -> bool:
    """Whether a line is whole."""
    try:
        orjson.loads(raw)
    except orjson.JSONDecodeError:
        return False
    return True


def read(raw: bytes) -> Any:
    """What a line says, with all types as they were.

    Raises:
        ValueError: it is not a line of an export.
    """
    try:
        return json.loads(raw, object_hook=_restored)
    except (ValueError, TypeError, ArithmeticError, LookupError, BSONError, RecursionError) as error:
        raise ValueError(str(error)) from error


def document_of(raw: bytes) -> Document:
    """The document of a line.

    Raises:
        ValueError: the line has none.
    """
    document = read(raw)['document']
    if not isinstance(document, dict) or not {'_id', EXPORTED[collection_of(raw) or '']} <= document.keys():
        raise ValueError('it has no document with an id')
    return document


def id_of(raw: bytes) -> str:
    """The id of a line's document, at less cost than the document.

    Raises:
        ValueError: the line has none.
    """
    try:
        return str(orjson.loads(raw)['document'][EXPORTED[collection_of(raw) or '']])
    except (LookupError, TypeError):
        raise ValueError('it has no document with an id') from None


def _extended(value: Any) -> Any:
    kind = type(value)
    if kind in _AS_THEY_ARE or (kind is float and math.isfinite(value)):
        return value
    if kind is dict:
        return {key: _extended(each) for key, each in value.items()}
    if kind is list:
        return [_extended(each) for each in value]
    if kind is datetime and value.year >= _EPOCH_YEAR:
        return {'$date': f'{value.replace(tzinfo=None).isoformat(timespec="milliseconds")}Z'}
    return json_util.default(value, _OPTIONS)


def _restored(value: dict[str, Any]) -> Any:
    # Most objects are nothing special, and the driver would look at all of their keys.
    if not next(iter(value), '').startswith('$'):
        return value
    time = value.get('$date')
    return datetime.fromisoformat(time) if isinstance(time, str) else json_util.object_hook(value, _OPTIONS)
