"""What clients of Drove ask for, checked whole, in terms of ours. Source: seed 003; docs/drove.md has the table.

What can not be done here is refused with a reason, never passed over: what a task would not get must not be promised.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from iceprod_tasks.actions.create_work import External, NewWork
from iceprod_tasks.actions.operate import LONGEST_REASON, Killing
from iceprod_tasks.dialects.drove.checks import Errors, Part, plain
from iceprod_tasks.dialects.drove.names import NAME, external
from iceprod_tasks.dialects.drove.placement import placement
from iceprod_tasks.dialects.drove.translate import BYTES_A_GB, BYTES_A_MB, OWN_ENV
from iceprod_tasks.domain.errors import InvalidRequest
from iceprod_tasks.domain.operations import PARALLELISM_BOUNDS, STOP, OperationSpec
from iceprod_tasks.domain.placeholders import literal
from iceprod_tasks.domain.requirements import TAGGED
from iceprod_tasks.domain.work import GRACE_SECONDS_AT_MOST, Work, checked

RETRIES_AT_MOST = 100

_NAME = re.compile(NAME)
_WRONG_NAME = '- Only letters, numbers, hyphens and underscores are allowed, at most 128'
_NOT_NULL = 'must not be null'
_NOT_EMPTY = 'must not be empty'

_CORES_AT_MOST = 1024
_MEMORY_MB_AT_MOST = 1_000_000_000
_ARGS_AT_MOST = 2048
_TAGS_AT_MOST = 100
_LONGEST_TAG = 128
_LOG_SIZE = re.compile(r'[1-9][0-9]{0,11}[bkmg]?', re.ASCII | re.IGNORECASE)
_BYTES_AT_MOST = 1024 * 1024
"""Of a specification without its files: nothing longer could be given to a program, and listings have most of it."""

_ENVIRONMENT = {
    'DROVE_EXECUTOR_HOST': '${host}',
}
"""What every task finds in its environment; `${host}` is put in by the pilot."""


def create_request(body: Mapping[str, Any]) -> tuple[NewWork, OperationSpec]:
    """The task, and the operation, that a request to CREATE asks for.

    Raises:
        Violations: it cannot be read, or breaks rules; all that are known of are told.
    """
    request = Part(body, '', Errors())
    operation = _operation(request)
    return _task(request.needed_part('spec', missing=_NOT_NULL)), operation


def kill_request(body: Mapping[str, Any]) -> Killing:
    """What a request to KILL asks for.

    Raises:
        Violations: it cannot be read, or breaks rules.
    """
    request = Part(body, '', Errors())
    name = _external(request)
    reason = request.text('reason')
    if len(reason) > LONGEST_REASON:
        request.breaks('reason', f'- must have at most {LONGEST_REASON} characters')
    operation = _operation(request)
    request.errors.check()
    return Killing(name, operation, reason)


def task_spec(body: Mapping[str, Any]) -> NewWork:
    """The task that a specification, all by itself, asks for.

    Raises:
        Violations: it cannot be read, or breaks rules.
    """
    return _task(Part(body, '', Errors()))


def _operation(request: Part) -> OperationSpec:
    part = request.part('opSpec', missing=_NOT_NULL)
    if part is None:
        return OperationSpec()
    seconds = part.duration('timeout', missing=_NOT_NULL)
    parallelism = part.number('parallelism', *PARALLELISM_BOUNDS)
    strategy = part.word('failureStrategy', (STOP, 'ROLLBACK'), missing=_NOT_NULL)
    if strategy == 'ROLLBACK':
        part.breaks('failureStrategy', f'- must be {STOP}: there is nothing that a task could be rolled back to')
    return OperationSpec(seconds or 1.0, parallelism, STOP)


def _external(part: Part) -> External:
    app = part.name('sourceAppName', _NAME, missing='- Source app name is mandatory', wrong=_WRONG_NAME)
    task = part.name('taskId', _NAME, missing='- Task ID is mandatory', wrong=_WRONG_NAME)
    return external(app, task)


def _task(spec: Part) -> NewWork:
    _check_length(spec)
    name = _external(spec)
    executable = _executable(spec)
    requirements = _requirements(spec)
    if (tagged := placement(spec)) is not None:
        requirements[TAGGED] = tagged
    logging = _logging(spec)
    for key, reason in _REFUSED.items():
        if spec.value.get(key):
            spec.breaks(key, f'- {reason}')
    tags = _tags(spec)
    retries = spec.number('retries', 0, RETRIES_AT_MOST, default=0)
    keep_seconds = spec.duration('keepFor')
    work = _work(spec, name, executable)
    about = {
        'executable': executable.told,
        'args': spec.texts('args'),
        'resources': _told(spec, 'resources', ('type', 'count', 'sizeInMB')),
        'volumes': _told(spec, 'volumes', ('pathInContainer', 'pathOnHost', 'mode')),
        'tags': tags,
        'logging': logging,
    }
    return NewWork(
        name,
        work,
        requirements,
        max_failures=retries,
        max_evictions=retries,
        keep_seconds=keep_seconds,
        about=about,
    )


def _check_length(spec: Part) -> None:
    rest = {key: value for key, value in spec.value.items() if key != 'configs'}
    if len(json.dumps(rest, ensure_ascii=False).encode(errors='surrogatepass')) > _BYTES_AT_MOST:
        spec.errors.broken.append(f'{spec.path or "spec"} - all but its configs is longer than {_BYTES_AT_MOST} bytes')


def _told(spec: Part, key: str, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """A list of objects as it is told again: what is known of each, in capitals where any case of letters will do."""
    known = [{name: part.value[name] for name in names if part.has(name)} for part in spec.parts(key)]
    return [{**each, 'mode': each['mode'].upper()} if 'mode' in each else each for each in known]


@dataclass(frozen=True, slots=True)
class _Executable:
    """What is run.

    Args:
        kind: DOCKER or SHELL; '' where it is neither, which is refused.
        url: the image, or the program.
        pull_seconds: for the image to come.
        told: how it is told again.
    """

    kind: str = ''
    url: str = ''
    pull_seconds: float | None = None
    told: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_image(self) -> bool:
        return self.kind == 'DOCKER'


def _executable(spec: Part) -> _Executable:
    part = spec.part('executable', missing='- Executable is mandatory')
    if part is None:
        return _Executable()
    kind = part.kind(('DOCKER', 'SHELL'), default='DOCKER')
    url = part.text('url', missing=_NOT_EMPTY)
    pull_seconds = part.duration('dockerPullTimeout', missing=_NOT_NULL if kind == 'DOCKER' else '')
    told = {'type': kind, 'url': url, 'dockerPullTimeout': part.text('dockerPullTimeout')}
    return _Executable(kind, url, pull_seconds, {name: value for name, value in told.items() if value})


def _requirements(spec: Part) -> dict[str, Any]:
    needs: dict[str, Any] = {}
    kinds: list[str] = []
    for part in spec.parts('resources'):
        kind = part.kind(('CPU', 'MEMORY'))
        if kind in kinds:
            part.breaks('type', f'- there is more than one {kind}')
        kinds.append(kind)
        if kind == 'CPU':
            needs['cpu'] = part.number('count', 1, _CORES_AT_MOST)
        elif kind == 'MEMORY':
            needs['memory'] = part.number('sizeInMB', 1, _MEMORY_MB_AT_MOST) * BYTES_A_MB / BYTES_A_GB
    if missing := [kind for kind in ('CPU', 'MEMORY') if kind not in kinds]:
        spec.breaks('resources', f'- {" and ".join(missing)} must be there')
    return needs


def _work(spec: Part, name: External, executable: _Executable) -> Work:
    args = spec.texts('args')
    if len(args) > _ARGS_AT_MOST or len(' '.join(args)) > _ARGS_AT_MOST:
        spec.breaks('args', f'- there are at most {_ARGS_AT_MOST}, of {_ARGS_AT_MOST} characters together')
    env = spec.text_by_name('env')
    for variable in env:
        if variable.startswith(OWN_ENV):
            spec.breaks(f'env.{plain(variable)}', '- such variables are set by the service')
    run_seconds, grace_seconds = spec.duration('maxRunTime'), spec.duration('killGrace')
    if grace_seconds is not None and grace_seconds > GRACE_SECONDS_AT_MOST:
        spec.breaks('killGrace', f'- is at most {GRACE_SECONDS_AT_MOST:g} seconds')
    volumes, files = _volumes(spec, executable.kind), _files(spec, executable.kind)
    spec.errors.check()
    own = {
        **_ENVIRONMENT,
        'DROVE_SOURCE_APP_NAME': literal(name.app),
        'DROVE_TASK_ID': literal(name.id),
        'DROVE_INSTANCE_ID': 'TI-${task_id}',
    }
    described = {
        'command': args if executable.is_image else [executable.url, *args],
        'image': executable.url if executable.is_image else '',
        'entry_point': executable.is_image,
        'pull_timeout_seconds': executable.pull_seconds if executable.is_image else None,
        'env': {**{variable: literal(value) for variable, value in env.items()}, **own},
        'files': files,
        'volumes': volumes,
        'timeout_seconds': run_seconds,
        'kill_grace_seconds': grace_seconds,
    }
    try:
        return checked(described)
    except InvalidRequest as error:
        spec.breaks(*_in_their_words(str(error), executable.kind))
        spec.errors.check()
        raise


_OUR_PLACE = re.compile(r'(?:invalid file data: )?work\.([a-z_]+)(\[\d+\])?(?:\.(\w+))?[: ]*(.*)', re.DOTALL)
_THEIR_KEYS = {
    'image': 'executable.url',
    'files': 'configs',
    'files.name': 'localFilename',
    'files.target': 'localFilename',
    'volumes.source': 'pathOnHost',
    'volumes.target': 'pathInContainer',
}


def _in_their_words(error: str, kind: str) -> tuple[str, str]:
    """The key of theirs, and what is wrong with it, of an error that has the place in our terms."""
    match = _OUR_PLACE.match(error)
    if match is None:
        # Of all that is checked only names of images have none.
        return 'executable.url', f'- {error}'
    key, index, member, text = match.groups()
    if key == 'command':
        return ('executable.url' if index == '[0]' and kind == 'SHELL' else 'args'), f'- {text}'
    inner = f'.{_THEIR_KEYS.get(f"{key}.{member}", member)}' if member else ''
    return f'{_THEIR_KEYS.get(key, key)}{index or ""}{inner}', f'- {text}'


def _volumes(spec: Part, kind: str) -> list[dict[str, Any]]:
    found = []
    for part in spec.parts('volumes'):
        source = part.text('pathOnHost', missing=_NOT_EMPTY)
        target = part.text('pathInContainer', missing=_NOT_EMPTY)
        mode = part.word('mode', ('READ_ONLY', 'READ_WRITE'), missing=_NOT_NULL)
        found.append({'source': source, 'target': target, 'read_only': mode == 'READ_ONLY'})
    if found and kind == 'SHELL':
        spec.breaks('volumes', '- only an executable of type DOCKER has volumes')
    return found


_CONFIGS = ('INLINE', 'EXECUTOR_LOCAL_FILE', 'CONTROLLER_HTTP_FETCH', 'EXECUTOR_HTTP_FETCH')


def _files(spec: Part, kind: str) -> list[dict[str, Any]]:
    found = []
    for part in spec.parts('configs'):
        name = part.text('localFilename', missing=_NOT_EMPTY)
        config = part.kind(_CONFIGS)
        if config not in ('INLINE', ''):
            part.breaks('type', f'- {config} is not done here: files come with the request, INLINE')
        elif config:
            data = part.text('data', missing=_NOT_EMPTY)
            target = {'target': name} if name.startswith('/') else {}
            found.append({'name': name.lstrip('/'), 'data': data, **target})
        if name.startswith('/') and kind == 'SHELL':
            part.breaks('localFilename', '- a program without a container has files in its own folder only')
    return found


def _tags(spec: Part) -> dict[str, str]:
    tags = spec.text_by_name('tags')
    too_long = any(len(each) > _LONGEST_TAG for pair in tags.items() for each in pair)
    if len(tags) > _TAGS_AT_MOST or too_long:
        spec.breaks('tags', f'- there are at most {_TAGS_AT_MOST}, of {_LONGEST_TAG} characters each')
    return tags


def _logging(spec: Part) -> dict[str, Any] | None:
    part = spec.part('logging')
    if part is None:
        return None
    kind = part.kind(('LOCAL', 'RSYSLOG'))
    if kind == 'RSYSLOG':
        part.breaks('type', '- logs are kept by this service, LOCAL')
    size = part.text('maxSize', default='10m')
    if not _LOG_SIZE.fullmatch(size):
        part.breaks('maxSize', '- must be a number, with b, k, m or g behind it or nothing')
    files = part.number('maxFiles', 1, 100, default=3)
    compress = part.truth('compress', default=True)
    return {'type': 'LOCAL', 'maxSize': size, 'maxFiles': files, 'compress': compress}


_REFUSED = {
    'devices': 'devices are not given to tasks; GPUs are offered by pilots',
    'userSpec': 'tasks run as the user of the pilot that takes them',
}
"""What no task gets here, and why."""
