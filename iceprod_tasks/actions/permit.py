"""Permit: may this caller read or write this dataset?"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from iceprod_tasks.actions.service import Service
from iceprod_tasks.domain.callers import Caller
from iceprod_tasks.domain.errors import BeingDeleted, NotPermitted

Access = Literal['read', 'write']


async def check(service: Service, caller: Caller, dataset_id: str, access: Access) -> None:
    """Refuse a caller that the dataset's record does not name.

    Admin and system pass without a record; so do pilots, for reading.

    Args:
        service: the service.
        caller: who asks, with the roles that the route accepts.
        dataset_id: of the dataset.
        access: what is asked for.

    Raises:
        NotPermitted: the record is missing or does not name the caller.
    """
    if caller.operates or (access == 'read' and caller.serves):
        return
    record = await service.store.datasets.access(dataset_id)
    if record is None:
        raise NotPermitted('attr not found')
    check_record(record, caller.name, caller.groups, access)


def check_record(record: Mapping[str, Any], username: str, groups: Sequence[str], access: str) -> None:
    """Refuse a user whom a dataset's record does not name.

    Args:
        record: who may read and write a dataset.
        username: of the user.
        groups: of the user.
        access: `read` or `write`; others are known to no record.

    Raises:
        NotPermitted: it does not name the user.
    """
    if f'{access}_groups' not in record:
        raise NotPermitted('role not found')
    if username not in record[f'{access}_users'] and not set(groups) & set(record[f'{access}_groups']):
        raise NotPermitted


async def check_kept(service: Service, dataset_id: str) -> None:
    """Refuse to change a dataset that is being deleted; one without a record may be changed.

    Raises:
        BeingDeleted: it is.
    """
    if await service.store.datasets.is_deleting(dataset_id):
        raise BeingDeleted
