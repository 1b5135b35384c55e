"""Commands in containers of a real podman: what they see, how they end, what is left of them."""

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import PIPE
from pathlib import Path

import psutil
import pytest

from iceprod_tasks.pilot.boxes import After
from iceprod_tasks.pilot.command import WrongConfig
from iceprod_tasks.pilot.containers import Containers
from iceprod_tasks.pilot.folder import remove_tree
from iceprod_tasks.pilot.limits import Limits
from iceprod_tasks.pilot.measure import Meter, ProcessTable
from iceprod_tasks.pilot.podman import is_dead, own_label
from iceprod_tasks.pilot.process import Process
from iceprod_tasks.pilot.warden import below, children_of_all
from tests.pilot.containers.conftest import Site

LOOPS = 'while :; do sleep 600; done'
STUBBORN = f'trap "" TERM; touch ready; {LOOPS}'
POLITE = 'trap "echo term; exit 9" TERM; touch ready; while :; do sleep 0.05; done'


async def until(condition: object, seconds: float = 20) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(seconds):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.02)


async def ready(site: Site) -> None:
    """Wait until the command in the container says that it runs."""
    await until((site.folders[-1].work / 'ready').exists)


def alive(pids: list[int]) -> list[int]:
    """Those of some processes that are there, and no zombies."""
    found = []
    for pid in pids:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
        except psutil.NoSuchProcess:
            continue
    return found


def all_below(process: Process) -> list[int]:
    """All that a warden has below it."""
    return below(process.warden, children_of_all())


async def test_what_a_command_prints_and_its_exit_code_come_out(site: Site) -> None:
    end, after = await site.run('sh', '-c', 'echo out; echo err >&2; exit 7')

    assert (end.exit_code, end.cause, after) == (7, 'itself', After(7))
    assert (site.stdout, site.stderr) == ('out\n', 'err\n')


