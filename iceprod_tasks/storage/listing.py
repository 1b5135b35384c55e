"""Listings: which tasks, from where on. A cursor says where a page ended, as a word that the next request brings."""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId
from bson.errors import InvalidId

from iceprod_tasks.domain.errors import InvalidRequest
from iceprod_tasks.storage.client import Document, Sort
from iceprod_tasks.storage.tasks import in_dataset

_DATE = 'date'
_BY_PLACE = (('job_index', 1), ('name', 1))


@dataclass(frozen=True, slots=True)
class Selection:
    """Which tasks; what is None does not matter.

    Args:
        dataset_id: of this dataset.
        statuses: in one of these; unknown ones match nothing.
        job_id: of this job.
        job_index: with this place in the dataset.
        name: with this name.
    """

    dataset_id: str | None = None
    statuses: Sequence[str] | None = None
    job_id: str | None = None
    job_index: int | None = None
    name: str | None = None

    @property
    def order(self) -> Sort:
        """The order in which its tasks are listed unless another is asked for; `_id` decides between equals.

        A whole dataset goes by place and not by age: the index that goes by age has the status in front, and a task
        whose status changes while the list is being read would be missed, or come twice.
        """
        whole = self.dataset_id is not None and self.statuses is None and self.job_id is None
        return _BY_PLACE if whole else ()


def page(selection: Selection, sort: Sort, after: str) -> Document:
    """The filter of a selection's tasks behind a cursor.

    Args:
        selection: which tasks.
        sort: the order of the listing.
        after: the cursor, '' for the beginning.

    Raises:
        InvalidRequest: the cursor does not belong to a listing of this order.
    """
    equal = {'job_id': selection.job_id, 'job_index': selection.job_index, 'name': selection.name}
    where: Document = {field: value for field, value in equal.items() if value is not None}
    if selection.dataset_id is not None and selection.order:
        where['dataset_id'] = selection.dataset_id
    elif selection.dataset_id is not None:
        where = in_dataset(selection.dataset_id, **where)
    if selection.statuses is not None:
        where['status'] = {'$in': list(selection.statuses)}
    return {'$and': [where, _beyond(after, sort)]} if after else where


def cursor_after(task: Document, sort: Sort) -> str:
    """The cursor behind a task in a listing of this order."""
    values = [_plain(task.get(field)) for field, _ in sort]
    text = json.dumps([*values, str(task['_id'])], separators=(',', ':'))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip('=')


def _beyond(cursor: str, sort: Sort) -> Document:
    """The filter of what comes after a cursor.

    Args:
        cursor: made by `cursor_after`, with the same order.
        sort: the order.

    Raises:
        InvalidRequest: the cursor was not made for this order, or not by us.
    """
    *values, last_id = _read(cursor, len(sort) + 1)
    if not sort:
        return {'_id': {'$gt': last_id}}
    # Expressions compare values of any two types as the sort does; a query's $gt looks at one type only.
    clauses: list[Any] = []
    equal: list[Any] = []
    for (field, direction), value in zip([*sort, ('_id', 1)], [*values, last_id], strict=True):
        own = {'$ifNull': ['$' + field, None]}
        clauses.append({'$and': [*equal, {'$gt' if direction > 0 else '$lt': [own, {'$literal': value}]}]})
        equal.append({'$eq': [own, {'$literal': value}]})
    # An index is not used for expressions, and a place is always a number.
    first = {'job_index': {'$gte': values[0]}} if sort[0] == _BY_PLACE[0] else {}
    return {**first, '$expr': {'$or': clauses}}


def _read(cursor: str, length: int) -> Sequence[Any]:
    try:
        text = base64.urlsafe_b64decode(cursor.encode('ascii') + b'=' * (-len(cursor) % 4))
        values = json.loads(text)
        # ObjectId(None) would be a new one.
        if not isinstance(values, list) or len(values) != length or not isinstance(values[-1], str):
            raise ValueError
        return [*map(_stored, values[:-1]), ObjectId(values[-1])]
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError, binascii.Error, InvalidId) as error:
        raise InvalidRequest('"after" is not a cursor of this listing') from error


def _plain(value: Any) -> Any:
    return {_DATE: value.timestamp()} if isinstance(value, datetime) else value


def _stored(value: Any) -> Any:
    if isinstance(value, dict):
        return datetime.fromtimestamp(value[_DATE], UTC)
    # All that can be sorted by are plain values.
    if isinstance(value, list):
        raise TypeError
    return value
