"""Offers and conditions as filters: the only place where a client's words become query operators.

Every operator below is written by us; a client's value only ever stands where MongoDB expects a value.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from iceprod_tasks.domain.conditions import Condition
from iceprod_tasks.domain.requirements import MUST_BE_OFFERED, TAGGED, is_number, wants_gpu
from iceprod_tasks.storage.client import Document

_OPERATORS = {
    'equal': '$eq', 'not_equal': '$ne', 'greater': '$gt', 'at_least': '$gte', 'less': '$lt', 'at_most': '$lte',
    'one_of': '$in', 'none_of': '$nin', 'present': '$exists',
}  # fmt: skip


def fitting(offer: Mapping[str, Any]) -> list[Document]:
    """The filters that a task must pass to fit an offer, as `domain.requirements.fits` decides it."""
    unnamed = [{f'requirements.{key}': {'$ne': True}} for key in MUST_BE_OFFERED if key not in offer]
    named = [_fitting_one(key, offered) for key, offered in offer.items() if key != TAGGED]
    return [*named, *unnamed, _tagged(offer.get(TAGGED))]


def _tagged(offered: Any) -> Document:
    """Tasks that want no tags, or have an alternative of which no tag is missing."""
    field, tags = f'requirements.{TAGGED}', offered if isinstance(offered, list) else []
    complete = {'$type': 'array', '$not': {'$elemMatch': {'$nin': tags}}}
    return {'$or': [{field: {'$exists': False}}, {field: {'$elemMatch': complete}}]}


def _fitting_one(key: str, offered: Any) -> Document:
    field = f'requirements.{key}'
    if wants_gpu(key, offered):
        return {field: {'$gte': 1, '$lte': offered}}
    absent = {field: {'$exists': False}}
    # A bool is taken for a number and compares with none.
    if is_number(offered) or isinstance(offered, bool):
        return {'$or': [absent, {field: {'$lte': offered}}]}
    return {'$or': [absent, {field: {'$eq': offered}}]}


def meeting(conditions: Iterable[Condition]) -> list[Document]:
    """The filters of a caller's own conditions."""
    return [{each.field: {_OPERATORS[each.comparison]: each.value}} for each in conditions]
