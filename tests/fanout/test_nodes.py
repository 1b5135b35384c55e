"""Node sets from strangers: what a set means, and what is refused before anything is done with it."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from ClusterShell.NodeSet import RESOLVER_NOGROUP
from ClusterShell.NodeSet import NodeSet as Upstream
from hypothesis import given, settings
from hypothesis import strategies as st

from iceprod_tasks.fanout import InvalidNodes, checked, expand, fold, run
from iceprod_tasks.fanout.NodeSet import NodeSet
from iceprod_tasks.fanout.Task import Task
from iceprod_tasks.fanout.Worker.Exec import ExecWorker
from iceprod_tasks.fanout.Worker.Ssh import WorkerSsh

ATTACKS = [
    '-oProxyCommand=touch {mark}', 'n1,-oProxyCommand=touch {mark}', "@x'; touch {mark}; '", '@all', '@*', '*', 'n?', 'n1 n2',
    'n1;touch {mark}', 'n1|touch {mark}', '$(touch {mark})', '`touch {mark}`', 'n1\ntouch {mark}', 'n1\n', 'n\0', 'root@n1',
    'n1:22', '[::1]', 'n[1-3', 'n1]', 'n[]', 'n[a-b]', 'n[3-1]', 'n[1-3/0]', 'n[1-3]]', 'n[[1-3]]', 'n[1-3]x[', '!n1', 'n1!',
    'n1&&n2', 'n1,!n2', 'n[-1]', 'n[1--3]', 'n[1,]', 'n[1-3/2/1]', 'é1', 'n' * 300, '../n1', '.n1', 'n1/..', 'n%s', '"n1"', "'n1'",
    'n[0-9999999]', 'n[1-1000]m[1-1000]', 'n[1-99999],m[1-99999]', 'n[1-' + '9' * 90 + ']', 'n[' + '1,' * 5000 + '1]',
    'n' * 2**20 + 'n', 'n[٣]',
]  # fmt: skip
EMPTY = ['', ' ', ',', ',,', 'n1!n1', 'n1&n2', 'n[1-3]^n[1-3]']


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / 'mark'


@pytest.mark.parametrize('text', ATTACKS, ids=range(len(ATTACKS)))
def test_what_is_no_set_of_names_is_refused_at_once_and_nothing_runs(text: str, mark: Path, task: Task) -> None:
    nodes = text.replace('{mark}', str(mark))
    began = time.monotonic()

    with pytest.raises(InvalidNodes):
        checked(nodes)
    for remote in (False, True):
        with pytest.raises(ValueError):
            task.shell(f'touch {mark}', nodes=nodes, remote=remote)
    with pytest.raises(InvalidNodes):
        task.copy('/etc/hostname', '/tmp/x', nodes)
    task.resume()

    assert not mark.exists()
    assert task.max_retcode() is None
    assert time.monotonic() - began < 5


@pytest.mark.parametrize('text', EMPTY)
async def test_an_empty_set_is_an_error_and_never_this_machine(text: str, mark: Path, task: Task) -> None:
    assert expand(text) == []
    for call in (
        lambda: task.shell(f'touch {mark}', nodes=text), lambda: task.shell(f'touch {mark}', nodes=NodeSet()),
        lambda: task.shell(f'touch {mark}', nodes=[]), lambda: task.copy('/etc/hostname', str(mark), text),
        lambda: WorkerSsh(text, None, command='x'), lambda: ExecWorker(text, None, command='x'),
    ):  # fmt: skip
        with pytest.raises(InvalidNodes):
            call()
    with pytest.raises(InvalidNodes):
        await run(f'touch {mark}', text)
    with pytest.raises(AssertionError):
        task.copy('/etc/hostname', str(mark), None)
    task.resume()

    assert not mark.exists()


@pytest.mark.parametrize('name', ['-oProxyCommand=x', '@x', 'a b', 'a;b', ''])
def test_names_in_a_set_of_clustershell_are_looked_at_as_well(name: str, task: Task) -> None:
    with pytest.raises(InvalidNodes):
        task.shell('true', nodes=[name])
    if name:
        with pytest.raises(InvalidNodes):
            task.shell('true', nodes=Upstream(name, resolver=RESOLVER_NOGROUP))


def test_no_text_reaches_the_resolver_that_runs_shell(tmp_path: Path, mark: Path) -> None:
    config = tmp_path / 'clustershell'
    config.mkdir()
    (config / 'groups.conf').write_text(
        f'[Main]\ndefault: x\n[x]\nmap: touch {mark}; echo n1\nall: touch {mark}; echo n1\n'
    )
    program = (
        'from iceprod_tasks.fanout.NodeSet import NodeSet, expand, fold\n'
        'from iceprod_tasks.fanout.Task import task_self\n'
        "for text in ('@x', '@*', 'n*', 'n1,@x:y'):\n"
        '    NodeSet(text), expand(text), fold(text), NodeSet.fromlist([text]), NodeSet("n1") | NodeSet(text)\n'
        '    NodeSet(text).copy(), list(NodeSet(text).split(2)), NodeSet("n1").union(text)\n'
        '    try: task_self().shell("true", nodes=text)\n'
        '    except ValueError: pass\n'
    )

    subprocess.run(
        [sys.executable, '-c', program], check=True, env={'CLUSTERSHELL_CFGDIR': str(config), 'PATH': '/bin:/usr/bin'}
    )

    assert not mark.exists()


@pytest.mark.parametrize(
    ('text', 'names'),
    [
        ('n1', ['n1']), ('n[1-3,5]', ['n1', 'n2', 'n3', 'n5']), ('n[001-003]', ['n001', 'n002', 'n003']),
        ('n[0-10/5]', ['n0', 'n5', 'n10']), ('r[1-2]n[1-2]', ['r1n1', 'r1n2', 'r2n1', 'r2n2']), ('n[1-2]-ib', ['n1-ib', 'n2-ib']),
        ('n[1-9]!n[2-8]', ['n1', 'n9']), ('n[1-4]&n[3-9]', ['n3', 'n4']), ('n[1-3]^n[2-4]', ['n1', 'n4']),
        ('n[1-3]!n2,n2', ['n1', 'n2', 'n3']), (' n1 , n2 ', ['n1', 'n2']), ('n2,n1,n10,n1', ['n1', 'n2', 'n10']),
        ('a.example.org,B_c-d', ['B_c-d', 'a.example.org']), ('10.0.0.[1-2]', ['10.0.0.1', '10.0.0.2']), ('n1,,n2,', ['n1', 'n2']),
    ],
)  # fmt: skip
def test_sets_mean_what_they_mean_there(text: str, names: list[str]) -> None:
    assert expand(text) == names


ranges = st.builds(
    lambda begin, length, step: f'{begin}-{begin + length}' + (f'/{step}' if step > 1 else ''),
    st.integers(0, 12), st.integers(1, 8), st.integers(1, 3),
)  # fmt: skip
brackets = st.lists(ranges | st.integers(0, 20).map(str), min_size=1, max_size=3).map(
    lambda parts: f'[{",".join(parts)}]'
)
patterns = st.builds(
    lambda name, numbers, end: name + numbers + end,
    st.sampled_from(['n', 'node', 'a-b']), brackets | st.integers(0, 30).map(str), st.sampled_from(['', '-ib', '.x', 'r[1-2]']),
)  # fmt: skip
texts = st.builds(
    lambda first, rest: first + ''.join(operator + pattern for operator, pattern in rest),
    patterns, st.lists(st.tuples(st.sampled_from([',', '!', '&', '^']), patterns), max_size=4),
)  # fmt: skip


@settings(deadline=None)
@given(texts)
def test_sets_are_those_of_clustershell(text: str) -> None:
    upstream = [str(name) for name in Upstream(text, resolver=RESOLVER_NOGROUP)]

    assert sorted(expand(text)) == sorted(upstream)
    assert list(NodeSet(text)) == upstream


@settings(deadline=None)
@given(texts)
def test_folded_names_are_the_same_names(text: str) -> None:
    names = expand(text)

    assert expand(fold(names)) == names


@settings(deadline=None)
@given(st.text(alphabet='n1[]-,/!&^ @*?%$;\n', max_size=30) | st.text(max_size=30))
def test_any_text_is_a_set_or_an_error_of_one_kind(text: str) -> None:
    try:
        names = checked(text, 1000)
    except InvalidNodes as error:
        assert isinstance(error, ValueError)
    else:
        assert names
        assert all(name.isprintable() and not name.startswith('-') for name in names)


def test_many_names_with_several_numbers_are_quick() -> None:
    addresses = [f'10.{number % 7}.{number // 100 % 256}.{number * 37 % 251}' for number in range(5000)]
    distinct = set(addresses)
    began = time.monotonic()

    names = checked(','.join(addresses))
    folded = fold(names)

    assert time.monotonic() - began < 5
    assert set(names) == distinct
    assert set(expand(folded)) == distinct
    assert len(folded) < len(','.join(distinct))


def test_the_bound_counts_what_patterns_stand_for() -> None:
    assert len(checked('n[1-1000]', 1000)) == 1000
    for text in ('n[1-1001]', 'n[1-600],n[1-600]', 'n[0-5000/4]'):
        with pytest.raises(InvalidNodes, match='more than 1000 nodes'):
            checked(text, 1000)


def test_sets_of_ours_stay_ours() -> None:
    nodes = NodeSet('n[1-10]')

    assert all(type(each) is NodeSet for each in (nodes | NodeSet('m1'), nodes.copy(), NodeSet.fromlist(['n1', 'n2'])))
    assert str(NodeSet.fromlist(['n1', 'n2', NodeSet('n[4-5]')])) == 'n[1-2,4-5]'
    assert str(NodeSet('n[1-3]') - NodeSet('n2')) == 'n[1,3]'
