"""`iceprod-tasks tasks`: look at the tasks of a dataset, and act on them."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import click

from iceprod_tasks.cli.acting import MEANINGS, Deed, action_options, carry_out, verb_of
from iceprod_tasks.cli.confirming import Consent
from iceprod_tasks.cli.endings import plainly
from iceprod_tasks.cli.finding import find
from iceprod_tasks.cli.options import InOrder, json_option, service, service_options
from iceprod_tasks.cli.picking import Choice, in_portions
from iceprod_tasks.cli.tables import Lines, facts, indented, words
from iceprod_tasks.client import ActionDone, ActionName, AsyncClient, Message, TaskDocument, TaskHistory
from iceprod_tasks.domain.messages import MESSAGE_TYPES
from iceprod_tasks.domain.statuses import STATUSES

_COLUMNS = ('task_id', 'job_index', 'name', 'status', 'failures', 'exit_code', 'site')
_KEYS = ('task_id', 'job_index', 'name', 'status', 'failures', 'outcome', 'site')
_CHANGE = ('when', 'transition', 'from', 'to', 'why', 'who', 'epoch')
_PHASE = ('when', 'phase', 'epoch')
_PAGE = 1000
_A_STATUS = click.Choice(STATUSES)


@click.group(cls=InOrder)
def tasks() -> None:
    """List and show tasks, and act on many at once.

    \b
    Example:  iceprod-tasks tasks rerun DATASET --exit-code 137
    """


@tasks.command('list')
@click.argument('dataset_id', metavar='D')
@service_options
@click.option('--status', type=_A_STATUS, multiple=True, help='In this status; repeatable.')
@click.option('--name', default='', help='With this name.')
@click.option('--job', 'job_id', default='', metavar='J', help='Of this job.')
@click.option('--limit', type=click.IntRange(1), help='Not more than so many.')
@click.option('--keys', default='', metavar='KEY,...', help='Only these fields.')
@click.option('--jsonl', is_flag=True, help='Print a line of JSON for each task.')
@json_option
def list_(server: str, token: str, as_json: bool, jsonl: bool, keys: str, **given: Any) -> None:
    """List tasks of dataset D, all unless you choose.

    \b
    Example:  iceprod-tasks tasks list DATASET --status failed --keys site,outcome
    """
    fields = tuple(dict.fromkeys(('task_id', *(key for key in keys.split(',') if key)))) if keys else ()
    as_table = not (as_json or jsonl)
    with plainly():
        found = _listed(service(server, token), keys=fields or (_KEYS if as_table else ()), **given)
        if as_table:
            asyncio.run(_table(found, fields or _COLUMNS))
        else:
            asyncio.run(_lines(found) if jsonl else _document(found))


async def _listed(client: AsyncClient, limit: int | None, **chosen: Any) -> AsyncIterator[TaskDocument]:
    count = 0
    async with client:
        async for task in client.each_task(**chosen, page_size=min(_PAGE, limit or _PAGE)):
            yield task
            count += 1
            if count == limit:
                return


async def _lines(found: AsyncIterator[TaskDocument]) -> None:
    async for task in found:
        click.echo(json.dumps(task))


async def _document(found: AsyncIterator[TaskDocument]) -> None:
    separator = ''
    click.echo('{"tasks": [', nl=False)
    async for task in found:
        click.echo(separator + json.dumps(task), nl=False)
        separator = ',\n'
    click.echo(']}')


def _cell(task: TaskDocument, column: str) -> Any:
    if column == 'exit_code':
        return (task.get('outcome') or {}).get('exit_code')
    return task.get(column)


async def _table(found: AsyncIterator[TaskDocument], columns: Sequence[str]) -> None:
    lines = Lines(columns)
    rows: list[list[Any]] = []
    async for task in found:
        rows.append([_cell(task, column) for column in columns])
        if len(rows) == _PAGE:
            lines.print(rows)
            rows.clear()
    lines.print(rows)


@tasks.command()
@click.argument('task_id', metavar='T')
@service_options
@click.option('--dataset', 'dataset_id', default='', metavar='D', help='Of this dataset, where you know it.')
@json_option
def show(task_id: str, server: str, token: str, dataset_id: str, as_json: bool) -> None:
    """Show all that is known of task T.

    \b
    Example:  iceprod-tasks tasks show TASK
    """
    with plainly():
        task = asyncio.run(_task(service(server, token), dataset_id, task_id))
        click.echo(json.dumps(task)) if as_json else facts(task)


async def _task(client: AsyncClient, dataset_id: str, task_id: str) -> TaskDocument:
    async with client:
        return await find(
            client, dataset_id, lambda: client.task(task_id), lambda each: client.dataset_task(each, task_id)
        )


@tasks.command()
@click.argument('task_id', metavar='T')
@service_options
@click.option('--type', 'mtypes', type=click.Choice(MESSAGE_TYPES), multiple=True, help='Of this type; repeatable.')
@click.option('--after', default='', metavar='TIME', help='Later than this, the time of one that you have seen.')
@json_option
def messages(task_id: str, server: str, token: str, as_json: bool, **chosen: Any) -> None:
    """Show what was said of task T: by itself, by its pilots, and by the service.

    Oldest first. Of a report: how it ended and why, the exit code, and the ends of the output.

    \b
    Example:  iceprod-tasks tasks messages TASK --type error
    """
    with plainly():
        found = asyncio.run(_messages(service(server, token), task_id, **chosen))
        if as_json:
            click.echo(json.dumps({'messages': found}))
        for message in () if as_json else found:
            _tell(message)


async def _messages(client: AsyncClient, task_id: str, *, after: str, mtypes: Sequence[str]) -> list[Message]:
    async with client:
        return await client.messages(task_id, after=after, mtypes=mtypes)


def _tell(message: Message) -> None:
    """A line of what was said, then what belongs to it."""
    if 'action' in message:
        _tell_report(message)
        return
    text = message.get('text') or message.get('result') or ''
    click.echo(f'{message["when"]} {message["mtype"]}: {words(text)}')
    if message.get('stacktrace'):
        click.echo(indented(message['stacktrace']))


def _tell_report(message: Message) -> None:
    """A line of what was reported, then what was printed."""
    said = [message['when'], message['action']]
    if message.get('site'):
        said.append(f'at {words(message["site"])}')
    if message.get('exit_code') is not None:
        said.append(f'with exit code {message["exit_code"]}')
    if message.get('reason'):
        said.append(f'because of: {words(message["reason"])}')
    click.echo(' '.join(said))
    for name, text in (('stdout', message.get('stdout')), ('stderr', message.get('stderr'))):
        if text:
            click.echo(f'  {name}:\n{indented(text)}')


@tasks.command()
@click.argument('task_id', metavar='T')
@service_options
@json_option
def history(task_id: str, server: str, token: str, as_json: bool) -> None:
    """Show how task T came to be where it is.

    Oldest first: its creation and the newest 50 changes of its status, by whom and why; then what pilots did with it.

    \b
    Example:  iceprod-tasks tasks history TASK
    """
    with plainly():
        told = asyncio.run(_history(service(server, token), task_id))
        click.echo(json.dumps(told)) if as_json else _recount(told)


async def _history(client: AsyncClient, task_id: str) -> TaskHistory:
    async with client:
        return await client.history(task_id)


def _recount(told: TaskHistory) -> None:
    """The changes as a table, and what they have come to in a line."""
    first, *others = [[change.get(column) for column in _CHANGE] for change in told['history']]
    gap = [['...', *[None] * (len(_CHANGE) - 1)]] if told['truncated'] else []
    Lines(_CHANGE).print([first, *gap, *others])
    if told['phases']:
        click.echo()
        Lines(_PHASE).print([[phase.get(column) for column in _PHASE] for phase in told['phases']])
    counted = f'failures: {told["failures"]}, evictions: {told["evictions"]}, epoch: {told["epoch"]}'
    click.echo(f'\n{told["status"]}; {counted}')


def _action(action: ActionName) -> click.Command:
    @click.argument('dataset_id', metavar='D')
    @click.argument('tasks', metavar='[T]...', nargs=-1)
    @click.option('--job', 'jobs', metavar='J', multiple=True, help='Of this job; repeatable.')
    @click.option('--name', 'names', multiple=True, help='With this name; repeatable.')
    @click.option('--status', 'statuses', type=_A_STATUS, multiple=True, help='In this status; repeatable.')
    @click.option('--exit-code', 'exit_codes', type=int, multiple=True, help='Whose last try ended so; repeatable.')
    @click.option('--site', 'sites', multiple=True, help='That ran there last; repeatable.')
    @action_options
    def act(server: str, token: str, dataset_id: str, reason: str, consent: Consent, **given: Any) -> None:
        choice = Choice(**given)
        with plainly():
            deed = Deed(action, dataset_id, reason)
            raise SystemExit(asyncio.run(_act(service(server, token), deed, choice, consent)))

    verb = verb_of(action)
    which = 'All of dataset D; or those named, with `-` the ids on stdin; or those that all options given fit.'
    example = f'iceprod-tasks tasks {verb} DATASET --name generate --dry-run'
    act.__doc__ = f'{MEANINGS[action].format("tasks")}\n\n{which}\n\n\b\nExample:  {example}'
    return click.command(verb)(act)


async def _act(client: AsyncClient, deed: Deed, choice: Choice, consent: Consent) -> int:
    async def some(ids: Sequence[str] | None, *, dry_run: bool) -> ActionDone:
        asked = choice.asked(ids)
        return await client.act_on_tasks(deed.dataset_id, deed.action, **asked, dry_run=dry_run, reason=deed.reason)

    async with client:
        ids = await choice.ids(client, deed.dataset_id)
        if ids == []:
            click.echo('there are no such tasks', err=True)
            return 0

        async def send(*, dry_run: bool) -> ActionDone:
            if ids is None:
                return await some(None, dry_run=dry_run)
            return await in_portions(ids, lambda portion: some(portion, dry_run=dry_run))

        return await carry_out(client, deed, send, consent, named=len(ids or ()) if choice.tasks else 0)


for _name in MEANINGS:
    tasks.add_command(_action(_name))
