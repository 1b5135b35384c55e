"""Work that a task carries with it: the command it runs, in place of one that its dataset's config describes."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Self, TypeVar

from iceprod_tasks.domain.errors import InvalidRequest
from iceprod_tasks.domain.files import check_local
from iceprod_tasks.domain.images import kind_of_image
from iceprod_tasks.domain.placeholders import NAMES, expand

Entry = TypeVar('Entry')

WORDS_AT_MOST = 2100
TEXT_AT_MOST = 128 * 1024
"""Bytes of a word, or of a variable with its name: Linux takes no longer ones."""
ENTRIES_AT_MOST = 1000
"""Variables, files, or volumes."""
FILES_BYTES_AT_MOST = 1024 * 1024
"""Of all files of a task together: they are in its document."""
SECONDS_AT_MOST = 366 * 86400.0
GRACE_SECONDS_AT_MOST = 3600.0

_VARIABLE = re.compile(r'[A-Za-z_][A-Za-z0-9_]*')
_FIELDS = frozenset({
    'command', 'image', 'env', 'files', 'volumes', 'timeout_seconds', 'kill_grace_seconds', 'entry_point',
    'pull_timeout_seconds',
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class InlineFile:
    """A file that comes with the task.

    Args:
        name: where it is put, in the task's directory.
        data: what is in it.
        target: where a container sees it besides, read-only; '' for nowhere.
    """

    name: str
    data: bytes
    target: str = ''

    @classmethod
    def of(cls, given: object, place: str) -> Self:
        """Read it; see `checked`."""
        entry = _object(given, place, {'name', 'data', 'target'})
        name = _text(entry.get('name'), f'{place}.name')
        if not name:
            raise InvalidRequest(f'{place}.name is empty')
        check_local(name, f'{place}.name')
        try:
            data = base64.b64decode(_text(entry.get('data'), f'{place}.data', 2 * FILES_BYTES_AT_MOST), validate=True)
        except (binascii.Error, ValueError):
            raise InvalidRequest(f'{place}.data is no base64') from None
        target = entry.get('target', '')
        return cls(name, data, _path(target, f'{place}.target') if target else '')

    def document(self) -> dict[str, str]:
        """As it is stored, and sent to whoever claims the task."""
        target = {'target': self.target} if self.target else {}
        return {'name': self.name, 'data': base64.b64encode(self.data).decode(), **target}


@dataclass(frozen=True, slots=True)
class Volume:
    """A folder of the machine that a container sees.

    Args:
        source: its path on the machine.
        target: its path in the container.
        read_only: whether the container may not write to it.
    """

    source: str
    target: str
    read_only: bool = False

    @classmethod
    def of(cls, given: object, place: str) -> Self:
        """Read it; see `checked`."""
        entry = _object(given, place, {'source', 'target', 'read_only'})
        read_only = entry.get('read_only', False)
        if not isinstance(read_only, bool):
            raise InvalidRequest(f'{place}.read_only is neither true nor false')
        source, target = (_path(entry.get(name), f'{place}.{name}') for name in ('source', 'target'))
        return cls(source, target, read_only)


@dataclass(frozen=True, slots=True)
class Work:
    """All that a pilot has to know to run a task.

    Args:
        command: the program and its arguments; or nothing but arguments, where the image has the program.
        image: of the container that it runs in; '' for none.
        entry_point: whether the image's own entry point is run, with `command` as its arguments.
        pull_timeout_seconds: for its image to come, where it is not there; None leaves that to the pilot.
        env: variables in its environment; their values have placeholders, those of configs and `${host}`.
        files: in its directory before it starts.
        volumes: what its container sees of the machine.
        timeout_seconds: it is ended when it has run so long; None is no limit.
        kill_grace_seconds: between asking it to end and killing it; None leaves that to the pilot.
    """

    command: tuple[str, ...]
    image: str
    env: Mapping[str, str]
    files: tuple[InlineFile, ...]
    volumes: tuple[Volume, ...]
    timeout_seconds: float | None
    kill_grace_seconds: float | None
    entry_point: bool = False
    pull_timeout_seconds: float | None = None

    def document(self) -> dict[str, Any]:
        """As it is stored, and sent to whoever claims the task."""
        return {
            'command': list(self.command),
            'image': self.image,
            'env': dict(self.env),
            'files': [each.document() for each in self.files],
            'volumes': [
                {'source': each.source, 'target': each.target, 'read_only': each.read_only} for each in self.volumes
            ],
            'timeout_seconds': self.timeout_seconds,
            'kill_grace_seconds': self.kill_grace_seconds,
            'entry_point': self.entry_point,
            'pull_timeout_seconds': self.pull_timeout_seconds,
        }


def checked(given: object) -> Work:
    """Read work, and refuse what no pilot could run.

    Args:
        given: `command` (list of str), and optionally `image` (str), `env` (names and texts), `files`
            ({name, data}, the data as base64), `volumes` ({source, target, read_only}), `timeout_seconds`,
            `kill_grace_seconds`, `pull_timeout_seconds`, `entry_point` (bool).

    Raises:
        InvalidRequest: it has what it should not, or lacks what it needs; in one line, with the place.
    """
    entry = _object(given, 'work', _FIELDS)
    image = _text(entry.get('image', ''), 'work.image')
    if image:
        kind_of_image(image)
    files = _each(entry.get('files', []), 'work.files', InlineFile.of)
    volumes = _each(entry.get('volumes', []), 'work.volumes', Volume.of)
    if volumes and not image:
        raise InvalidRequest('work.volumes: only a command with an image has volumes')
    _check_together(files, volumes)
    if any(each.target for each in files) and not image:
        raise InvalidRequest('work.files: only a command with an image has files elsewhere')
    entry_point = entry.get('entry_point', False)
    if not isinstance(entry_point, bool) or (entry_point and not image):
        raise InvalidRequest('work.entry_point is neither true nor false, or there is no image that has one')
    return Work(
        command=_command(entry.get('command'), needs_program=not entry_point),
        image=image,
        env=_env(entry.get('env', {})),
        files=files,
        volumes=volumes,
        timeout_seconds=_number(entry, 'timeout_seconds', SECONDS_AT_MOST),
        kill_grace_seconds=_number(entry, 'kill_grace_seconds', GRACE_SECONDS_AT_MOST, zero=True),
        entry_point=entry_point,
        pull_timeout_seconds=_number(entry, 'pull_timeout_seconds', SECONDS_AT_MOST),
    )


def for_readers(work: Mapping[str, Any]) -> dict[str, Any]:
    """Stored work without what may be secret: the values of variables, and what is in files."""
    return {
        **work,
        'env': dict.fromkeys(work.get('env') or {}, ''),
        'files': [{'name': each['name']} for each in work.get('files') or ()],
    }


def _command(given: object, *, needs_program: bool) -> tuple[str, ...]:
    command = _each(given, 'work.command', _text, WORDS_AT_MOST)
    if needs_program and not (command and command[0]):
        raise InvalidRequest('work.command names no program')
    return command


def _env(given: object) -> dict[str, str]:
    entry = _object(given, 'work.env')
    if len(entry) > ENTRIES_AT_MOST:
        raise InvalidRequest(f'work.env has more than {ENTRIES_AT_MOST} entries')
    for name in entry:
        if not _VARIABLE.fullmatch(name):
            raise InvalidRequest(f'work.env: {name[:100]!r} is no name of a variable')
    env = {name: _text(value, f'work.env.{name[:100]}') for name, value in entry.items()}
    for name, value in env.items():
        if len(f'{name}={value}'.encode()) >= TEXT_AT_MOST:
            raise InvalidRequest(f'work.env.{name[:100]} is too long')
        try:
            expand(value, dict.fromkeys((*NAMES, 'host'), ''))
        except InvalidRequest as error:
            raise InvalidRequest(f'work.env.{name[:100]}: {str(error)[:200]!a}') from error
    return env


def _check_together(files: Sequence[InlineFile], volumes: Sequence[Volume]) -> None:
    if sum(len(each.data) for each in files) > FILES_BYTES_AT_MOST:
        raise InvalidRequest(f'work.files: together they are longer than {FILES_BYTES_AT_MOST} bytes')
    names = {each.name for each in files}
    if len(names) < len(files):
        raise InvalidRequest('work.files: two have the same name')
    if any(str(parent) in names for name in names for parent in PurePosixPath(name).parents):
        raise InvalidRequest('work.files: one is the folder of another')
    targets = [*(each.target for each in volumes), *(each.target for each in files if each.target)]
    if len(set(targets)) < len(targets):
        raise InvalidRequest('work.volumes: two have the same target')


def _object(given: object, place: str, names: frozenset[str] | set[str] | None = None) -> Mapping[str, Any]:
    if not isinstance(given, dict) or not all(isinstance(name, str) for name in given):
        raise InvalidRequest(f'{place} is no object')
    unknown = sorted(given.keys() - names) if names is not None else []
    if unknown:
        raise InvalidRequest(f'{place} has an unknown field {unknown[0][:100]!r}')
    return given


def _each(
    given: object, place: str, read: Callable[[object, str], Entry], at_most: int = ENTRIES_AT_MOST
) -> tuple[Entry, ...]:
    if not isinstance(given, list | tuple):
        raise InvalidRequest(f'{place} is no list')
    if len(given) > at_most:
        raise InvalidRequest(f'{place} has more than {at_most} entries')
    return tuple(read(each, f'{place}[{index}]') for index, each in enumerate(given))


def _text(given: object, place: str, longest: int = TEXT_AT_MOST) -> str:
    if not isinstance(given, str):
        raise InvalidRequest(f'{place} is no text')
    # The kernel counts bytes.
    if len(given.encode(errors='replace')) >= longest:
        raise InvalidRequest(f'{place} is too long')
    if '\0' in given or any('\ud800' <= char <= '\udfff' for char in given):
        raise InvalidRequest(f'{place} has a character that no program can be given')
    return given


def _path(given: object, place: str) -> str:
    # Two slashes in front are another root to POSIX, and none to Linux.
    path = PurePosixPath(re.sub('^/+', '/', _text(given, place, 4096)))
    # Programs for containers part their arguments at these.
    if not path.is_absolute() or '..' in path.parts or path == PurePosixPath('/') or set(str(path)) & set(':,\n"'):
        raise InvalidRequest(f'{place} must be a plain absolute path, like /a/b')
    return str(path)


def _number(entry: Mapping[str, Any], name: str, at_most: float, *, zero: bool = False) -> float | None:
    given = entry.get(name)
    if given is None:
        return None
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    if not is_number or not (0 < given <= at_most or (zero and given == 0)):
        raise InvalidRequest(f'work.{name} is no number from 0 to {at_most:g}')
    return float(given)
