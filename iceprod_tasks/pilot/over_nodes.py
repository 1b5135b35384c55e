"""Runs the command of a task on its nodes: a program of its own, `python -I over_nodes.py SPEC`, under a warden.

So the pilot ends it like any other command, and with it the clients of ssh; what runs on the nodes ends when its client
is gone. Lines are printed as they come, with their node. At the end, and when it is told to end, it writes a line of
JSON for each group of nodes with equal results.
"""

import asyncio
import contextlib
import json
import signal
import sys
from pathlib import Path
from typing import Any

from iceprod_tasks import fanout
from iceprod_tasks.fanout.running import Outcome, Outcomes

TIMED_OUT = 124
"""The exit code where time was over on a node, as `timeout` has it."""
FAILED = 1
TELL_SECONDS = 0.5


async def over_nodes(spec: dict[str, Any]) -> Outcomes:
    """Run a command on nodes.

    Args:
        spec: command, nodes, fanout, timeout_seconds, connect_timeout_seconds, ssh_options, text_bytes and spool.
    """
    outcomes = Outcomes()
    telling = asyncio.ensure_future(_tell(outcomes, len(spec['nodes']), Path(spec['spool'])))
    limits = fanout.Limits(
        fanout=spec['fanout'], timeout_seconds=spec['timeout_seconds'], output_bytes=spec['text_bytes']
    )
    ssh = fanout.Ssh(options=spec['ssh_options'], connect_timeout_seconds=spec['connect_timeout_seconds'])
    running = asyncio.ensure_future(
        fanout.run(
            spec['command'], spec['nodes'], ssh=ssh, limits=limits, stderr=True, on_line=_print, outcomes=outcomes
        )
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await running
    telling.cancel()
    _leave(outcomes, len(spec['nodes']), Path(spec['spool']))
    return outcomes


def groups(outcomes: Outcomes, text_bytes: int) -> list[dict[str, Any]]:
    """The nodes with equal results together, in the order in which they ended.

    Args:
        outcomes: how it went.
        text_bytes: so much of each stream is kept, its beginning.
    """
    found: dict[Any, dict[str, Any]] = {}
    for each in outcomes.by_node.values():
        stderr = each.stderr
        digests = each.stdout.digest, stderr and stderr.digest
        key = (each.code, each.timed_out, each.error, *digests)
        if key not in found:
            found[key] = {'nodes': [], **_told(each, text_bytes)}
        found[key]['nodes'].append(each.node)
    return list(found.values())


def exit_code(outcomes: Outcomes, nodes: int) -> int:
    """The largest exit code; where a node has none, because its time was over or it was not reached, at least one."""
    codes = [each.code for each in outcomes.by_node.values() if each.code is not None]
    codes += [TIMED_OUT] * bool(outcomes.timed_out)
    return max([*codes, FAILED] if _ended(outcomes) < nodes else codes)


def _ended(outcomes: Outcomes) -> int:
    """On how many nodes it has ended, but for those that it was ended on from here."""
    return sum(each.code is not None or each.timed_out for each in outcomes.by_node.values())


async def _tell(outcomes: Outcomes, nodes: int, spool: Path) -> None:
    """Tell the pilot how many nodes have ended, until cancelled."""
    told = -1
    while True:
        if len(outcomes.by_node) != told:
            told = len(outcomes.by_node)
            _leave(outcomes, nodes, spool)
        await asyncio.sleep(TELL_SECONDS)


def _leave(outcomes: Outcomes, nodes: int, spool: Path) -> None:
    """Leave the steps of the task in the spool, as its own programs do."""
    with contextlib.suppress(OSError):  # of no more use than the results, which want the disk as well
        (spool / '.nodes').write_text(f'completed={_ended(outcomes)}\0total={nodes}\0')
        (spool / '.nodes').replace(spool / 'nodes')


def _told(outcome: Outcome, text_bytes: int) -> dict[str, Any]:
    stdout, stderr = outcome.stdout, outcome.stderr
    return {
        'exit_code': outcome.code,
        'timed_out': outcome.timed_out,
        'why': outcome.error or ('time is over' if outcome.timed_out else ''),
        'stdout': _text(stdout.kept, text_bytes),
        'stderr': '' if stderr is None else _text(stderr.kept, text_bytes),
        'stdout_bytes': stdout.size,
        'stderr_bytes': 0 if stderr is None else stderr.size,
    }


def _text(data: bytes, size: int) -> str:
    """Some bytes as text, of at most so many bytes in UTF-8; NUL is no text to the service."""
    text = data.decode(errors='replace').replace('\0', '\ufffd')
    return text.encode()[:size].decode(errors='ignore')


def _print(node: str, stream: str, line: str) -> None:
    file = sys.stdout if stream == 'stdout' else sys.stderr
    print(f'{node}: {line}', file=file, flush=True)


def main() -> int:
    """Do what the specification says; the exit code."""
    spec = json.loads(Path(sys.argv[1]).read_text())
    outcomes = asyncio.run(over_nodes(spec))
    lines = [json.dumps(group) + '\n' for group in groups(outcomes, spec['text_bytes'])]
    Path(spec['results']).write_text(''.join(lines))
    return exit_code(outcomes, len(spec['nodes']))


if __name__ == '__main__':
    sys.exit(main())
