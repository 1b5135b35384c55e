"""`iceprod-tasks output`: what the command of a task prints, and how it ended on nodes."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Literal

import click

from iceprod_tasks.cli.endings import plainly
from iceprod_tasks.cli.options import json_option, service, service_options
from iceprod_tasks.client import AsyncClient, NodeGroup, NodeResults, OutputPiece

_LINE = '-' * 15


@click.command()
@click.argument('task_id', metavar='T')
@service_options
@click.option('--stderr', 'stream', flag_value='stderr', help='What it prints on standard error.')
@click.option('--stdout', 'stream', flag_value='stdout', default='stdout', help='What it prints on standard output.')
@click.option('-f', '--follow', is_flag=True, help='Go on until the attempt is over.')
@click.option('--tail', type=click.IntRange(min=1), metavar='BYTES', help='Only the last so many bytes.')
@click.option('--attempt', 'epoch', type=click.IntRange(min=1), metavar='N', help='Of this attempt, while it is kept.')
@click.option('--nodes', is_flag=True, help='How it ended on its nodes, those with equal results together.')
@click.option('--raw', is_flag=True, help='With --nodes: line by line, each with its node.')
@json_option
def output(
    server: str,
    token: str,
    task_id: str,
    stream: Literal['stdout', 'stderr'],
    follow: bool,
    tail: int | None,
    epoch: int | None,
    nodes: bool,
    raw: bool,
    as_json: bool,
) -> None:
    """Print what the command of task T prints, while it runs and after.

    The service keeps the last MiB of each stream. What is missing is said on stderr.

    \b
    Examples:
      iceprod-tasks output TASK --follow
      iceprod-tasks output TASK --nodes
    """
    if (raw and not nodes) or (as_json and not nodes) or (nodes and follow):
        raise click.UsageError('--raw and --json go with --nodes, and --follow does not')
    with plainly():
        client = service(server, token)
        if nodes:
            results = asyncio.run(_results(client, task_id))
            click.echo(json.dumps(results)) if as_json else _show(results, raw=raw)
        else:
            asyncio.run(_print(client, task_id, stream, -tail if tail else 0, epoch, follow=follow))


async def _print(
    client: AsyncClient,
    task_id: str,
    stream: Literal['stdout', 'stderr'],
    offset: int,
    epoch: int | None,
    *,
    follow: bool,
) -> None:
    async with client:
        if follow:
            pieces = client.follow_output(task_id, stream, offset, epoch=epoch)
        else:
            pieces = _so_far(client, task_id, stream, offset, epoch)
        expected = max(offset, 0)
        async for piece in pieces:
            if offset >= 0 and piece.offset > expected:
                click.echo(f'[{piece.offset - expected} bytes are not kept]', err=True)
            expected, offset = piece.next_offset, max(offset, 0)
            sys.stdout.buffer.write(piece.data)
            sys.stdout.buffer.flush()


async def _so_far(
    client: AsyncClient, task_id: str, stream: Literal['stdout', 'stderr'], offset: int, epoch: int | None
) -> AsyncIterator[OutputPiece]:
    """What has come by now; what comes meanwhile is left out."""
    piece = await client.output(task_id, stream, offset, epoch=epoch)
    size = piece.size
    while piece.data:
        yield piece
        if piece.next_offset >= size:
            return
        piece = await client.output(task_id, stream, piece.next_offset, epoch=piece.epoch)


async def _results(client: AsyncClient, task_id: str) -> NodeResults:
    async with client:
        return await client.node_results(task_id)


def _show(results: NodeResults, *, raw: bool) -> None:
    for group in results['groups']:
        if raw:
            _each_line(group)
        else:
            _gathered(group)


def _each_line(group: NodeGroup) -> None:
    for node in group['nodes']:
        for text, is_error in ((group['stdout'], False), (group['stderr'], True)):
            for line in text.splitlines():
                click.echo(f'{node}: {line}', err=is_error)
        if how := _how(group):
            click.echo(f'{node}: {how}', err=True)


def _gathered(group: NodeGroup) -> None:
    from iceprod_tasks.fanout import fold  # what few need is loaded when it is

    names = group['nodes']
    title = f'{fold(names)} ({len(names)})' if len(names) > 1 else names[0]
    click.echo('\n'.join((_LINE, title, _LINE)))
    for stream, text in (('', group['stdout']), ('stderr:\n', group['stderr'])):
        if text:
            click.echo(stream + text)
    if how := _how(group):
        click.echo(how)


def _how(group: NodeGroup) -> str:
    """How the command ended, where that was not well."""
    if group['why']:
        return f'[{group["why"]}]'
    return f'[exit code {group["exit_code"]}]' if group['exit_code'] else ''
