"""A real podman with a storage of its own, an image made of busybox, and commands that run in it under wardens."""

import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from iceprod_tasks.pilot.boxes import After, Box
from iceprod_tasks.pilot.command import Command
from iceprod_tasks.pilot.containers import ContainerRules, Containers
from iceprod_tasks.pilot.folder import Folder, end_of
from iceprod_tasks.pilot.limits import Limits
from iceprod_tasks.pilot.process import End, Process
from iceprod_tasks.pilot.warden import clock

APPLETS = (
    'sh',
    'cat',
    'head',
    'dd',
    'env',
    'ls',
    'pwd',
    'sleep',
    'touch',
    'mkdir',
    'chmod',
    'true',
    'printf',
    'mv',
    'setsid',
)
RUN_OPTIONS = ('--network', 'none')


def program(name: str) -> str:
    """The path of a program that these tests need."""
    place = shutil.which(name, path=f'{os.environ.get("PATH", "")}:/usr/sbin:/sbin')
    if place is None:
        pytest.fail(f'{name} is missing; please install: podman runc catatonit busybox-static')
    return place


@pytest.fixture(scope='session')
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tar of what the containers have: busybox."""
    if os.geteuid() != 0:
        pytest.fail('these tests run podman as root: please run them as root')
    file = tmp_path_factory.mktemp('image') / 'box.tar'
    with tarfile.open(file, 'w') as tar:
        tar.add(program('busybox'), 'bin/busybox')
        for name in APPLETS:
            link = tarfile.TarInfo(f'bin/{name}')
            link.type, link.linkname = tarfile.SYMTYPE, 'busybox'
            tar.addfile(link)
    return file


@pytest.fixture(scope='session')
def storage(image: Path) -> Iterator[tuple[str, ...]]:
    """Options of podman: a storage of this test process, with the image `box`."""
    program('catatonit')
    # Podman takes no place for its state of more than 50 characters, which those of pytest have.
    with tempfile.TemporaryDirectory(prefix='box', dir='/tmp') as place, pytest.MonkeyPatch.context() as patch:
        # Else the first use of a storage lets go of the locks of all others.
        (conf := Path(place, 'conf')).write_text('[engine]\nlock_type = "file"\n')
        patch.setenv('CONTAINERS_CONF', str(conf))
        options = (
            '--root', f'{place}/root', '--runroot', f'{place}/run', '--tmpdir', f'{place}/tmp',
            '--storage-driver', 'vfs', '--cgroup-manager', 'cgroupfs', '--events-backend', 'none',
            '--runtime', program('runc'),
        )  # fmt: skip
        podman = (program('podman'), *options)
        subprocess.run([*podman, 'import', image, 'box'], check=True, capture_output=True)
        entry = 'ENTRYPOINT ["/bin/printf", "<%s>"]'
        subprocess.run([*podman, 'import', '--change', entry, image, 'greeter'], check=True, capture_output=True)
        yield options
        subprocess.run([*podman, 'rm', '--all', '--force', '--time', '0'], check=True, capture_output=True)


def groups() -> list[str]:
    """Where the containers are kept that runc knows, each with groups of processes: those of other storages as well."""
    return [
        each['bundle'] for each in json.loads(subprocess.check_output([program('runc'), 'list', '-f', 'json'])) or ()
    ]


@dataclass
class Site:
    """Commands in containers on this machine."""

    rules: ContainerRules
    workdir: Path
    folders: list[Folder] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.containers = Containers(self.rules)

    async def box(self, *argv: str, name: str = 't1-e1', limits: Limits | None = None, **fields: Any) -> Box:
        """A command in a container, in a new folder."""
        self.folders.append(Folder.make(self.workdir))
        command = Command(argv, fields.pop('environment', {'A': 'b'}), None, image=fields.pop('image', 'box'))
        return await self.containers.box(command, self.folders[-1], name, limits)

    async def start(self, box: Box, seconds: float = 60) -> Process:
        """A box under its warden."""
        return await Process.start(box.command.argv, box.command.environment, self.folders[-1], clock() + seconds)

    async def run(self, *argv: str, **fields: Any) -> tuple[End, After]:
        """Run a command in a container to its end."""
        box = await self.box(*argv, **fields)
        process = await self.start(box)
        await process.exited.wait()
        end = await process.end(0)
        process.close()
        return end, await box.finish(end.exit_code)

    @property
    def stdout(self) -> str:
        """What the last command printed."""
        return end_of(self.folders[-1].stdout)

    @property
    def stderr(self) -> str:
        """What the last command complained about."""
        return end_of(self.folders[-1].stderr)

    def listed(self) -> list[str]:
        """The names of all containers in the storage."""
        listing = [program('podman'), *self.rules.options, 'ps', '--all', '--format', '{{.Names}}']
        return subprocess.run(listing, check=True, capture_output=True, text=True).stdout.split()


@pytest.fixture
async def site(storage: tuple[str, ...], tmp_path: Path) -> AsyncIterator[Site]:
    """A site with podman."""
    rules = ContainerRules(runtime=program('podman'), options=storage, run_options=RUN_OPTIONS)
    yield (site := Site(rules, tmp_path))
    for folder in site.folders:
        folder.remove()
    assert site.listed() == []
    assert [place for place in groups() if str(storage[1]) in place] == []
    assert not any(tmp_path.iterdir())  # noqa: ASYNC240
