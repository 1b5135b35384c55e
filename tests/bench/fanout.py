"""How fast commands run on nodes, beside ClusterShell: the same program, with nothing but its imports changed.

Each run is a process of its own. The two take turns, and who begins is drawn anew in each round; a ratio is that of two
figures of one round. CPU is that of the process and all its children.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from tests.bench.figures import Goal, ratios, summary
from tests.bench.goals import occasion, replaced
from tests.fanout.sshd import sshd
from tests.journeys.commands import ROOT

PACKAGES = {'ours': 'iceprod_tasks.fanout', 'ClusterShell': 'ClusterShell'}
BEGIN, END = '<!-- figures of the fan-out -->', '<!-- end of the figures of the fan-out -->'

_PROGRAM = """
import json, os, resource, sys, time
from {package}.Task import task_self
from tests.bench.memory import peak_bytes
task = task_self()
task.set_info('fanout', 32)
task.set_info('ssh_options', sys.argv[1])
def cpu():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
def go():
    began, before = time.monotonic(), cpu()
    {work}
    task.resume()
    return time.monotonic() - began, cpu() - before
{warm}
seconds, used = go()
assert task.max_retcode() == 0, task.max_retcode()
assert len([node for _, nodes in task.iter_retcodes() for node in nodes]) == {number}
print(json.dumps([seconds, used, peak_bytes([os.getpid()]) / 2**20]))
"""


class Workload:
    """What both do.

    Args:
        title: in words.
        work: schedules it.
        number: of nodes that have an outcome.
        warm: whether it is done once before it is measured.
    """

    def __init__(self, title: str, work: str, number: int, *, warm: bool = True) -> None:
        self.title = title
        self._text = {'work': work, 'number': number, 'warm': 'go()' if warm else ''}

    def run(self, who: str, options: str) -> list[float]:
        """Seconds, seconds of the processor, and MB."""
        program = _PROGRAM.format(package=PACKAGES[who], **self._text)
        done = subprocess.run(
            [sys.executable, '-c', program, options], check=True, capture_output=True, text=True, cwd=ROOT
        )
        figures: list[float] = json.loads(done.stdout)
        return figures


_LOCAL = 'task.shell({command!r}, nodes={nodes!r}, remote=False)'
WORKLOADS: Mapping[str, Workload] = {
    'local': Workload('1000 local commands', _LOCAL.format(command='true', nodes='n[1-1000]'), 1000),
    'echo': Workload('1000 that say their names', _LOCAL.format(command='echo %h', nodes='n[1-1000]'), 1000),
    'lines': Workload('a million lines', _LOCAL.format(command='seq 1 1000000', nodes='n1'), 1, warm=False),
    'ssh': Workload('ssh to 100 nodes', "task.shell('true', nodes='n[1-100]')", 100, warm=False),
}

GOALS: Mapping[tuple[str, int], Goal] = {
    ('local', 0): Goal('1000 local commands: seconds of ClusterShell against ours', 2.5),
    ('local', 1): Goal('the same in CPU', 3),
    ('lines', 0): Goal('a million lines from one node: seconds of ClusterShell against ours', 50),
    ('ssh', 0): Goal('ssh to 100 nodes of this machine: seconds of ClusterShell against ours', 1),
}


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog='scripts/bench fanout', description=__doc__)
    parser.add_argument('--rounds', type=int, default=7, help='of each workload; 7')
    parser.add_argument('--only', choices=sorted(WORKLOADS), action='append', help='this workload; repeatable')
    parser.add_argument('--write', type=Path, metavar='PAGE', nargs='?', const=Path('docs/benchmarks.md'),
                        help='put the tables in place of those of a page, docs/benchmarks.md unless named')  # fmt: skip
    arguments = parser.parse_args()
    names = arguments.only or list(WORKLOADS)
    figures: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder, sshd(Path(folder)) as server:
        for number in range(arguments.rounds):
            for name in names:
                for who in random.sample(list(PACKAGES), 2):
                    figures[name, who].append(WORKLOADS[name].run(who, server.options))
                    print(f'round {number + 1}, {name}, {who}: {figures[name, who][-1]}', flush=True)
    lines = told(names, figures, arguments.rounds)
    print('\n'.join(['', *lines]))
    if arguments.write:
        arguments.write.write_text(replaced(arguments.write.read_text(), lines, BEGIN, END))


def told(names: list[str], figures: Mapping[tuple[str, str], list[list[float]]], rounds: int) -> list[str]:
    """The tables.

    Args:
        names: of workloads.
        figures: of each workload and contender, for each round seconds, CPU and MB.
        rounds: how many.
    """
    lines = [occasion(rounds), '', '| workload | who | seconds | CPU seconds | MB |', '| --- | --- | --- | --- | --- |']
    for name in names:
        for who in PACKAGES:
            columns = ' | '.join(summary([row[place] for row in figures[name, who]]) for place in range(3))
            lines.append(f'| {WORKLOADS[name].title} | {who} | {columns} |')
    lines += ['', '| goal | wanted | figure | verdict |', '| --- | --- | --- | --- |']
    for (name, place), goal in GOALS.items():
        if name in names:
            ours, theirs = ([row[place] for row in figures[name, who]] for who in PACKAGES)
            words, verdict = goal.judge(ratios(theirs, ours))
            lines.append(f'| {goal.name} | {goal.bound} | {words} | *{verdict}* |')
    return lines


if __name__ == '__main__':
    main()
