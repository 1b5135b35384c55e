"""What commands ask before they change something, on a real terminal; and what they say of themselves."""

import asyncio
import contextlib
import os
import pty
import sys
from collections.abc import Awaitable, Callable, Iterator

import click
import pytest
from click.testing import CliRunner

from iceprod_tasks.cli.main import COMMANDS, main
from tests.conftest import Api

PATIENCE_SECONDS = 60


def groups_and_commands(command: click.Command, *words: str) -> Iterator[tuple[str, ...]]:
    yield words
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            yield from groups_and_commands(each, *words, name)


@pytest.mark.parametrize('words', list(groups_and_commands(main))[1:], ids=' '.join)
def test_every_command_has_an_example_that_begins_like_it(words: tuple[str, ...]) -> None:
    said = CliRunner().invoke(main, [*words, '--help']).stdout

    example = ' '.join(said.partition('Example')[2].partition('Options:')[0].split())
    assert f'iceprod-tasks {" ".join(words)} ' in f'{example} '
    assert f'Usage: iceprod-tasks {" ".join(words)} ' in said.replace('Usage: main', 'Usage: iceprod-tasks')


def test_the_help_lists_the_commands_in_the_order_of_their_use() -> None:
    said = CliRunner().invoke(main, ['--help']).stdout.partition('Commands:')[2]

    listed = [line.split()[0] for line in said.splitlines() if line.strip()]
    assert listed == [command.name for command in COMMANDS]
    assert listed[0] == 'serve'


async def on_a_terminal(api: Api, *words: str, answer: str) -> tuple[int, str]:
    """Run a command whose user sits at a terminal; its exit code and what stands on the screen."""
    user, command = pty.openpty()
    environment = {
        **os.environ, 'no_proxy': '*', 'ICEPROD_TASKS_SERVER': api.url, 'ICEPROD_TASKS_TOKEN': api.token('admin'),
    }  # fmt: skip
    argv = (sys.executable, '-m', 'iceprod_tasks.cli.main', *words)
    process = await asyncio.create_subprocess_exec(
        *argv, env=environment, stdin=command, stdout=command, stderr=command
    )
    os.close(command)
    os.write(user, answer.encode())
    code = await asyncio.wait_for(process.wait(), PATIENCE_SECONDS)
    screen = b''
    with contextlib.suppress(OSError):
        while piece := os.read(user, 65536):
            screen += piece
    os.close(user)
    return code, screen.decode()


@pytest.mark.parametrize(
    ('answer', 'code', 'status'), [('y\n', 0, 'suspended'), ('n\n', 1, 'queued'), ('\n', 1, 'queued')]
)
async def test_a_terminal_is_asked_with_the_number(
    api: Api, chores: Callable[[], Awaitable[None]], answer: str, code: int, status: str
) -> None:
    dataset_id = await api.add_dataset([{'name': 'gen', 'command': 'true'}], jobs=2)
    await chores()

    ended, screen = await on_a_terminal(api, 'tasks', 'suspend', dataset_id, answer=answer)

    assert ended == code, screen
    assert f'suspend 2 tasks of dataset {dataset_id} "a test"? [y/N]' in screen
    assert ('nothing has been changed' in screen) == bool(code)
    assert {task['status'] async for task in api.database.tasks.find()} == {status}
