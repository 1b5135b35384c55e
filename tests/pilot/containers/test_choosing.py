"""Which program runs an image, which images are none, and what is refused with which words."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from iceprod_tasks.client import Claim
from iceprod_tasks.pilot.boxes import NoContainers, gpus
from iceprod_tasks.pilot.command import Command, WrongConfig, command_of
from iceprod_tasks.pilot.containers import ContainerRules, Containers
from iceprod_tasks.pilot.folder import Folder
from iceprod_tasks.pilot.limits import Limits

STAND_IN = """#!/bin/sh
case "$*" in
    *--version) echo "{name} version 1.3.0" ;;
    "exec --help") echo "  --no-eval   do not evaluate" ;;
    *"run --help"*) echo '{help}' ;;
    *info*) echo runc; echo '{controllers}' ;;
    *) exit 1 ;;
esac
"""
Install = Callable[..., dict[str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    """Of an attempt."""
    (place := tmp_path / 'attempt').mkdir()
    yield (folder := Folder(place))
    folder.remove()


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """Makes stand-ins that answer a few questions and run nothing; an environment with them on PATH."""

    def make(
        *names: str, controllers: str = '["cpu", "memory", "pids"]', help_text: str = '--env-merge'
    ) -> dict[str, str]:
        (place := tmp_path / 'bin').mkdir()
        for name in names:
            (place / name).write_text(STAND_IN.format(name=name, controllers=controllers, help=help_text))
            (place / name).chmod(0o755)
        return {'PATH': f'{place}:/usr/bin:/bin' if names else str(place), 'HOME': '/h', 'SECRET': 's'}

    return make


async def refusal(containers: Containers, folder: Folder, image: str) -> str:
    """Why this machine does not run an image."""
    with pytest.raises(NoContainers) as caught:
        await containers.box(Command(('true',), {}, None, image=image), folder, 'x')
    return str(caught.value)


async def argv_of(containers: Containers, folder: Folder, image: str, limits: Limits | None = None) -> tuple[str, ...]:
    """What runs an image."""
    box = await containers.box(Command(('echo', 'a b'), {}, None, image=image), folder, 'x', limits)
    return box.command.argv


async def test_a_pilot_without_a_program_for_containers_says_so(folder: Folder, install: Install) -> None:
    containers = Containers(ContainerRules(), install())

    assert containers.names == ()
    assert (
        await refusal(containers, folder, 'box')
        == 'this pilot runs no containers: neither apptainer nor podman is here'
    )
    await containers.clear()


async def test_a_program_that_the_site_names_and_that_is_not_there_is_no_other(
    folder: Folder, install: Install
) -> None:
    containers = Containers(ContainerRules(runtime='/no/podman'), install('apptainer'))

    assert await refusal(containers, folder, 'box') == 'this pilot runs no containers: there is no /no/podman here'


async def test_a_program_that_does_not_work_is_quoted(folder: Folder, install: Install) -> None:
    environment = install('podman')
    podman = Path(environment['PATH'].split(':')[0]) / 'podman'
    podman.write_text('#!/bin/sh\necho first >&2; echo "Error: no storage" >&2; exit 125\n')

    why = await refusal(Containers(ContainerRules(), environment), folder, 'box')

    assert why == f'{podman} does not work here: Error: no storage'


@pytest.mark.parametrize(
    ('image', 'runs'),
    [
        ('docker://busybox:1.36', 'apptainer'), ('oras://ghcr.io/a/b:1', 'apptainer'),
        ('library://a/b/c:1', 'apptainer'), ('busybox:1.36', 'podman'), ('localhost:5000/a@sha256:00', 'podman'),
    ],
)  # fmt: skip
async def test_an_image_goes_to_a_program_that_knows_its_kind(
    folder: Folder, install: Install, image: str, runs: str
) -> None:
    containers = Containers(ContainerRules(), install('podman', 'apptainer'))

    argv = await argv_of(containers, folder, image)

    assert Path(argv[0]).name == runs
    assert image in argv


@pytest.mark.parametrize(('help_text', 'added'), [('--env-merge', True), ('', False)])
async def test_only_a_podman_that_knows_how_adds_to_the_path_of_an_image(
    folder: Folder, install: Install, help_text: str, added: bool
) -> None:
    containers = Containers(ContainerRules(), install('podman', help_text=help_text))

    argv = await argv_of(containers, folder, 'box')

    assert (f'PATH={folder.programs}:${{PATH}}' in argv) == added


async def test_a_kind_that_nothing_here_knows_is_left_to_other_pilots(folder: Folder, install: Install) -> None:
    containers = Containers(ContainerRules(image_roots=(folder.path,)), install('podman'))

    assert (
        await refusal(containers, folder, 'oras://a/b')
        == 'this pilot has only podman, which cannot run the image oras://a/b'
    )


@pytest.mark.parametrize(
    'image',
    ['-v', '--privileged', 'a b', 'a\nb', 'a\n', 'a\0b', 'ü', '', '$x', 'dir:/etc', 'oci:x', 'docker-daemon:x', 'dir:',
     'containers-storage:x', 'docker://', 'docker://-v', 'http://x/y', '../box.sif', './x', '/a b', 'x' * 5000],
)  # fmt: skip
async def test_what_is_no_name_of_an_image_is_refused(folder: Folder, install: Install, image: str) -> None:
    containers = Containers(ContainerRules(), install('podman', 'apptainer'))

    with pytest.raises(WrongConfig):
        await containers.box(Command(('true',), {}, None, image=image), folder, 'x')


async def test_a_path_is_an_image_only_below_a_root_of_the_site(folder: Folder, install: Install) -> None:
    (roots := folder.path / 'images').mkdir()
    (roots / 'a.sif').touch()
    (folder.path / 'b.sif').touch()
    (roots / 'link.sif').symlink_to(folder.path / 'b.sif')
    environment = install('apptainer')
    site = Containers(ContainerRules(image_roots=(roots,)), environment)

    argv = await argv_of(site, folder, f'{roots}/a.sif')

    assert f'{roots}/a.sif' in argv
    for outside in (folder.path / 'b.sif', roots / 'link.sif', roots / '../b.sif'):
        assert 'where this site allows images' in await refusal(site, folder, str(outside))
    assert await refusal(site, folder, f'{roots}/c.sif') == f'there is no image {roots}/c.sif here'
    assert 'allows no folder' in await refusal(Containers(ContainerRules(), environment), folder, f'{roots}/a.sif')


async def test_apptainer_is_asked_for_a_clean_container(folder: Folder, install: Install) -> None:
    rules = ContainerRules(options=('--quiet',), run_options=('--bind', '/data'))
    containers = Containers(rules, install('apptainer') | {'APPTAINER_CACHEDIR': '/c', 'APPTAINERENV_X': 'pilot'})
    command = Command(('echo', '-a'), {'A': '$(id)', 'CUDA_VISIBLE_DEVICES': '1'}, None, image='docker://box')

    box = await containers.box(command, folder, 'x')

    work, tmp = str(folder.work), str(folder.tmp)
    assert box.command.argv[1:] == (
        '--quiet', 'exec', '--containall', '--no-privs',
        '--pwd', work, '--home', work, '--bind', work, '--bind', tmp,
        '--bind', str(folder.spool), '--bind', f'{folder.programs}:{folder.programs}:ro', '--no-eval',
        '--nv', '--bind', '/data', 'docker://box', 'echo', '-a',
    )  # fmt: skip
    assert {name: value for name, value in box.command.environment.items() if name != 'PATH'} == {
        'HOME': '/h',
        'APPTAINER_CACHEDIR': '/c',
        'APPTAINERENV_A': '$(id)',
        'APPTAINERENV_CUDA_VISIBLE_DEVICES': '1',
        'APPTAINERENV_TMPDIR': tmp,
        'APPTAINERENV_PREPEND_PATH': str(folder.programs),
    }


async def test_podman_sets_the_limits_that_cgroups_allow_here(folder: Folder, install: Install) -> None:
    environment, limits = install('podman'), Limits(memory_gb=2, disk_gb=1, cpu=1.5)
    able = await argv_of(Containers(ContainerRules(), environment), folder, 'box', limits)
    podman = Path(environment['PATH'].split(':')[0]) / 'podman'
    podman.write_text(STAND_IN.format(name='podman', controllers='null', help=''))
    unable = await argv_of(Containers(ContainerRules(), environment), folder, 'box', limits)

    given = able[able.index('--pids-limit') :]
    assert given[:8] == (
        '--pids-limit', '4096', '--memory', '2200000000', '--memory-swap', '2200000000', '--cpus', '1.5',
    )  # fmt: skip
    assert not {'--pids-limit', '--memory', '--cpus'} & set(unable)


@pytest.mark.parametrize(
    ('given', 'devices', 'seen'),
    [('2,3', ['2', '3'], '0,1'), ('GPU-1a', ['GPU-1a'], 'GPU-1a'), ('', [], ''), ('NoDevFiles', [], 'NoDevFiles')],
)
async def test_podman_gives_the_gpus_of_the_slot_which_count_from_0_inside(
    folder: Folder, install: Install, given: str, devices: list[str], seen: str
) -> None:
    containers = Containers(ContainerRules(), install('podman'))
    command = Command(('true',), {'CUDA_VISIBLE_DEVICES': given}, None, image='box')

    box = await containers.box(command, folder, 'x')

    asked = [word for word in box.command.argv if word.startswith('nvidia.com/')]
    assert asked == [f'nvidia.com/gpu={gpu}' for gpu in devices]
    assert f'CUDA_VISIBLE_DEVICES={seen}\n' in (folder.path / 'environment').read_text()


def test_words_that_are_no_gpus_become_no_options() -> None:
    assert gpus({'CUDA_VISIBLE_DEVICES': 'all,0, 1,x=--privileged,MIG-0'}) == ('0', '1', 'MIG-0')


@pytest.mark.parametrize('name', ['a/b', '--x', 'ü' * 300])
async def test_a_container_has_a_name_of_its_own_that_podman_takes(folder: Folder, install: Install, name: str) -> None:
    containers = Containers(ContainerRules(), install('podman'))
    command = Command(('true',), {}, None, image='box')

    names = [(await containers.box(command, folder, name)).command.argv for _ in range(2)]

    one, other = (argv[argv.index('--name') + 1] for argv in names)
    assert one != other
    assert one.startswith('iceprod-')
    assert one.isascii()
    assert len(one) < 130


@pytest.mark.parametrize(
    ('runs', 'odd'), [('podman', 'a,b'), ('podman', 'a"b'), ('apptainer', 'a:b'), ('apptainer', 'a,b')]
)
async def test_a_folder_that_cannot_be_mounted_is_told(tmp_path: Path, install: Install, runs: str, odd: str) -> None:
    (place := tmp_path / odd).mkdir()
    folder = Folder(place)

    why = await refusal(Containers(ContainerRules(), install(runs)), folder, 'docker://box')
    folder.close()

    assert why == f'{runs} cannot mount the folder {place}/work'


def test_the_image_of_a_task_has_its_placeholders_filled_and_a_path_of_its_own() -> None:
    task = {'name': 'gen', 'command': 'true', 'image': 'box:${job_index}', 'env': {'A': 'b'}}
    claim = Claim({'task_id': 't', 'task_index': 0, 'job_index': 7}, 'c', 1)

    command = command_of({'tasks': [task]}, claim, {'PATH': '/bin', 'HOME': '/h', 'LANG': 'C'})

    assert command.image == 'box:7'
    assert {'A', 'LANG'} <= set(command.environment)
    assert not {'PATH', 'HOME'} & set(command.environment)


@pytest.mark.parametrize('image', [5, '', '-v', 'dir:/etc', '${job}', ['box']])
def test_a_task_with_an_image_that_is_none_cannot_be_run(image: Any) -> None:
    claim = Claim({'task_id': 't', 'task_index': 0}, 'c', 1)

    with pytest.raises(WrongConfig, match=r'tasks\[0\]: '):
        command_of({'tasks': [{'name': 'gen', 'command': 'true', 'image': image}]}, claim, {})
