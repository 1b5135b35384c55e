"""What the driver's errors mean: refused, or nobody knows.

A write whose outcome is unknown is never reported as refused. It may be there, so whoever asked has to repeat it. That
is so for every loss of a connection and every time-out, for a primary that is going or gone, and for a write that is on
the primary but not on the majority.
"""

import contextlib
from collections.abc import Iterator

from bson.errors import BSONError
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DocumentTooLarge,
    DuplicateKeyError,
    OperationFailure,
    ProtocolError,
    PyMongoError,
    WriteConcernError,
)

from iceprod_tasks.domain.errors import InvalidRequest, TooLarge, Unavailable

_DUPLICATE_KEY = 11000
_GOING_OR_GONE = frozenset({6, 7, 89, 91, 134, 189, 262, 9001, 10058, 10107, 11600, 11602, 13435, 13436})
"""A primary that cannot be reached, is stepping down, shutting down or starting."""
_CUT_SHORT = frozenset({24, 43, 46, 50, 64, 112, 175, 202, 237, 365, 388, 11601})
"""Operations that met a lock, a time limit, a conflict, a full cache, or somebody who ended them; the next try may
succeed."""
_FULL = frozenset({14031})
"""No room on the database's disk: nothing the client could mend, but somebody will."""
_UNDECIDED_CODES = _GOING_OR_GONE | _CUT_SHORT | _FULL
# A document that only became too large by an update.
_TOO_LARGE_CODES = frozenset({10334, 17419, 17420})


class Duplicate(Exception):
    """A unique index has this value already."""


@contextlib.contextmanager
def driver_errors() -> Iterator[None]:
    """Turn the driver's errors into ours.

    Raises:
        Duplicate: a unique index has the value already; nothing was written.
        Unavailable: the database does not answer, or nobody knows whether a write is there and will stay.
        TooLarge: the document is larger than the database takes.
        InvalidRequest: a value cannot be stored.
    """
    try:
        yield
    except DuplicateKeyError as error:
        raise Duplicate from error
    except DocumentTooLarge as error:
        raise TooLarge('the document is too large for the database') from error
    except PyMongoError as error:
        if outcome_unknown(error):
            raise Unavailable from error
        if isinstance(error, OperationFailure) and error.code in _TOO_LARGE_CODES:
            raise TooLarge('the document would be too large for the database') from error
        raise
    except (BSONError, OverflowError, UnicodeEncodeError) as error:
        raise InvalidRequest('the request has a value that cannot be stored') from error


def outcome_unknown(error: PyMongoError) -> bool:
    """Whether the database may have done, or may yet do, what it was asked."""
    if isinstance(error, ConnectionFailure | ProtocolError | WriteConcernError) or error.timeout:
        return True
    if error.has_error_label('RetryableWriteError') or error.has_error_label('TransientTransactionError'):
        return True
    if isinstance(error, BulkWriteError):
        details = error.details or {}
        codes = {each.get('code') for each in details.get('writeErrors', ())}
        return bool(details.get('writeConcernErrors')) or bool(codes & _UNDECIDED_CODES)
    return isinstance(error, OperationFailure) and error.code in _UNDECIDED_CODES


def stored_beside_duplicates(error: BulkWriteError) -> int:
    """How many of many new documents were stored, where the others were there before.

    Raises:
        BulkWriteError: something else went wrong with one of them, or it is unknown which of them will stay.
    """
    details = error.details or {}
    if outcome_unknown(error) or any(each['code'] != _DUPLICATE_KEY for each in details.get('writeErrors', ())):
        raise error
    return int(details.get('nInserted', 0))
