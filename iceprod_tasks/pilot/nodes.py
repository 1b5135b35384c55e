"""Tasks on nodes: which nodes a config asks for, whether the site allows them, and the program that goes there."""

import json
import math
import shlex
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from iceprod_tasks import fanout
from iceprod_tasks.pilot import over_nodes
from iceprod_tasks.pilot.command import Command, WrongConfig
from iceprod_tasks.pilot.folder import Folder

OF_THE_BATCH_SYSTEM = ('$SLURM_NODELIST', '$SLURM_JOB_NODELIST')
"""What a config says for the nodes that the batch system has given to the pilot."""

_FANOUT = 32
_CONNECT_SECONDS = 10
_SPEC = 'nodes.json'
_RESULTS = 'node-results.jsonl'
_NODES_A_PART = 1000
_PARTS_A_PORTION = 100
_TEXT_BYTES = 64 * 1024
_TEXTS_BYTES = 4 * 2**20
"""What nodes have printed is kept up to here, all together; of what is too much, the exit codes are."""
_FOR_SSH = ('PATH', 'HOME', 'USER', 'LOGNAME', 'LANG', 'SSH_AUTH_SOCK')


@dataclass(frozen=True, slots=True)
class NodeRules:
    """Where a site lets tasks go.

    Args:
        allowed: names of nodes; the others are refused.
        of_the_batch_system: the nodes that the batch system has given to the pilot, as a set.
        ssh_options: further options of ssh.
        ssh_environment: what ssh finds in its environment.
    """

    allowed: Collection[str] = ()
    of_the_batch_system: str = ''
    ssh_options: str = ''
    ssh_environment: Mapping[str, str] | None = None


def node_rules(environment: Mapping[str, str], allowed: Sequence[str] = (), ssh_options: str = '') -> NodeRules:
    """The rules of a site.

    Args:
        environment: the pilot's own.
        allowed: sets of nodes that tasks may go to, beside those of the batch system.
        ssh_options: further options of ssh.

    Raises:
        InvalidNodes: one of the sets is none.
    """
    given = environment.get('SLURM_JOB_NODELIST') or environment.get('SLURM_NODELIST') or ''
    names = frozenset(name for each in (given, *allowed) if each for name in fanout.checked(each))
    for_ssh = {name: environment[name] for name in _FOR_SSH if name in environment}
    return NodeRules(names, given, ssh_options, for_ssh)


@dataclass(frozen=True, slots=True)
class OnNodes:
    """Where a task runs, and how.

    Args:
        nodes: their names.
        fanout: so many at once.
        timeout_seconds: for each node, from its own start; None is no limit.
        connect_timeout_seconds: for ssh.
    """

    nodes: tuple[str, ...]
    fanout: int
    timeout_seconds: float | None
    connect_timeout_seconds: int


def on_nodes(given: object, rules: NodeRules) -> OnNodes | None:
    """Read `nodes` of a task's config; None where there is none.

    Args:
        given: a set, or an object with `set`, `fanout`, `timeout` and `connect_timeout`.
        rules: of the site.

    Raises:
        WrongConfig: it is no set of nodes, or one of them is not allowed here.
    """
    if given is None:
        return None
    wanted = given if isinstance(given, dict) else {'set': given}
    text = wanted.get('set')
    if not isinstance(text, str):
        raise WrongConfig('nodes is no set of nodes')
    if text in OF_THE_BATCH_SYSTEM:
        text = rules.of_the_batch_system
        if not text:
            raise WrongConfig('nodes: no batch system has given nodes to this pilot')
    try:
        names = fanout.checked(text)
    except fanout.InvalidNodes as error:
        raise WrongConfig(f'nodes: {error}') from error
    if strange := [name for name in names if name not in rules.allowed]:
        raise WrongConfig(f'nodes: this pilot may not go to {fanout.fold(strange[:1000])}')
    return OnNodes(
        tuple(names),
        max(1, int(_number(wanted, 'fanout') or _FANOUT)),
        _number(wanted, 'timeout'),
        math.ceil(_number(wanted, 'connect_timeout') or _CONNECT_SECONDS),
    )


def sent_out(command: Command, on: OnNodes, rules: NodeRules, folder: Folder) -> Command:
    """The command that runs a command on nodes.

    Args:
        command: what is to run on each of them.
        on: where.
        rules: of the site.
        folder: of the attempt.
    """
    line = command.argv[2] if command.argv[:2] == ('/bin/sh', '-c') else shlex.join(command.argv)
    spec = folder.path / _SPEC
    spec.touch(mode=0o600)
    spec.write_text(
        json.dumps({
            'command': script(line, command.environment, folder.work),
            'nodes': on.nodes,
            'fanout': on.fanout,
            'timeout_seconds': on.timeout_seconds,
            'connect_timeout_seconds': on.connect_timeout_seconds,
            'ssh_options': rules.ssh_options,
            'results': str(folder.path / _RESULTS),
            'spool': str(folder.spool),
            'text_bytes': _TEXT_BYTES,
        })
    )  # fmt: skip
    argv = (sys.executable, '-I', over_nodes.__file__, str(spec))
    return replace(command, argv=argv, environment=dict(rules.ssh_environment or {}))


def script(line: str, environment: Mapping[str, str], work: Path) -> str:
    """What runs on a node: a line for a shell, in the task's folder where the node has it, with its environment.

    The login shell there may be any, so that it gets one word that means the same to all.
    """
    exports = ''.join(
        f'export {name}={shlex.quote(value)}\n' for name, value in environment.items() if name not in ('PATH', 'HOME')
    )
    place = shlex.quote(str(work))
    text = f'{exports}[ ! -d {place} ] || cd {place}\n{line}\n'
    return f'exec /bin/sh -c {shlex.quote(text)}'


def results_of(folder: Folder) -> Iterator[list[dict[str, Any]]]:
    """What came of it on the nodes, in portions as the service takes them; nothing where no node was reached."""
    try:
        lines = (folder.path / _RESULTS).read_text(errors='replace').splitlines()
    except OSError:
        return
    portion: list[dict[str, Any]] = []
    left, size = _TEXTS_BYTES, 0
    for number, line in enumerate(lines):
        group = json.loads(line)
        names = group.pop('nodes')
        left -= len(group['stdout']) + len(group['stderr'])
        if left < 0:
            group |= {'stdout': '', 'stderr': ''}
        for part, start in enumerate(range(0, len(names), _NODES_A_PART)):
            about = group if part == 0 else {}
            portion.append({'group': number, 'part': part, 'nodes': names[start : start + _NODES_A_PART], **about})
            size += sum(map(len, portion[-1]['nodes'])) + len(about.get('stdout', '')) + len(about.get('stderr', ''))
            if len(portion) >= _PARTS_A_PORTION or size > 2**18:
                yield portion
                portion, size = [], 0
    if portion:
        yield portion


def _number(given: Mapping[str, Any], name: str) -> float | None:
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise WrongConfig(f'nodes.{name} is no positive number')
    return float(value)
