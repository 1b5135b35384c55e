"""`iceprod-tasks export` and `import`: all that a database has, in a file and back."""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from iceprod_tasks import __version__
from iceprod_tasks.cli.database import database_options, open_store
from iceprod_tasks.cli.endings import CONFLICT, plainly, stop
from iceprod_tasks.settings import Settings
from iceprod_tasks.storage.export_reading import ExportFile
from iceprod_tasks.storage.export_writing import PartFile, Writer
from iceprod_tasks.storage.exports import Export
from iceprod_tasks.storage.imports import Import

_STREAM = '-'
_PIECE_BYTES = 1024 * 1024


@click.command()
@click.argument('file', type=click.Path(dir_okay=False, path_type=Path), default=_STREAM)
@click.option('--dataset', 'dataset_ids', metavar='D', multiple=True, help='Only this dataset; repeatable.')
@database_options
def export(file: Path, dataset_ids: tuple[str, ...], **where: Any) -> None:
    """Write all that the database has to FILE.

    Lines of JSON, compressed if FILE ends in .gz; stdout unless you name one. A service may run meanwhile. After an
    interruption the same command goes on.

    \b
    Example:  iceprod-tasks export backup.ndjson.gz
    """
    with plainly(), _files():
        settings = Settings.from_environment().override(**where)
        if str(file) == _STREAM:
            asyncio.run(_export(settings, dataset_ids, Writer(_Stdout())))
            return
        if file.exists():
            stop(f'{file} is there already', CONFLICT)
        part = PartFile(file)
        try:
            writer = part.go_on()
            asyncio.run(_export(settings, dataset_ids, writer))
            part.finish()
        finally:
            part.close()
        click.echo(f'{file}: {_counted(writer.counts)}', err=True)


class _Stdout:
    def write(self, lines: bytes) -> None:
        sys.stdout.buffer.write(lines)
        sys.stdout.buffer.flush()


async def _export(settings: Settings, dataset_ids: tuple[str, ...], writer: Writer) -> None:
    async with open_store(settings, make=False) as store:
        with _bar('exported') as told:
            await Export(store, settings.mongodb_database, __version__, dataset_ids).write(writer, told)


@click.command('import')
@click.argument('file', type=click.Path(dir_okay=False, path_type=Path))
@click.option('--merge', is_flag=True, help='Leave all that is there already as it is, and import the rest.')
@click.option('--allow-weak-durability', is_flag=True, help='Import into a standalone MongoDB.')
@database_options
def import_(file: Path, *, merge: bool, allow_weak_durability: bool, **where: Any) -> None:
    """Read FILE, written by `export`, into the database; `-` is stdin.

    Nothing is changed unless all of FILE is good. Claims from before the export are over: what was being worked on is
    queued again. After an interruption the same command goes on.

    \b
    Example:  iceprod-tasks import backup.ndjson.gz
    """
    with plainly(), _files(), _readable(file) as opened:
        settings = Settings.from_environment().override(**where, allow_weak_durability=allow_weak_durability or None)
        asyncio.run(_import(settings, ExportFile(opened), merge=merge))


async def _import(settings: Settings, file: ExportFile, *, merge: bool) -> None:
    header = file.header()
    async with open_store(settings, make=True) as store:
        task = Import(store, file, merge=merge)
        mark = await task.mark(header)
        await store.prepare(allow_weak_durability=settings.allow_weak_durability)
        if mark and 'finished' in mark and not merge:
            click.echo(f'this export was imported at {mark["finished"]:%Y-%m-%d %H:%M:%S} UTC; nothing to do', err=True)
            return
        with _bar('checked') as told:
            total = sum(header['counts'].values())
            total = await task.check(header, lambda done: told(done, total))
        try:
            with _bar('imported') as told:
                await task.run(header, lambda done: told(done, total))
        finally:
            click.echo(f'imported: {_counted(task.imported)}; there before: {_counted(task.present)}', err=True)


@contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar, where somebody can see it."""
    console = Console(stderr=True)
    columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        line = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(line, completed=done, total=max(done, total))


@contextmanager
def _readable(file: Path) -> Iterator[BinaryIO]:
    """A file that can be read more than once."""
    if str(file) != _STREAM:
        with file.open('rb') as opened:
            yield opened
        return
    with tempfile.TemporaryFile() as kept:
        shutil.copyfileobj(sys.stdin.buffer, kept, _PIECE_BYTES)
        yield kept


@contextmanager
def _files() -> Iterator[None]:
    """Turn what can happen to files into a line."""
    try:
        yield
    except OSError as error:
        stop(f'{error.filename or "the file"}: {error.strerror or error}')


def _counted(counts: Any) -> str:
    return ', '.join(f'{number} {name}' for name, number in counts.items() if number) or 'nothing'
