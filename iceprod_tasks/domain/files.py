"""File entries of a task: what is to be moved, where to, in which direction."""

import uuid
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from iceprod_tasks.domain.errors import InvalidRequest

_NO = frozenset({'n', 'no', 'not', 'f', 'false'})
_MAYBE = frozenset({'m', 'maybe', 'exists'})
_SHOWN = ('type', 'movement', 'remote', 'local', 'compression', 'transfer')
_SHOWN_WHERE_GIVEN = ('checksum', 'max_gb')


def new_file(dataset_id: str, task_id: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """A file entry as stored.

    The same file named again for the same task, place and direction is the same entry: its id is made from these.

    Args:
        dataset_id: of the task's dataset.
        task_id: of the task.
        given: filename, movement, and optionally local, transfer, compression, type, checksum, max_gb.

    Raises:
        InvalidRequest: `local` would leave the task's directory.
    """
    local = given.get('local', '')
    if not _stays_inside(local):
        raise InvalidRequest("invalid file data: local must stay in the task's directory")
    place = f'file:{task_id}:{given["movement"]}:{local}:{given["filename"]}'
    entry = {
        'file_id': uuid.uuid5(uuid.NAMESPACE_OID, place).hex,
        'dataset_id': dataset_id,
        'task_id': task_id,
        'type': given.get('type', 'permanent'),
        'movement': given['movement'],
        'remote': given['filename'],
        'local': local,
        'compression': given.get('compression', False),
        'transfer': transfer_rule(given.get('transfer', True)),
    }
    if 'checksum' in given:
        entry['checksum'] = given['checksum'].lower()
    if 'max_gb' in given:
        entry['max_gb'] = given['max_gb']
    return entry


def shown(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a stored entry that clients see; those that are ours only where they were given."""
    fields = {key: entry[key] for key in _SHOWN}
    return fields | {key: entry[key] for key in _SHOWN_WHERE_GIVEN if key in entry}


def transfer_rule(given: object) -> bool | str:
    """What `transfer` means: True, False or 'maybe'."""
    if isinstance(given, str):
        word = given.strip().lower()
        if word in _NO:
            return False
        return 'maybe' if word in _MAYBE or word.startswith('if') else True
    return bool(given)


def check_local(local: str, place: str = 'local') -> None:
    """Refuse a local name that is not a plain relative path, or could be written shorter.

    Configs that are stored already may have longer ones.

    Args:
        local: the name.
        place: where it stands, for the error.

    Raises:
        InvalidRequest: it is absolute, goes up, is not normalised, or begins like an option of a command.
    """
    if not _stays_inside(local):
        raise InvalidRequest(f"invalid file data: {place} must stay in the task's directory")
    if local and (local == '.' or local != str(PurePosixPath(local)) or local.startswith('-')):
        raise InvalidRequest(f'invalid file data: {place} must be a plain relative path, like a/b')


def _stays_inside(local: str) -> bool:
    path = PurePosixPath(local)
    return not path.is_absolute() and '..' not in path.parts
