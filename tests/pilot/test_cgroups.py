"""Groups of processes: in the kernel's tree where root may make some, and in a folder that looks like a group."""

import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from iceprod_tasks.pilot.cgroups import Group, delegated
from tests.pilot.conftest import Fly
from tests.pilot.fake_service import FakeService

TREES = (Path('/sys/fs/cgroup'), Path('/sys/fs/cgroup/unified'))
FILES = {
    'cgroup.controllers': 'cpuset cpu io memory pids\n',
    'cgroup.procs': '',
    # Written from its beginning, as the kernel's is not.
    'cgroup.subtree_control': ' ' * 20 + 'cpu memory pids\n',
}


@pytest.fixture
def tree() -> Iterator[Path]:
    """A group of the kernel's, without any limits: those may belong to cgroups of version 1 here."""
    for root in TREES:
        if (root / 'cgroup.procs').exists() and os.access(root, os.W_OK):
            break
    else:
        pytest.fail('no tree of cgroup v2 in which this user may make groups: please run this as root, and mount one')
    (path := root / f'iceprod-test-{uuid.uuid4().hex}').mkdir()
    yield path
    Group(path).remove()
    assert not path.exists()


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process with a child."""
    process = subprocess.Popen(['sh', '-c', 'read go; sleep 60 & wait'], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that looks like a group that was given to us."""
    (group := tmp_path / 'tree' / 'ours').mkdir(parents=True)
    for name, text in FILES.items():
        (group / name).write_text(text)
    return group


@pytest.fixture
def process(tmp_path: Path) -> Path:
    """What looks like a process in that group."""
    (place := tmp_path / 'process').mkdir()
    (place / 'cgroup').write_text('9:name=systemd:/x\n4:memory:/y\n0::/ours\n')
    return place


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    """A table with the tree of that group."""
    (file := tmp_path / 'mounts').write_text(f'proc /proc proc rw 0 0\ncgroup2 {tmp_path}/tree cgroup2 rw 0 0\n')
    return file


def made(tree: Path) -> Group:
    """A new group in a tree."""
    group = Group.make(tree, 'attempt')
    assert group is not None
    return group


