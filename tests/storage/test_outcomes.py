"""Unknown is not no: which errors of the driver mean that a write may be there."""

import pytest
from bson.errors import InvalidDocument
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    CursorNotFound,
    DocumentTooLarge,
    DuplicateKeyError,
    ExecutionTimeout,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    ProtocolError,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteConcernError,
    WriteError,
    WTimeoutError,
)

from iceprod_tasks.domain.errors import InvalidRequest, TooLarge, Unavailable
from iceprod_tasks.storage.outcomes import Duplicate, driver_errors, stored_beside_duplicates

DUPLICATE = {'code': 11000, 'errmsg': 'E11000 duplicate key error'}
NOT_REPLICATED = {'code': 64, 'errmsg': 'waiting for replication timed out'}


def labelled(error: PyMongoError, label: str) -> PyMongoError:
    error._add_error_label(label)
    return error


UNKNOWN = [
    AutoReconnect('connection closed'),
    NetworkTimeout('timed out'),
    NotPrimaryError('not primary'),
    ServerSelectionTimeoutError('no servers found yet'),
    WaitQueueTimeoutError('no connection is free'),
    ProtocolError('nonsense'),
    ExecutionTimeout('operation exceeded time limit', 50),
    WTimeoutError('waiting for replication timed out', 64),
    # Not enough members that could acknowledge: the write is on the primary all the same.
    WriteConcernError('cannot satisfy write concern', 100),
    WriteConcernError('the primary is shutting down', 91),
    CursorNotFound('cursor not found', 43),
    labelled(OperationFailure('something of the future', 99999), 'RetryableWriteError'),
    labelled(OperationFailure('something of the future', 99999), 'TransientTransactionError'),
    BulkWriteError({'writeErrors': [], 'writeConcernErrors': [NOT_REPLICATED], 'nInserted': 3}),
    BulkWriteError({'writeErrors': [{'code': 11602}], 'writeConcernErrors': [], 'nInserted': 3}),
]


def named(error: PyMongoError) -> str:
    return f'{type(error).__name__}-{error.code}' if isinstance(error, OperationFailure) else type(error).__name__


@pytest.mark.parametrize('error', UNKNOWN, ids=named)
def test_an_unknown_outcome_is_never_a_refusal(error: PyMongoError) -> None:
    with pytest.raises(Unavailable), driver_errors():
        raise error


GOING = [6, 7, 89, 91, 134, 189, 262, 9001, 10058, 10107, 11600, 11602, 13435, 13436]
CUT_SHORT = [24, 43, 46, 50, 64, 112, 175, 202, 237, 365, 388, 11601, 14031]


@pytest.mark.parametrize('code', GOING + CUT_SHORT)
def test_a_primary_that_goes_and_an_operation_cut_short_are_no_refusals(code: int) -> None:
    with pytest.raises(Unavailable), driver_errors():
        raise OperationFailure('words', code)


@pytest.mark.parametrize('code', [2, 9, 13, 18, 121, 292])
def test_what_is_wrong_with_the_service_itself_is_not_hidden(code: int) -> None:
    with pytest.raises(OperationFailure), driver_errors():
        raise OperationFailure('words', code)


def test_a_unique_index_refuses() -> None:
    with pytest.raises(Duplicate), driver_errors():
        raise DuplicateKeyError('E11000', 11000)


@pytest.mark.parametrize(
    ('error', 'ours'),
    [
        (DocumentTooLarge('too large'), TooLarge),
        (WriteError('too large', 17419), TooLarge),
        (OperationFailure('too large', 10334), TooLarge),
        (InvalidDocument('cannot encode'), InvalidRequest),
        (OverflowError('8-byte ints only'), InvalidRequest),
    ],
)
def test_what_cannot_be_stored_is_the_clients_fault(error: Exception, ours: type[Exception]) -> None:
    with pytest.raises(ours), driver_errors():
        raise error


def test_many_new_documents_some_of_which_are_there() -> None:
    error = BulkWriteError({'writeErrors': [DUPLICATE, DUPLICATE], 'writeConcernErrors': [], 'nInserted': 5})

    assert stored_beside_duplicates(error) == 5


@pytest.mark.parametrize(
    ('details', 'ours'),
    [
        ({'writeErrors': [DUPLICATE], 'writeConcernErrors': [NOT_REPLICATED], 'nInserted': 5}, Unavailable),
        ({'writeErrors': [DUPLICATE, {'code': 189}], 'writeConcernErrors': [], 'nInserted': 5}, Unavailable),
        ({'writeErrors': [DUPLICATE, {'code': 121}], 'writeConcernErrors': [], 'nInserted': 5}, BulkWriteError),
    ],
)
def test_of_many_new_documents_only_known_duplicates_are_passed_over(details: object, ours: type[Exception]) -> None:
    with pytest.raises(ours), driver_errors():
        stored_beside_duplicates(BulkWriteError(details))  # type: ignore[arg-type]
