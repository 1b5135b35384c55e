"""Requests of Drove's clients: what they come to here, and that all that is wrong with one is told at once."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iceprod_tasks.actions.create_work import External
from iceprod_tasks.dialects.drove.envelope import INVALID, UNREADABLE, Violations
from iceprod_tasks.dialects.drove.specs import create_request, kill_request, task_spec
from iceprod_tasks.domain.operations import OperationSpec
from iceprod_tasks.domain.placeholders import expand
from iceprod_tasks.domain.work import InlineFile, Volume
from tests.dialects.drove.bodies import SEED_CREATE, SEED_KILL, of_seed

OP_SPEC = {'timeout': '5m', 'parallelism': 1, 'failureStrategy': 'STOP'}
RESOURCES = [{'type': 'CPU', 'count': 2}, {'type': 'MEMORY', 'sizeInMB': 512}]
SHELL: dict[str, Any] = {
    'sourceAppName': 'APP', 'taskId': 'T1', 'executable': {'type': 'SHELL', 'url': '/bin/true'}, 'resources': RESOURCES,
}  # fmt: skip
DOCKER = {**SHELL, 'executable': {'type': 'DOCKER', 'url': 'debian:12', 'dockerPullTimeout': '90s'}}


def errors_of(spec: Mapping[str, Any], message: str = INVALID) -> list[str]:
    with pytest.raises(Violations) as caught:
        task_spec(spec)
    assert str(caught.value) == message
    return caught.value.errors


def test_the_kill_of_the_seed_is_read() -> None:
    wish = kill_request(json.loads(of_seed(SEED_KILL)))

    assert (wish.external, wish.spec) == (External('drove', 'TEST_APP', 'T0012'), OperationSpec(300.0, 1, 'STOP'))


def test_the_create_of_the_seed_with_the_example_in_it_is_read() -> None:
    wanted, operation = create_request(json.loads(of_seed(SEED_CREATE)))

    assert (wanted.external, operation) == (External('drove', 'TEST_APP', 'T0012'), OperationSpec(300.0, 1, 'STOP'))
    assert wanted.work.command[:2] == ('/bin/sh', '-c')
    assert wanted.work.files == (InlineFile('words.txt', b'a file that came with the task\n'),)
    assert (wanted.work.timeout_seconds, wanted.keep_seconds, wanted.max_failures) == (300.0, 7200.0, 0)


def test_a_program_of_type_shell_is_run_with_its_arguments_outside_of_containers() -> None:
    work = task_spec({**SHELL, 'args': ['-a', 'b c']}).work

    assert (work.command, work.image, work.entry_point) == (('/bin/true', '-a', 'b c'), '', False)


@pytest.mark.parametrize('executable', [DOCKER['executable'], {'url': 'debian:12', 'dockerPullTimeout': '90s'}])
def test_an_image_is_run_by_its_entry_point_and_is_the_default(executable: dict[str, str]) -> None:
    work = task_spec({**DOCKER, 'executable': executable, 'args': ['-a']}).work

    assert (work.command, work.image, work.entry_point) == (('-a',), 'debian:12', True)


def test_the_executable_is_told_again_as_it_was_given() -> None:
    given_one = {'type': 'SHELL', 'url': '/bin/true', 'dockerPullTimeout': '1m'}

    assert task_spec({**SHELL, 'executable': given_one}).about['executable'] == given_one


def test_cores_are_cpus_and_megabytes_of_two_to_the_twentieth_are_gigabytes_of_ten_to_the_ninth() -> None:
    assert task_spec(SHELL).requirements == {'cpu': 2, 'memory': 0.536870912}


def test_retries_count_for_failures_and_for_lost_pilots() -> None:
    wanted = task_spec({**SHELL, 'retries': 3, 'maxRunTime': '2 minutes', 'killGrace': '10s', 'keepFor': '1d'})

    assert (wanted.max_failures, wanted.max_evictions, wanted.keep_seconds) == (3, 3, 86400.0)
    assert (wanted.work.timeout_seconds, wanted.work.kill_grace_seconds) == (120.0, 10.0)


FRAGMENTS = st.lists(st.sampled_from(['$', '${host}', '${task_id}', '${x}', '${', '}', '$name', 'a']), max_size=4)


@given(FRAGMENTS.map(''.join))
def test_a_value_of_the_environment_reaches_the_task_as_it_was_given(value: str) -> None:
    wanted = task_spec({**SHELL, 'env': {'GIVEN': value}})

    assert expand(wanted.work.env['GIVEN'], {'host': 'expanded', 'task_id': 'expanded'}) == value


def test_a_task_finds_its_names_in_its_environment() -> None:
    env = task_spec(SHELL).work.env

    assert (env['DROVE_SOURCE_APP_NAME'], env['DROVE_TASK_ID']) == ('APP', 'T1')
    assert expand(env['DROVE_INSTANCE_ID'], {'task_id': 'x'}) == 'TI-x'
    assert expand(env['DROVE_EXECUTOR_HOST'], {'host': 'node1'}) == 'node1'


def test_an_image_sees_volumes_and_files_elsewhere() -> None:
    volume = {'pathInContainer': '/in', 'pathOnHost': '/out', 'mode': 'read_only'}
    config = {'type': 'INLINE', 'localFilename': '/etc/my.conf', 'data': base64.b64encode(b'x').decode()}

    work = task_spec({**DOCKER, 'volumes': [volume], 'configs': [config]}).work

    assert work.volumes == (Volume('/out', '/in', read_only=True),)
    assert work.files == (InlineFile('etc/my.conf', b'x', '/etc/my.conf'),)


def test_volumes_are_told_again_with_the_mode_in_capitals() -> None:
    volume = {'pathInContainer': '/in', 'pathOnHost': '/out', 'mode': 'read_only'}

    assert task_spec({**DOCKER, 'volumes': [volume]}).about['volumes'] == [{**volume, 'mode': 'READ_ONLY'}]


@pytest.mark.parametrize('size', ['10m', '1', '64K', '2G'])
def test_the_size_of_a_log_is_a_number_with_or_without_a_unit_and_told_again(size: str) -> None:
    logging = {'type': 'LOCAL', 'maxSize': size, 'maxFiles': 1, 'compress': False}

    assert task_spec({**SHELL, 'logging': logging}).about['logging'] == logging


def test_logs_that_say_no_more_are_told_as_drove_has_them() -> None:
    about = task_spec({**SHELL, 'logging': {'type': 'LOCAL'}}).about

    assert about['logging'] == {'type': 'LOCAL', 'maxSize': '10m', 'maxFiles': 3, 'compress': True}


def test_all_but_files_has_at_most_a_mebibyte() -> None:
    longest = {**SHELL, 'env': {f'V{number}': 'x' * 100_000 for number in range(10)}, 'tags': {'word': 'é'}}
    left = 1024 * 1024 - len(json.dumps({**longest, 'ours': ''}, ensure_ascii=False).encode())

    assert task_spec({**longest, 'ours': 'x' * left}).external.id == 'T1'
    assert errors_of({**longest, 'ours': 'x' * (left + 1), 'retries': -1}) == [
        'spec - all but its configs is longer than 1048576 bytes',
        'retries must be greater than or equal to 0',
    ]


def test_a_file_does_not_count_for_the_length_of_the_rest() -> None:
    config = {'type': 'INLINE', 'localFilename': 'a', 'data': base64.b64encode(bytes(1024 * 1024)).decode()}

    assert len(task_spec({**SHELL, 'configs': [config]}).work.files[0].data) == 1024 * 1024


def test_what_cannot_be_read_is_told_once() -> None:
    errors = errors_of({**DOCKER, 'executable': {'url': 'debian:12', 'dockerPullTimeout': 5}}, UNREADABLE)

    assert errors == ['executable.dockerPullTimeout is not a text']


def test_unknown_fields_and_nulls_are_ignored() -> None:
    assert task_spec(
        {**SHELL, 'novelty': {'a': 1}, 'devices': None, 'tags': None, 'placementPolicy': None}
    ) == task_spec(SHELL)


def test_all_rules_that_a_request_breaks_are_told_at_once_with_their_paths() -> None:
    body = {
        'spec': {'sourceAppName': 'a b', 'executable': {'type': 'DOCKER'}, 'resources': [{'type': 'CPU', 'count': 0}]},
        'opSpec': {'parallelism': 33, 'failureStrategy': 'rollback'},
    }

    with pytest.raises(Violations) as caught:
        create_request(body)

    assert str(caught.value) == INVALID
    assert caught.value.errors == [
        'opSpec.timeout must not be null',
        'opSpec.parallelism must be less than or equal to 32',
        'opSpec.failureStrategy - must be STOP: there is nothing that a task could be rolled back to',
        'spec.sourceAppName - Only letters, numbers, hyphens and underscores are allowed, at most 128',
        'spec.taskId - Task ID is mandatory',
        'spec.executable.url must not be empty',
        'spec.executable.dockerPullTimeout must not be null',
        'spec.resources[0].count must be greater than or equal to 1',
        'spec.resources - MEMORY must be there',
    ]


def test_what_cannot_be_read_is_told_at_once_and_before_rules() -> None:
    body = {
        'spec': {**SHELL, 'taskId': 5, 'args': ['a', 1], 'env': {'A': 1}, 'executable': {'type': 'shell', 'url': ''}},
        'opSpec': {'timeout': '5 parsecs', 'parallelism': '1', 'failureStrategy': 'PANIC'},
    }

    with pytest.raises(Violations) as caught:
        create_request(body)

    assert str(caught.value) == UNREADABLE
    assert [error.partition(' ')[0] for error in caught.value.errors] == [
        'opSpec.timeout', 'opSpec.parallelism', 'opSpec.failureStrategy', 'spec.taskId', 'spec.executable.type',
        'spec.args[1]', 'spec.env.A',
    ]  # fmt: skip


@pytest.mark.parametrize('missing', ['spec', 'opSpec'])
def test_a_creation_needs_both_parts(missing: str) -> None:
    body = {name: value for name, value in {'spec': SHELL, 'opSpec': OP_SPEC}.items() if name != missing}

    with pytest.raises(Violations) as caught:
        create_request(body)

    assert caught.value.errors == [f'{missing} must not be null']


def test_what_is_wrong_with_an_operation_is_told_where_the_task_is_missing_too() -> None:
    with pytest.raises(Violations) as caught:
        create_request({'opSpec': {**OP_SPEC, 'parallelism': 33}})

    assert caught.value.errors == ['opSpec.parallelism must be less than or equal to 32', 'spec must not be null']


def test_a_kill_needs_both_names_and_says_so() -> None:
    with pytest.raises(Violations) as caught:
        kill_request({'opSpec': OP_SPEC, 'sourceAppName': ''})

    assert caught.value.errors == ['sourceAppName - Source app name is mandatory', 'taskId - Task ID is mandatory']


def test_the_reason_of_a_kill_has_at_most_1000_characters() -> None:
    body = {'sourceAppName': 'APP', 'taskId': 'T1', 'opSpec': OP_SPEC}

    assert kill_request({**body, 'reason': 'a' * 1000}).reason == 'a' * 1000
    with pytest.raises(Violations) as caught:
        kill_request({**body, 'reason': 'a' * 1001})
    assert caught.value.errors == ['reason - must have at most 1000 characters']


@pytest.mark.parametrize('strategy', ['STOP', 'stop', 'Stop'])
def test_the_failure_strategy_may_be_written_in_any_case_of_letters(strategy: str) -> None:
    body = {'spec': SHELL, 'opSpec': {**OP_SPEC, 'failureStrategy': strategy}}

    assert create_request(body)[1].failure_strategy == 'STOP'


@pytest.mark.parametrize(
    ('parallelism', 'words'), [(0, 'greater than or equal to 1'), (33, 'less than or equal to 32')]
)
def test_parallelism_is_from_1_to_32(parallelism: int, words: str) -> None:
    with pytest.raises(Violations) as caught:
        create_request({'spec': SHELL, 'opSpec': {**OP_SPEC, 'parallelism': parallelism}})

    assert caught.value.errors == [f'opSpec.parallelism must be {words}']


@pytest.mark.parametrize('parallelism', [1, 32])
def test_the_ends_of_that_range_are_in_it(parallelism: int) -> None:
    assert (
        create_request({'spec': SHELL, 'opSpec': {**OP_SPEC, 'parallelism': parallelism}})[1].parallelism == parallelism
    )


@pytest.mark.parametrize('parallelism', [True, 1.0, '1', [1]])
def test_parallelism_is_a_whole_number(parallelism: object) -> None:
    with pytest.raises(Violations, match=UNREADABLE):
        create_request({'spec': SHELL, 'opSpec': {**OP_SPEC, 'parallelism': parallelism}})


@pytest.mark.parametrize(
    ('resources', 'error'),
    [([], 'resources - CPU and MEMORY must be there'),
     (RESOURCES[:1], 'resources - MEMORY must be there'),
     (RESOURCES[1:], 'resources - CPU must be there'),
     ([*RESOURCES, RESOURCES[0]], 'resources[2].type - there is more than one CPU'),
     ([RESOURCES[0], {'type': 'MEMORY'}], 'resources[1].sizeInMB must be greater than or equal to 1')],
)  # fmt: skip
def test_cpu_and_memory_are_asked_for_once_each(resources: list[Any], error: str) -> None:
    assert errors_of({**SHELL, 'resources': resources}) == [error]


def test_there_are_bounds_above_of_what_is_asked_for() -> None:
    most = [{'type': 'CPU', 'count': 1024}, {'type': 'MEMORY', 'sizeInMB': 1_000_000_000}]
    more = [{'type': 'CPU', 'count': 1025}, {'type': 'MEMORY', 'sizeInMB': 1_000_000_001}]

    assert task_spec({**SHELL, 'resources': most}).requirements['cpu'] == 1024
    assert errors_of({**SHELL, 'resources': more}) == [
        'resources[0].count must be less than or equal to 1024',
        'resources[1].sizeInMB must be less than or equal to 1000000000',
    ]


def test_there_are_at_most_100_tags_of_128_characters() -> None:
    most = {str(number).zfill(128): 'v' * 128 for number in range(100)}

    assert task_spec({**SHELL, 'tags': most}).about['tags'] == most
    for more in ({**most, 'one': 'more'}, {'k': 'v' * 129}, {'k' * 129: 'v'}):
        assert errors_of({**SHELL, 'tags': more}) == ['tags - there are at most 100, of 128 characters each']


@pytest.mark.parametrize('name', ['a/b', 'a b', 'ä', 'a\n', 'a' * 129])
def test_names_have_letters_digits_hyphens_and_underscores_only(name: str) -> None:
    wrong = '- Only letters, numbers, hyphens and underscores are allowed, at most 128'

    assert errors_of({**SHELL, 'sourceAppName': name, 'taskId': name}) == [f'sourceAppName {wrong}', f'taskId {wrong}']


@pytest.mark.parametrize('args', [['a'] * 1025, ['a' * 2049], [''] * 2050])
def test_arguments_joined_by_blanks_are_no_longer_than_2048(args: list[str]) -> None:
    assert [error.partition(' ')[0] for error in errors_of({**SHELL, 'args': args})] == ['args']
    assert task_spec({**SHELL, 'args': ['a' * 2048]}).work.command[1] == 'a' * 2048


def test_there_are_at_most_2048_arguments() -> None:
    assert len(task_spec({**SHELL, 'args': [''] * 2048}).about['args']) == 2048
    assert errors_of({**SHELL, 'args': [''] * 2049}) == ['args - there are at most 2048, of 2048 characters together']


@pytest.mark.parametrize('kind', [SHELL, DOCKER])
def test_arguments_are_told_again_without_the_program(kind: dict[str, Any]) -> None:
    assert task_spec({**kind, 'args': ['-a', 'b c']}).about['args'] == ['-a', 'b c']


def test_a_program_without_a_container_has_no_volumes() -> None:
    volume = {'pathOnHost': '/a', 'pathInContainer': '/b', 'mode': 'READ_ONLY'}

    assert errors_of({**SHELL, 'volumes': [volume], 'retries': -1}) == [
        'retries must be greater than or equal to 0',
        'volumes - only an executable of type DOCKER has volumes',
    ]


def test_the_grace_of_a_kill_is_an_hour_at_most() -> None:
    assert task_spec({**SHELL, 'killGrace': '1h'}).work.kill_grace_seconds == 3600.0
    assert errors_of({**SHELL, 'killGrace': '3601s'}) == ['killGrace - is at most 3600 seconds']


def test_what_is_no_object_in_a_list_of_them_is_told() -> None:
    assert errors_of({**SHELL, 'resources': [*RESOURCES, 5], 'volumes': ['/a']}, UNREADABLE) == [
        'resources[2] is not an object',
        'volumes[0] is not an object',
    ]


def test_no_more_than_100_faults_are_told() -> None:
    assert len(errors_of({**SHELL, 'env': {f'DROVE_{number}': '' for number in range(101)}})) == 100


def test_variables_of_the_service_are_refused_by_name() -> None:
    assert errors_of({**SHELL, 'env': {'DROVE_TASK_ID': 'x', 'DROVELIKE': 'y'}}) == [
        'env.DROVE_TASK_ID - such variables are set by the service'
    ]


@pytest.mark.parametrize('kind', ['EXECUTOR_LOCAL_FILE', 'CONTROLLER_HTTP_FETCH', 'EXECUTOR_HTTP_FETCH'])
def test_only_files_that_come_with_the_request_are_taken(kind: str) -> None:
    errors = errors_of({**SHELL, 'configs': [{'type': kind, 'localFilename': 'a'}]})

    assert errors == [f'configs[0].type - {kind} is not done here: files come with the request, INLINE']


@pytest.mark.parametrize(
    ('more', 'place'),
    [({'devices': [{'type': 'DIRECT'}]}, 'devices'), ({'userSpec': {'user': 'root'}}, 'userSpec'),
     ({'logging': {'type': 'RSYSLOG', 'server': 'x'}}, 'logging.type'),
     ({'logging': {'type': 'LOCAL', 'maxFiles': 101}}, 'logging.maxFiles'),
     ({'retries': 101}, 'retries'), ({'retries': -1}, 'retries'), ({'killGrace': '2h'}, 'killGrace'),
     ({'volumes': [{'pathOnHost': '/a', 'pathInContainer': '/b', 'mode': 'READ_ONLY'}]}, 'volumes'),
     ({'configs': [{'type': 'INLINE', 'localFilename': '/a', 'data': 'eA=='}]}, 'configs[0].localFilename'),
     ({'configs': [{'type': 'INLINE', 'localFilename': 'a', 'data': '***'}]}, 'configs[0].data'),
     ({'logging': {'type': 'LOCAL', 'maxSize': 'much'}}, 'logging.maxSize'),
     ({'logging': {'type': 'LOCAL', 'maxSize': '0m'}}, 'logging.maxSize'),
     ({'logging': {'type': 'LOCAL', 'maxSize': '1' * 20}}, 'logging.maxSize'),
     ({'tags': {'k' * 129: ''}}, 'tags'), ({'env': {'1': ''}}, 'env')],
)  # fmt: skip
def test_what_a_task_would_not_get_is_refused_where_it_stands(more: dict[str, Any], place: str) -> None:
    assert [error.partition(' ')[0] for error in errors_of({**SHELL, **more})] == [place]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(['type', 'url', 'a']), inner, max_size=3)
    ),
    max_leaves=5,
)
KEYS = [
    'sourceAppName', 'taskId', 'executable', 'resources', 'volumes', 'configs', 'logging', 'placementPolicy', 'env',
    'args', 'tags', 'devices', 'userSpec', 'retries', 'keepFor', 'maxRunTime', 'killGrace',
]  # fmt: skip


@given(st.dictionaries(st.sampled_from(KEYS), JSON, min_size=1, max_size=4))
def test_whatever_stands_in_a_field_the_task_is_taken_or_refused_in_lines_that_begin_with_a_place(
    more: dict[str, Any],
) -> None:
    try:
        task_spec({**SHELL, **more})
    except Violations as refused:
        assert str(refused) in (INVALID, UNREADABLE)
        assert refused.errors and all(error and '\n' not in error for error in refused.errors)


@pytest.mark.parametrize(
    ('more', 'error'),
    [({'configs': [{'type': 'INLINE', 'localFilename': '../x', 'data': 'eA=='}]},
      "configs[0].localFilename - must stay in the task's directory"),
     ({'configs': [{'type': 'INLINE', 'localFilename': 'x', 'data': 'a'}]}, 'configs[0].data - is no base64'),
     ({'volumes': [{'pathOnHost': 'a', 'pathInContainer': '/b', 'mode': 'READ_ONLY'}]},
      'volumes[0].pathOnHost - must be a plain absolute path, like /a/b'),
     ({'executable': {'url': 'bad image', 'dockerPullTimeout': '1m'}},
      "executable.url - 'bad image' is no name of an image"),
     ({'executable': {'url': 'an image of work.env', 'dockerPullTimeout': '1m'}},
      "executable.url - 'an image of work.env' is no name of an image"),
     ({'executable': {'type': 'SHELL', 'url': 'a\0'}},
      'executable.url - has a character that no program can be given'),
     ({'executable': {'type': 'SHELL', 'url': 'a'}, 'args': ['\0']},
      'args - has a character that no program can be given'),
     ({'args': ['\0']}, 'args - has a character that no program can be given'),
     ({'env': {'A': '\0'}}, 'env.A - has a character that no program can be given')],
)  # fmt: skip
def test_what_shows_only_in_the_end_is_told_where_it_stands(more: dict[str, Any], error: str) -> None:
    assert errors_of({**DOCKER, **more}) == [error]
