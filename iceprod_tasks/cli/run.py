"""`iceprod-tasks run`: run a command on nodes, and gather what they say."""

import asyncio
import errno
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click
import orjson

from iceprod_tasks.cli.endings import FAILED, plainly
from iceprod_tasks.cli.options import json_option

if TYPE_CHECKING:
    from iceprod_tasks.fanout import Outcome, Outcomes

TIMED_OUT = 124
"""What counts as the code of a node whose time was over, as `timeout` has it."""

_POSITIVE = click.FloatRange(min=0, min_open=True)


@click.command()
@click.option('-w', '--nodes', required=True, metavar='NODESET', help='Where, for example `n[1-20]!n7`.')
@click.option('-x', '--exclude', metavar='NODESET', default='', help='But not there.')
@click.option('-f', '--fanout', type=click.IntRange(min=1), default=32, show_default=True, help='Nodes at once.')
@click.option('-t', '--timeout', type=_POSITIVE, metavar='S', help='Seconds for each node, from its own start.')
@click.option('--connect-timeout', type=click.IntRange(min=1), default=10, show_default=True, help='Seconds for ssh.')
@click.option('-l', '--user', metavar='NAME', help='The name on the nodes.')
@click.option('-o', '--ssh-options', metavar='TEXT', default='', help='Further options of ssh and scp.')
@click.option('--copy', is_flag=True, help='Copy: COMMAND is a file or folder here, and its place there.')
@click.option('--local', is_flag=True, help='Run it on this machine, once for each node; `%h` is its name.')
@click.option('--lines', is_flag=True, help='Print each line as it comes, with its node.')
@click.option('--no-guard', is_flag=True, help='Send the command bare; it may outlive its timeout there.')
@json_option
@click.argument('command', nargs=-1, required=True)
@click.pass_context
def run(context: click.Context, /, command: tuple[str, ...], **given: Any) -> None:
    """Run a command on nodes by ssh, many at once.

    Equal outputs are printed once, under the set of their nodes. The exit code is the largest of all nodes; 124 if time
    was over.

    \b
    Examples:
      iceprod-tasks run -w 'n[1-20]' -t 30 -- uptime
      iceprod-tasks run -w 'n[1-20]' --copy -- site.conf /etc/site.conf
    """
    if given['copy'] and (len(command) != 2 or given['local'] or given['lines']):
        raise click.UsageError('--copy takes a SOURCE and a DEST, and neither --local nor --lines')
    with plainly():
        try:
            outcomes = asyncio.run(_outcomes(command, **given))
        except _NobodyReads:
            raise BrokenPipeError(errno.EPIPE, 'nobody reads') from None  # which Click ends quietly
    if given['as_json']:
        click.echo(orjson.dumps({node: _document(each) for node, each in outcomes.by_node.items()}))
    elif not given['lines']:
        _gathered(outcomes)
    _complain(outcomes)
    context.exit(_exit_code(outcomes))


async def _outcomes(command: tuple[str, ...], **given: Any) -> 'Outcomes':
    # What only this command needs is not loaded for the others.
    from iceprod_tasks import fanout

    excluded = set(fanout.expand(given['exclude']))
    nodes = fanout.checked([node for node in fanout.checked(given['nodes']) if node not in excluded])
    limits = fanout.Limits(fanout=given['fanout'], timeout_seconds=given['timeout'])
    ssh = fanout.Ssh(
        options=given['ssh_options'], user=given['user'], connect_timeout_seconds=given['connect_timeout'],
        guarded=not given['no_guard'],
    )  # fmt: skip
    if given['copy']:
        source, dest = command
        return await fanout.copy(source, dest, nodes, ssh=ssh, limits=limits)
    return await fanout.run(
        ' '.join(command),
        nodes,
        ssh=None if given['local'] else ssh,
        limits=limits,
        on_line=_print_line if given['lines'] else None,
    )


class _NobodyReads(BaseException):
    """Ends all commands at once, as an `Exception` of a listener would not."""


def _print_line(node: str, _: str, line: str) -> None:
    try:
        click.echo(f'{node}: {line}')
    except BrokenPipeError as error:  # `| head` has seen enough
        raise _NobodyReads from error


def _gathered(outcomes: 'Outcomes') -> None:
    from iceprod_tasks.fanout import fold

    for output, nodes in outcomes.by_output():
        title = f'{fold(nodes)} ({len(nodes)})' if len(nodes) > 1 else nodes[0]
        line = '-' * 15
        click.echo(f'{line}\n{title}\n{line}\n{output.text}')


def _complain(outcomes: 'Outcomes') -> None:
    from iceprod_tasks.fanout import fold

    for code, nodes in sorted(outcomes.by_code().items()):
        if code:
            click.echo(f'iceprod-tasks: {fold(nodes)}: exit code {code}', err=True)
    if outcomes.timed_out:
        click.echo(f'iceprod-tasks: {fold(outcomes.timed_out)}: time is over', err=True)


def _document(outcome: 'Outcome') -> Mapping[str, Any]:
    return {
        'code': outcome.code, 'timed_out': outcome.timed_out, 'error': outcome.error, 'output': outcome.stdout.text,
        'truncated': outcome.stdout.truncated,
    }  # fmt: skip


def _exit_code(outcomes: 'Outcomes') -> int:
    codes = [each.code for each in outcomes.by_node.values() if each.code is not None]
    others = [TIMED_OUT if each.timed_out else FAILED for each in outcomes.by_node.values() if each.code is None]
    return max(codes + others)
