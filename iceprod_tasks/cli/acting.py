"""Actions as commands: ask how much it is, confirm, do it, and tell what became of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import click

from iceprod_tasks.cli.confirming import Consent, asks_first
from iceprod_tasks.cli.endings import PARTIAL
from iceprod_tasks.cli.options import Command, service_options
from iceprod_tasks.cli.tables import brief, words
from iceprod_tasks.client import ActionName, AsyncClient, Done, NotFound

MEANINGS: Mapping[ActionName, str] = {
    'suspend': 'Hold {} back. Work that runs is stopped; nothing goes on until it is resumed.',
    'resume': 'Let suspended {} go on.',
    'reset': 'Try {} again. No failures are counted any more; what is complete stays so.',
    'rerun': 'Run failed {} again. What has not failed stays as it is.',
    'hard_reset': 'Run {} again as if new. That goes for what is complete as well.',
    'cancel': 'Give {} up. Work that runs is stopped.',
}
"""What each action does, to whatever."""

_REASON = click.option('--reason', default='', help="Why, for the tasks' logs.")


def action_options(command: Command) -> Command:
    """The options that all actions have."""
    return service_options(_REASON(asks_first(command)))


def verb_of(action: ActionName) -> str:
    """An action as people type it."""
    return action.replace('_', '-')


class Send(Protocol):
    """Asks the service for an action, and gives its report."""

    async def __call__(self, *, dry_run: bool) -> Any:
        """Ask for it, or only what it would do."""


@dataclass(frozen=True, slots=True)
class Deed:
    """An action that is to be done.

    Args:
        action: what.
        dataset_id: in which dataset.
        reason: why, for the tasks' logs.
    """

    action: ActionName
    dataset_id: str
    reason: str


async def carry_out(client: AsyncClient, deed: Deed, send: Send, consent: Consent, *, named: int = 0) -> int:
    """Do something that the user agrees to, and tell what became of it.

    Args:
        client: the service.
        deed: what to do.
        send: asks for it.
        consent: how the user wants to be asked.
        named: how many tasks or jobs the user has named one by one.

    Returns:
        The exit code: `PARTIAL` when something that the user named is refused.
    """
    report = await send(dry_run=True)
    if not consent.dry_run:
        if _changes(report):
            consent.ask(_question(deed.action, await title(client, deed.dataset_id), report))
            report = await send(dry_run=False)
        else:
            click.echo(f'nothing to {verb_of(deed.action)}', err=True)
    _tell(report, consent, named=bool(named))
    return _exit_code(report, named)


async def title(client: AsyncClient, dataset_id: str) -> str:
    """A dataset as people know it; tasks of old clients may have one without a record."""
    try:
        return titled(await client.dataset(dataset_id))
    except NotFound:
        return f'dataset {dataset_id}'


def titled(dataset: Mapping[str, Any]) -> str:
    """A dataset as people know it."""
    return f'dataset {dataset["dataset_id"]} "{brief(dataset["description"])}"'


def counted(number: int, thing: str) -> str:
    """A number of things."""
    return f'{number} {thing}' if number == 1 else f'{number} {thing}s'


def _parts(report: Any) -> dict[str, Done]:
    """What became of jobs and of tasks, as far as the action is about them."""
    if 'dataset' in report:
        return {'job': report['jobs'], 'task': report['tasks']}
    return {'job': report, 'task': report['tasks']} if 'tasks' in report else {'task': report}


def _changes(report: Any) -> bool:
    itself = 'dataset' in report and report['dataset']['result'] == 'changed'
    return itself or any(done['changed'] for done in _parts(report).values())


def _question(action: ActionName, dataset: str, report: Any) -> str:
    parts = _parts(report)
    numbers = [counted(done['changed'], thing) for thing, done in parts.items()]
    what = ' and '.join(numbers)
    what = f'{dataset} with {what}' if 'dataset' in report else f'{what} of {dataset}'
    tasks = parts['task']
    aside = [f'{tasks[verdict]} {verdict}' for verdict in ('refused', 'unchanged') if tasks[verdict]]
    return f'{verb_of(action)} {what}' + (f' ({", ".join(aside)})' if aside else '')


def _tell(report: Any, consent: Consent, *, named: bool) -> None:
    if consent.as_json:
        click.echo(json.dumps(report))
        return
    parts = _parts(report)
    if 'dataset' in report:
        click.echo(f'dataset: {_dataset(report["dataset"], dry_run=report["dry_run"])}')
    for thing, done in parts.items():
        click.echo(('' if len(parts) == 1 else f'{thing}s: ') + _numbers(done, dry_run=report['dry_run']))
        for refused in _shown(done['examples']['refused'], named=named):
            click.echo(f'  refused {refused.get("task_id") or refused.get("job_id")}: {words(_reason(refused))}')


def _shown(refused: Sequence[Mapping[str, Any]], *, named: bool) -> list[Mapping[str, Any]]:
    """What the user named and is refused; else one of all that are refused alike."""
    first: dict[Any, Mapping[str, Any]] = {}
    for place, each in enumerate(refused):
        first.setdefault(place if named else _reason(each), each)
    return list(first.values())


def _dataset(done: Mapping[str, str], *, dry_run: bool) -> str:
    if dry_run and done['result'] == 'changed':
        return f'would change, is {done["status"]}'
    return f'{done["result"]}, {done["status"]}'


def _numbers(done: Done, *, dry_run: bool) -> str:
    changed = f'{"would change" if dry_run else "changed"} {done["changed"]}'
    if done.get('stopping'):
        changed += f' ({done["stopping"]} of them must stop first)'
    return f'{changed}, unchanged {done["unchanged"]}, refused {done["refused"]}'


def _reason(refused: Mapping[str, Any]) -> str:
    return str(refused.get('reason') or f'its status is {refused.get("status")}')


def _exit_code(report: Any, named: int) -> int:
    if 'dataset' in report:
        return PARTIAL if report['dataset']['result'] == 'refused' else 0
    if not named:
        return 0
    done = next(iter(_parts(report).values()))
    # Of tasks the service refuses those that it does not know; jobs it passes over.
    unknown = named - done['changed'] - done['unchanged'] - done['refused'] if 'tasks' in report else 0
    if unknown > 0:
        click.echo(f'jobs named that are not of this dataset: {unknown}', err=True)
    return PARTIAL if done['refused'] or unknown > 0 else 0
