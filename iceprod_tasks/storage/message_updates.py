"""Messages as a part of an update of their task: their times, and which of them have to make room.

They stand in the task itself, so that a change of status and the message that tells it are one write, also where one
update changes many tasks; and so that whoever reads messages behind a time misses none that comes late.
"""

from typing import Any

from iceprod_tasks.domain.messages import KEPT_BYTES
from iceprod_tasks.storage.client import Document

AT_MOST = 'messages_at_most'
"""A variable of every update of a task: how many messages a task keeps."""

SAID = '__said'
"""A field that a task has in the middle of an update only."""

_OLD: Document = {'$ifNull': ['$messages', []]}
_FIRST_AT: Document = {'$max': ['$$NOW', {'$add': ['$message_at', 1]}]}
"""The time of the next message: later than the last one's by a millisecond at the least, whatever the clock says."""


def appended(new: Any, number: Any) -> Document:
    """What changes in a task that gets some messages.

    Args:
        new: an expression for the messages, without their times.
        number: an expression for how many there are; where it is 0, nothing changes.

    Returns:
        Fields, and expressions for their values.
    """
    own = {'when': _at('$$this'), 'epoch': {'$ifNull': ['$epoch', 0]}}
    with_time = {'$mergeObjects': [{'$arrayElemAt': ['$$new', '$$this']}, own]}
    new_ones = {'$map': {'input': {'$range': [0, number]}, 'in': with_time}}
    all_of_them = {'$let': {'vars': {'new': new}, 'in': {'$concatArrays': [_OLD, new_ones]}}}
    return {
        'messages': {'$let': {'vars': {'all': all_of_them}, 'in': {'$cond': [_HAS_ROOM, '$$all', _KEPT]}}},
        'message_at': {'$cond': [{'$gt': [number, 0]}, _at({'$subtract': [number, 1]}), '$message_at']},
        'message_count': {'$add': [{'$ifNull': ['$message_count', 0]}, number]},
    }


def appended_once() -> list[Document]:
    """The stages that give a task those messages from its field `SAID` that it does not have yet, by their ids."""
    known = {'$map': {'input': _OLD, 'in': {'$ifNull': ['$$this.message_id', '']}}}
    new = {'$filter': {'input': '$' + SAID, 'cond': {'$not': {'$in': ['$$this.message_id', known]}}}}
    return [{'$set': {SAID: new}}, {'$set': appended('$' + SAID, {'$size': '$' + SAID})}, {'$unset': SAID}]


def _at(place: Any) -> Document:
    return {'$add': [_FIRST_AT, place]}


def _of(condition: Document) -> Document:
    """Those of all messages that a condition is true for, the newest first."""
    return {'$reverseArray': {'$filter': {'input': '$$all', 'cond': condition}}}


def _kept() -> Document:
    """Of too many messages those that stay: errors and results before notifications, and silent ones last."""
    worth: list[Document] = [
        {'$not': {'$in': ['$$this.mtype', ['notification', 'silent']]}},
        {'$eq': ['$$this.mtype', 'notification']},
        {'$eq': ['$$this.mtype', 'silent']},
    ]
    size = {'$add': ['$$value.size', {'$bsonSize': '$$this'}]}
    has_room = {'$and': [{'$lt': ['$$value.number', f'$${AT_MOST}']}, {'$lte': ['$$size', KEPT_BYTES]}]}
    one_more = {
        'number': {'$add': ['$$value.number', 1]},
        'size': '$$size',
        'times': {'$concatArrays': ['$$value.times', ['$$this.when']]},
    }
    # What does not fit ends it: nothing older takes the place of something newer.
    full = {'$mergeObjects': ['$$value', {'number': f'$${AT_MOST}'}]}
    staying = {
        '$reduce': {
            'input': {'$concatArrays': [_of(condition) for condition in worth]},
            'initialValue': {'number': 0, 'size': 0, 'times': []},
            'in': {'$let': {'vars': {'size': size}, 'in': {'$cond': [has_room, one_more, full]}}},
        }
    }
    among_them = {'$filter': {'input': '$$all', 'cond': {'$in': ['$$this.when', '$$staying.times']}}}
    return {'$let': {'vars': {'staying': staying}, 'in': among_them}}


_KEPT = _kept()
_HAS_ROOM: Document = {
    '$and': [
        {'$lte': [{'$size': '$$all'}, f'$${AT_MOST}']},
        {'$lte': [{'$bsonSize': {'all': '$$all'}}, KEPT_BYTES]},
    ]
}