async def test_a_command_has_the_variables_of_the_task_and_of_podman_and_no_others(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('HTTPS_PROXY', 'http://proxy')
    site.containers = Containers(site.rules)
    given = {'A': 'b c', 'EMPTY': '', 'QUOTES': '\'"$HOME" # \\n', 'WORD': 'Füße', 'PATH': '/bin'}

    await site.run('env', environment=given)

    found = dict(line.split('=', 1) for line in site.stdout.splitlines())
    folder = site.folders[-1]
    assert {name: found.pop(name) for name in given} == given
    assert (found.pop('HOME'), found.pop('TMPDIR')) == (str(folder.work), str(folder.tmp))
    assert set(found) == {'container', 'HOSTNAME', 'TERM'}


async def test_a_variable_stands_on_no_command_line_and_in_no_file_afterwards(site: Site) -> None:
    box = await site.box('sh', '-c', f'touch ready; {LOOPS}', environment={'KEY': 'very secret'})
    process = await site.start(box)
    await ready(site)

    lines = [' '.join(psutil.Process(pid).cmdline()) for pid in all_below(process)]
    file = site.folders[-1].path / 'environment'
    mode = file.stat().st_mode & 0o777
    end = await process.end(0)
    process.close()
    await box.finish(end.exit_code)

    assert lines
    assert not [line for line in lines if 'secret' in line]
    assert mode == 0o600
    assert not file.exists()


@pytest.mark.parametrize('value', ['two\nlines', 'a\rb', 'x' * 70_000])
async def test_a_variable_that_podman_cannot_pass_on_is_refused(site: Site, value: str) -> None:
    with pytest.raises(WrongConfig, match='env KEY is too long or has line breaks'):
        await site.box('true', environment={'KEY': value})


async def test_files_go_in_and_come_out_and_can_be_removed(site: Site) -> None:
    box = await site.box('sh', '-c', 'pwd; cat given; echo made > made; mkdir -p a/b; touch a/b/c; chmod 0 a; '
                         'touch "$TMPDIR/t"; touch /etc-of-the-image')  # fmt: skip
    folder = site.folders[-1]
    (folder.work / 'given').write_text('given\n')
    process = await site.start(box)
    await process.exited.wait()
    end = await process.end(0)
    process.close()
    await box.finish(end.exit_code)

    assert site.stdout == f'{folder.work}\ngiven\n'
    assert (folder.work / 'made').read_text() == 'made\n'
    assert (folder.tmp / 't').exists()
    assert 'Read-only file system' in site.stderr
    folder.remove()
    assert not folder.path.exists()


async def test_a_command_sees_no_files_of_the_machine_but_its_own(site: Site) -> None:
    await site.run('sh', '-c', 'ls /; ls ..')

    *of_the_image, programs, spool, tmp, work = site.stdout.split()
    assert (programs, spool, tmp, work) == ('bin', 'spool', 'tmp', 'work')
    assert set(of_the_image) <= {'bin', 'dev', 'etc', 'proc', 'run', 'sys', 'tmp', 'var'}


@pytest.mark.parametrize(
    ('argv', 'box_image', 'code', 'started'),
    [
        (('no-such-command',), 'box', 1, False),
        (('/bin',), 'box', 1, False),
        (('true',), 'no-such-image', 125, False),
        (('sh', '-c', 'exit 1'), 'box', 1, True),
        (('sh', '-c', 'exit 125'), 'box', 125, True),
        (('sh', '-c', 'exit 127'), 'box', 127, True),
    ],
)
async def test_failures_of_podman_are_told_from_those_of_the_command(
    site: Site, argv: tuple[str, ...], box_image: str, code: int, started: bool
) -> None:
    end, after = await site.run(*argv, image=box_image)

    assert (end.exit_code, after.started) == (code, started)
    assert bool(site.stderr) == (not started)


async def test_term_reaches_the_command_whose_exit_code_counts(site: Site) -> None:
    box = await site.box('sh', '-c', POLITE)
    process = await site.start(box)
    await ready(site)

    end = await process.end(10)
    process.close()
    after = await box.finish(end.exit_code)

    assert (after.exit_code, end.cause) == (9, 'order')
    assert site.stdout.startswith('term\n')


async def test_term_ends_a_command_that_knows_nothing_of_it(site: Site) -> None:
    box = await site.box('sh', '-c', 'touch ready; exec sleep 60')
    process = await site.start(box)
    await ready(site)

    began = time.monotonic()
    end = await process.end(10)
    process.close()
    after = await box.finish(end.exit_code)

    assert (after.exit_code, end.cause) == (143, 'order')
    assert time.monotonic() - began < 5


async def test_a_command_that_will_not_end_is_killed_after_the_grace(site: Site) -> None:
    box = await site.box('sh', '-c', f'(setsid sh -c \'trap "" TERM; {LOOPS}\' &); {STUBBORN}')
    process = await site.start(box)
    await ready(site)
    # Podman, conmon, the init, and two shells that each wait for a sleep.
    await until(lambda: len(all_below(process)) == 7)
    pids = all_below(process)

    end = await process.end(0.5)
    process.close()

    assert (end.exit_code, end.cause) == (137, 'order')
    await until(lambda: not alive(pids))
    await box.finish(end.exit_code)


async def test_nothing_outlives_the_lease(site: Site) -> None:
    box = await site.box('sh', '-c', STUBBORN)
    process = await site.start(box)
    await ready(site)
    pids = all_below(process)

    process.work_until(0)
    await process.exited.wait()
    end = await process.end(0)
    process.close()

    assert end.cause == 'lease'
    await until(lambda: not alive(pids))
    await box.finish(end.exit_code)


async def test_a_container_whose_warden_was_killed_is_ended_by_the_pilot(site: Site) -> None:
    box = await site.box('sh', '-c', STUBBORN)
    process = await site.start(box)
    await ready(site)
    pids = all_below(process)

    psutil.Process(process.warden).kill()
    await process.exited.wait()
    end = await process.end(0)
    process.close()
    await box.finish(end.exit_code)

    await until(lambda: not alive(pids))


PILOT = """
import asyncio, json, sys
from pathlib import Path
from tests.pilot.containers.conftest import Site
from iceprod_tasks.pilot.containers import ContainerRules
from tests.pilot.containers.test_podman import STUBBORN, all_below, ready, until

async def main():
    rules = ContainerRules(**json.loads(sys.argv[1]))
    site = Site(rules, Path(sys.argv[2]))
    process = await site.start(await site.box('sh', '-c', STUBBORN))
    await ready(site)
    await until(lambda: len(all_below(process)) == 5)
    print(json.dumps(all_below(process)), flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_a_killed_pilot_leaves_no_process_and_the_next_one_removes_its_container(
    site: Site, tmp_path: Path
) -> None:
    given = {'runtime': site.rules.runtime, 'options': site.rules.options, 'run_options': site.rules.run_options}
    (place := tmp_path / 'killed').mkdir()
    pilot = await asyncio.create_subprocess_exec(
        sys.executable, '-c', PILOT, json.dumps(given), place, stdout=PIPE, cwd=Path(__file__).parents[3]
    )
    assert pilot.stdout is not None
    pids = json.loads(await pilot.stdout.readline())
    assert alive(pids) == pids

    await site.containers.clear()
    spared = site.listed()
    pilot.kill()
    await pilot.communicate()
    await until(lambda: not alive(pids))
    left = site.listed()
    await site.containers.clear()

    assert len(spared) == 1
    assert left == spared
    assert site.listed() == []
    remove_tree(place)


async def test_the_memory_of_a_container_is_measured(site: Site) -> None:
    box = await site.box('sh', '-c', 'touch ready; dd if=/dev/zero of=/dev/null bs=200M; :')
    process = await site.start(box)
    await ready(site)
    meter = Meter(process.warden, int, ProcessTable())

    async def sampled() -> None:
        while meter.memory_gb < 0.2:
            meter.sample()
            await asyncio.sleep(0.05)

    await asyncio.wait_for(sampled(), 20)
    end = await process.end(0)
    process.close()
    await box.finish(end.exit_code)

    assert 0.2 < meter.memory_gb < 0.4


async def test_a_container_gets_no_more_memory_than_its_limit_and_a_little(site: Site) -> None:
    limits = Limits(memory_gb=0.1, disk_gb=1, cpu=2)

    small, _ = await site.run('dd', 'if=/dev/zero', 'of=/dev/null', 'bs=50M', 'count=1', limits=limits)
    large, _ = await site.run('dd', 'if=/dev/zero', 'of=/dev/null', 'bs=300M', 'count=1', limits=limits)

    assert (small.exit_code, large.exit_code) == (0, 137)
    # Nothing, where conmon has taken in the command and not its warden.
    assert large.peak_bytes < 115e6


def test_a_process_knows_itself_alive_and_its_label_says_when_it_is_not() -> None:
    host, boot, namespace, pid, start = own_label().split('/')

    assert pid == str(os.getpid())
    assert not is_dead(own_label())
    assert is_dead(f'{host}/{boot}/{namespace}/{pid}/{int(start) - 1}')
    assert is_dead(f'{host}/another-boot/{namespace}/{pid}/{start}')


@pytest.mark.parametrize('label', ['', 'x', '{0}', '{0}/{1}', 'elsewhere/{1}/{2}/{3}/0', '{0}/{1}/7/{3}/0'])
def test_what_nobody_can_tell_here_is_not_taken_for_dead(label: str) -> None:
    assert not is_dead(label.format(*own_label().split('/')))
