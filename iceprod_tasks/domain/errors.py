"""The errors of the service, in one tree.

    IceprodTasksError
    ├── InvalidRequest          the request cannot be understood or breaks a rule of its format
    ├── NotAuthenticated        no token, or one that is not valid
    ├── NotPermitted            the caller may not do this
    │   └── NotYours            the pilot of a heartbeat has not claimed the task: its work is to be dropped
    ├── NotFound                the thing asked for does not exist
    │   ├── NoWork              nothing queued fits the offer
    │   └── TaskGone            the task of a heartbeat is not there any more
    ├── Conflict                what is asked contradicts what is stored
    │   ├── IllegalTransition   the status table does not allow it for this caller
    │   ├── StaleClaim          the report belongs to a claim that is not the task's
    │   │   └── ClaimLost       so does the heartbeat: its work is to be dropped
    │   ├── DependedOn          other datasets would wait for ever for this one
    │   ├── BeingDeleted        the dataset is going away and takes no changes
    │   ├── OperationActive     another operation on the task has not ended
    │   ├── NothingToKill       there is no such task, or it has ended
    │   ├── NotEnded            a task is forgotten only after its end
    │   └── KeyReused           the idempotency key belongs to another request
    ├── ClaimOver               this claim was answered before and has ended since
    ├── InMaintenance           operations are not accepted for the time being
    ├── NotLeader               another service leads, or none does: it alone may do this
    ├── TooLarge                more than the service takes in one request
    ├── UnsupportedMediaType    the body is not written in what the service reads
    ├── Overloaded              more than the service takes at once, of all or of this caller: repeat later
    ├── BrokenExport            a file is not a whole export that this release can read
    ├── Unavailable             the database cannot be reached, or the outcome of a write is unknown: repeat
    │   ├── Busy                so much of this is asked at once that it was not begun: repeat
    │   ├── Draining            the service is stopping and begins no new work: repeat, it or another one will answer
    │   ├── NoTransactions      the database cannot do what has to be done at once or not at all
    │   ├── ArchiveFailed       the archive cannot be written; nothing that it should hold is gone
    │   └── UnderWay            the same request is being worked on
    └── CannotStart             the service cannot be brought up; the text says what to mend

An error's default text is the first line of its docstring. Surfaces choose how a class looks on the wire;
nothing here knows.
"""

from collections.abc import Mapping, Sequence

_NAMED_AT_MOST = 10


class IceprodTasksError(Exception):
    """Something went wrong."""

    def __init__(self, text: str = '') -> None:
        super().__init__(text or (self.__doc__ or '').strip().splitlines()[0].rstrip('.'))

    @property
    def details(self) -> Mapping[str, object]:
        """Further facts for the caller, beside the text; empty for most errors."""
        return {}


class InvalidRequest(IceprodTasksError):
    """The request is not valid."""


class NotAuthenticated(IceprodTasksError):
    """authentication failed.

    In the words of the contract, which clients may compare.
    """


class NotPermitted(IceprodTasksError):
    """authorization failed.

    In the words of the contract, which clients may compare.
    """


class NotYours(NotPermitted):
    """authorization failed."""

    @property
    def details(self) -> Mapping[str, object]:
        """The order to stop."""
        return _order_to_stop('the task is not held with this token')


class NotFound(IceprodTasksError):
    """Not found."""


class NoWork(NotFound):
    """Task not found.

    Args:
        left: unfinished tasks that fit the offer, queued or not; 0 tells a pilot that it may go.
    """

    def __init__(self, left: int) -> None:
        super().__init__()
        self.left = left

    @property
    def details(self) -> Mapping[str, object]:
        """`left`, for the answer's body."""
        return {'left': self.left}


class TaskGone(NotFound):
    """Task not found."""

    @property
    def details(self) -> Mapping[str, object]:
        """The order to stop."""
        return _order_to_stop('the task is gone')


class Conflict(IceprodTasksError):
    """The request conflicts with what is stored."""


class IllegalTransition(Conflict):
    """This change of status is not allowed."""


class StaleClaim(Conflict):
    """The claim is not the task's current claim."""


class ClaimLost(StaleClaim):
    """The claim is not the task's current claim.

    Args:
        why: how it ended, as far as that is known.
    """

    def __init__(self, why: str) -> None:
        super().__init__()
        self.why = why

    @property
    def details(self) -> Mapping[str, object]:
        """The order to stop."""
        return _order_to_stop(self.why)


class DependedOn(Conflict):
    """unfinished datasets depend on it.

    Args:
        dataset_ids: those that may be told.
        others: whether there are more, of which nothing is told.
    """

    def __init__(self, dataset_ids: Sequence[str], *, others: bool = False) -> None:
        more = f' and {len(dataset_ids) - _NAMED_AT_MOST} more' if len(dataset_ids) > _NAMED_AT_MOST else ''
        unnamed = ['others that you may not read'] if others else []
        names = ', '.join([*dataset_ids[:_NAMED_AT_MOST], *unnamed])
        super().__init__(f'unfinished datasets depend on it: {names}{more}')
        self.dataset_ids = dataset_ids


class BeingDeleted(Conflict):
    """the dataset is being deleted."""


class AlreadyNamed(Conflict):
    """A task with this name exists.

    Args:
        name: the name, as its client would write it.
        task_id: of the task that has it.
    """

    def __init__(self, name: str, task_id: str) -> None:
        super().__init__(f'{name} exists already: it is the task {task_id}')
        self.task_id = task_id


class OperationActive(Conflict):
    """another operation on the task is active: it ends by itself, at its deadline at the latest."""


class NothingToKill(Conflict):
    """Either task does not exist or has already finished."""


class NotEnded(Conflict):
    """The task has not ended."""


class KeyReused(Conflict):
    """This Idempotency-Key was used for another request: repeat that one, or make a new key."""


class ClaimOver(IceprodTasksError):
    """This claim is over."""


class InMaintenance(IceprodTasksError):
    """Cluster is in maintenance mode."""


class NotLeader(IceprodTasksError):
    """This service does not lead.

    Args:
        leader: the advertised address of the one that does; '' when that is not known, or none does.
    """

    def __init__(self, leader: str = '') -> None:
        super().__init__(f'this service does not lead; {leader or "at the moment none"} does')
        self.leader = leader

    @property
    def details(self) -> Mapping[str, object]:
        """`leader`, for the answer's body; None when nobody leads."""
        return {'leader': self.leader or None}


class TooLarge(IceprodTasksError):
    """The request is too large."""


class UnsupportedMediaType(IceprodTasksError):
    """A body must be JSON: send it with Content-Type: application/json."""


class Overloaded(IceprodTasksError):
    """Too many requests at the moment; nothing was done, repeat this one later."""


class BrokenExport(IceprodTasksError):
    """The file is not a whole export."""


class Unavailable(IceprodTasksError):
    """The database does not answer; repeat the same request."""


class Busy(Unavailable):
    """The service is busy; nothing was done, repeat the same request."""


class Draining(Unavailable):
    """The service is stopping; repeat the same request."""


class NoTransactions(Unavailable):
    """MongoDB runs standalone and has no transactions: make it a replica set, one member is enough."""


class ArchiveFailed(Unavailable):
    """The archive cannot be written."""


class UnderWay(Unavailable):
    """The same request is being worked on; repeat it to get its answer."""


class CannotStart(IceprodTasksError):
    """The service cannot start."""


def _order_to_stop(why: str) -> Mapping[str, object]:
    return {'action': 'stop', 'why': why, 'again_in': 0, 'orders': []}