def test_what_a_process_starts_is_in_its_group_and_is_killed_with_it(
    tree: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    group = made(tree)

    assert group.add(sleeper.pid)
    assert sleeper.stdin is not None
    sleeper.stdin.write(b'\n')
    sleeper.stdin.flush()
    while len(pids := group.pids()) < 2:
        assert sleeper.poll() is None
    group.kill()

    assert sleeper.pid in pids
    assert sleeper.wait(10) == -9
    assert group.remove()
    assert not group.path.exists()


def test_a_group_is_removed_with_what_runs_and_with_the_groups_in_it(
    tree: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    group = made(tree)
    (inner := group.path / 'inner' / 'most').mkdir(parents=True)
    assert Group(inner).add(sleeper.pid)

    assert group.remove()

    assert sleeper.wait(10) == -9
    assert not group.path.exists()


def test_a_group_knows_the_time_its_processes_have_used(tree: Path) -> None:
    group = made(tree)
    process = subprocess.Popen(['sh', '-c', 'read go; i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'], stdin=-1)
    group.add(process.pid)

    process.communicate(b'\n')

    assert group.cpu_seconds() > 0.05
    group.remove()


def test_nobody_can_be_added_who_is_not_there_or_to_a_group_that_is_gone(tree: Path) -> None:
    group = made(tree)

    assert not group.add(2**22 + 1)
    assert group.remove()
    assert not group.add(os.getpid())
    assert group.remove()


def test_a_group_that_cannot_be_made_is_none(tree: Path) -> None:
    made(tree)

    assert Group.make(tree, 'attempt') is None
    assert Group.make(tree / 'nowhere', 'x') is None
    assert Group.make(None, 'x') is None


def test_limits_that_the_kernel_does_not_know_here_are_left_out(tmp_path: Path) -> None:
    Group(tmp_path).limit(memory_gb=1, cpu=1)

    assert list(tmp_path.iterdir()) == []


def test_limits_are_written_as_the_kernel_reads_them(tmp_path: Path) -> None:
    names = ('memory.max', 'memory.swap.max', 'memory.oom.group', 'cpu.max', 'pids.max')
    for name in names:
        (tmp_path / name).touch()

    Group(tmp_path).limit(memory_gb=2, cpu=1.5)

    written = {name: (tmp_path / name).read_text() for name in names}
    assert written == {
        'memory.max': '2200000000', 'memory.swap.max': '0', 'memory.oom.group': '1', 'cpu.max': '150000 100000',
        'pids.max': '4096',
    }  # fmt: skip


def test_nothing_is_written_that_was_not_asked_for(tmp_path: Path) -> None:
    for name in ('memory.max', 'cpu.max', 'pids.max'):
        (tmp_path / name).write_text('max')

    Group(tmp_path).limit(pids=None)

    assert {file.read_text() for file in tmp_path.iterdir()} == {'max'}


@pytest.mark.parametrize(
    ('files', 'peak', 'killed', 'seconds'),
    [
        ({}, 0, False, 0),
        ({'memory.current': '5\n'}, 5, False, 0),
        ({'memory.current': '5\n', 'memory.peak': '9\n'}, 9, False, 0),
        ({'memory.events': 'low 0\noom 3\noom_kill 0\n'}, 0, False, 0),
        ({'memory.events': 'low 0\noom 3\noom_kill 2\noom_group_kill 1\n'}, 0, True, 0),
        ({'cpu.stat': 'usage_usec 1500000\nuser_usec 1\n'}, 0, False, 1.5),
    ],
)
def test_what_the_kernel_counts_is_read(
    tmp_path: Path, files: dict[str, str], peak: int, killed: bool, seconds: float
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    group = Group(tmp_path)

    assert (group.peak_bytes(), group.was_oom_killed(), group.cpu_seconds()) == (peak, killed, seconds)


def test_a_group_that_was_given_to_root_is_made_ready(folder: Path, process: Path, mounts: Path) -> None:
    os.setxattr(folder, 'trusted.delegate', b'1')

    assert delegated(process, mounts) == folder
    assert (folder / 'pilot').is_dir()
    assert (folder / 'cgroup.subtree_control').read_text().startswith('+')


@pytest.mark.parametrize('value', [b'0', None])
def test_root_takes_no_group_that_was_not_given_to_it(
    folder: Path, process: Path, mounts: Path, value: bytes | None
) -> None:
    if value is not None:
        os.setxattr(folder, 'trusted.delegate', value)

    assert delegated(process, mounts) is None
    assert not (folder / 'pilot').exists()


@pytest.mark.parametrize(
    ('file', 'text'),
    [('cgroup.controllers', 'cpu pids\n'), ('cgroup.subtree_control', ' ' * 20), ('cgroup.procs', None)],
)
def test_without_limits_of_memory_there_are_no_groups(
    folder: Path, process: Path, mounts: Path, file: str, text: str | None
) -> None:
    os.setxattr(folder, 'trusted.delegate', b'1')
    if text is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(text)

    assert delegated(process, mounts) is None


@pytest.mark.parametrize('missing', [None, 'cgroup.subtree_control', 'cgroup.procs'])
def test_a_group_that_somebody_else_than_root_may_write_was_given_to_them(
    folder: Path, process: Path, mounts: Path, missing: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, 'geteuid', lambda: 1000)
    if missing:
        (folder / missing).unlink()

    assert delegated(process, mounts) == (None if missing else folder)


@pytest.mark.parametrize('lines', ['', '0::/elsewhere\n', '4:memory:/ours\n'])
def test_a_process_without_a_group_in_the_tree_has_none(folder: Path, process: Path, mounts: Path, lines: str) -> None:
    os.setxattr(folder, 'trusted.delegate', b'1')
    (process / 'cgroup').write_text(lines)

    assert delegated(process, mounts) is None


def test_all_processes_of_a_group_that_is_given_away_move_on(
    tree: Path, process: Path, tmp_path: Path, sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    os.setxattr(tree, 'trusted.delegate', b'1')
    Group(tree).add(sleeper.pid)
    (process / 'cgroup').write_text(f'0::/{tree.name}\n')
    (mounts := tmp_path / 'mounts').write_text(f'cgroup2 {tree.parent} cgroup2 rw 0 0\n')
    # Memory may be counted by cgroups of version 1 here.
    monkeypatch.setattr('iceprod_tasks.pilot.cgroups._has_memory', lambda _: True)

    delegated(process, mounts)

    assert Group(tree).pids() == []
    assert Group(tree / 'pilot').pids() == [sleeper.pid]


async def test_a_command_of_a_pilot_is_in_a_group_of_its_own_which_goes_with_it(
    service: FakeService, fly: Fly, tree: Path
) -> None:
    service.add('cat /proc/self/cgroup; sleep 0.3 & cat /proc/$!/cgroup; wait')

    [report] = await fly(groups=tree)

    mine = {line.rpartition('/')[2] for line in report['stdout'].splitlines() if line.startswith('0::')}
    assert report['action'] == 'complete'
    assert len(mine) == 1 and mine.pop().startswith('iceprod-attempt-')
    assert [each for each in os.scandir(tree) if each.is_dir()] == []


async def test_what_the_kernel_ends_for_its_memory_asks_for_more(
    service: FakeService, fly: Fly, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Here the tree of version 2 has no limits of memory; what the kernel would say is put in its mouth.
    monkeypatch.setattr(Group, 'was_oom_killed', lambda group: True)
    service.add('kill -KILL $$')
    service.tasks[0]['requirements'] = {'memory': 0.7}

    [report] = await fly(groups=tree)

    assert (report['action'], report['reason']) == ('reset', 'over memory limit of 0.7 GB')
    assert report['resources']['memory'] == 0.7
