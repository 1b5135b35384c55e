"""What answers are wrapped in. No value in one is ever null: clients of Drove break on that."""

from collections.abc import Mapping, Sequence
from typing import Any

from iceprod_tasks.domain.errors import InvalidRequest

NOT_LEADER = 'This node is not the leader controller'
INVALID = 'Command validation failure'
UNREADABLE = 'JSON validation failure'
IN_MAINTENANCE = 'Cluster is in maintenance mode'

Body = dict[str, Any]


class Violations(InvalidRequest):
    """A request breaks rules.

    Args:
        message: what kind of rules.
        errors: what is wrong, each for itself.
    """

    def __init__(self, errors: Sequence[str], message: str = INVALID) -> None:
        super().__init__(message)
        self.errors = list(errors)

    @property
    def details(self) -> dict[str, object]:
        """What is wrong, for the answer's body."""
        return {'validationErrors': self.errors}


def success(data: Any = None) -> Body:
    """What was asked for.

    Args:
        data: of any kind; left out when None.
    """
    return _wrapped('SUCCESS', data, 'success')


def failure(message: str, data: Any = None) -> Body:
    """That it could not be done.

    Args:
        message: why, for people.
        data: what more there is to say; left out when None.
    """
    return _wrapped('FAILED', data, message)


def violations(message: str, errors: Sequence[str]) -> Body:
    """That a request broke rules: the one form whose reasons the command line prints.

    Args:
        message: what kind of rules.
        errors: what is wrong, each for itself.
    """
    return failure(message, {'validationErrors': list(errors)})


def not_leader(leader: str) -> Body:
    """That another service has to be asked.

    Args:
        leader: its address; '' when nobody knows one.
    """
    return violations(NOT_LEADER, [f'The leader is {leader}' if leader else 'No leader is known at the moment'])


def without_nulls(value: Any) -> Any:
    """The same without keys whose value is null, however deep they are."""
    if isinstance(value, Mapping):
        return {key: without_nulls(each) for key, each in value.items() if each is not None}
    if isinstance(value, list | tuple):
        return [without_nulls(each) for each in value]
    return value


def _wrapped(status: str, data: Any, message: str) -> Body:
    said = {} if data is None else {'data': without_nulls(data)}
    return {'status': status, **said, 'message': message}
