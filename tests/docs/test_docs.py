"""The documentation builds without a warning, and leaves out no flag, no variable, no route, no transition."""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path

import click
import pytest

from iceprod_tasks.cli import endings
from iceprod_tasks.cli.main import main
from iceprod_tasks.client import Claim
from iceprod_tasks.domain.placeholders import NAMES
from iceprod_tasks.domain.statuses import STATUSES, TRANSITIONS
from iceprod_tasks.pilot.command import INHERITED, command_of
from iceprod_tasks.settings import Settings
from tests.docs.routes import Served, served

DOCS = Path(__file__).resolve().parents[2] / 'docs'
COMMANDS = (DOCS / 'commands.md').read_text(encoding='utf-8')
OPERATING = (DOCS / 'operating.md').read_text(encoding='utf-8')
CONFIG = (DOCS / 'config.md').read_text(encoding='utf-8')


class Page(HTMLParser):
    """What a built page says, where its links lead, and what can be linked to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places = {''}
        self.text = ''
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == 'a':
            self.links.append(given.get('href') or '')
        self.places.add(given.get('id') or '')

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope='module')
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Page]:
    """The pages, by name of their file."""
    folder = tmp_path_factory.mktemp('docs')
    sphinx = [sys.executable, '-m', 'sphinx', '-W', '-n', '-q', '-b', 'html', '-d', folder / 'trees']
    built = subprocess.run([*sphinx, DOCS, folder / 'html'], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return {path.name: Page(path.read_text(encoding='utf-8')) for path in (folder / 'html').glob('*.html')}


def test_every_promise_is_held_by_tests_that_exist() -> None:
    parts = re.split(r'^### ', (DOCS / 'promises.md').read_text(encoding='utf-8'), flags=re.M)[1:]
    named = [(part.splitlines()[0], re.findall(r'`(\S+\.py)::(test_\w+)`', part)) for part in parts]

    assert [promise for promise, tests in named if not tests] == []
    gone = [
        test for _, tests in named for file, test in tests
        if not re.search(rf'def {test}\(', (DOCS.parent / 'tests' / file).read_text(encoding='utf-8'))
    ]  # fmt: skip
    assert gone == []


def test_every_link_between_pages_leads_somewhere(site: dict[str, Page]) -> None:
    links = [(name, link.partition('#')) for name, page in site.items() for link in page.links if '://' not in link]

    dead = [
        (name, ''.join(link))
        for name, link in links
        if link[0] not in {'', *site} or link[2] not in site[link[0] or name].places
    ]

    assert len(links) > 100
    assert not dead


@pytest.mark.parametrize('route', served(), ids=str)
def test_every_route_is_in_the_reference(site: dict[str, Page], route: Served) -> None:
    assert route.handler in site['rest.html'].text


def test_every_method_of_every_route_is_in_the_table_of_permissions(site: dict[str, Page]) -> None:
    table = site['security.html'].text
    paths = {
        str(route): re.sub(r'\(\?P<(\w+)>[^)]*\)', r'{\1}', route.path.pattern).replace('\\', '') for route in served()
    }
    calls = {name: f'{name.split()[0]} {path.rstrip("$").split("(?:")[0]}' for name, path in paths.items()}

    missing = [name for name, call in calls.items() if call not in table]

    assert len(calls) > 70
    assert missing == []


@pytest.mark.parametrize('name', TRANSITIONS)
def test_every_transition_is_in_the_drawing(site: dict[str, Page], name: str) -> None:
    drawing = site['statuses.html'].text.partition('transitions between them')[2].partition('An arrow between')[0]

    assert name in drawing


@pytest.mark.parametrize('status', STATUSES)
def test_every_status_is_explained(status: str) -> None:
    assert f'\n{status}\n: ' in (DOCS / 'statuses.md').read_text(encoding='utf-8')


RUN = {
    'serve': '## A service', 'token': '## Tokens', 'account': '## Accounts', 'pilot': '## A pilot',
    'export': '## Backup, export and import', 'import': '## Backup, export and import',
}  # fmt: skip
"""The commands that operators run, and where docs/operating.md has them; all others are in docs/commands.md."""


def leaves(command: click.Command, *words: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that is no group, with the words that lead to it."""
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            yield from leaves(each, *words, name)
    else:
        yield words, command


def flags() -> list[tuple[tuple[str, ...], str]]:
    """Every flag of every command."""
    return [
        (words, flag)
        for words, command in leaves(main)
        for option in command.params
        if isinstance(option, click.Option)
        for flag in (*option.opts, *option.secondary_opts)
    ]


def section(page: str, heading: str) -> str:
    return page.partition(f'\n{heading}\n')[2].partition('\n## ')[0]


@pytest.mark.parametrize(('words', 'flag'), flags(), ids=lambda each: each if isinstance(each, str) else ' '.join(each))
def test_every_flag_has_a_row_in_the_table_of_its_command(words: tuple[str, ...], flag: str) -> None:
    if words[0] in RUN:
        assert f'\n| `{flag}` |' in section(OPERATING, RUN[words[0]])
    elif flag.startswith('--no-'):
        assert f'`{flag}`: do not' in section(COMMANDS, f'## {words[0]}')
    else:
        where = section(COMMANDS, f'## {words[0]}') + section(COMMANDS, '## What all commands share')
        assert f'\n| `{flag}` |' in where


@pytest.mark.parametrize('words', [words for words, _ in leaves(main) if words[0] not in RUN], ids=' '.join)
def test_every_command_is_in_the_section_of_its_group(words: tuple[str, ...]) -> None:
    assert re.search(rf'`(iceprod-tasks )?{" ".join(words)}\b', section(COMMANDS, f'## {words[0]}'))


@pytest.mark.parametrize('name', [name for name in vars(endings) if type(getattr(endings, name)) is int])
def test_every_exit_code_has_a_row(name: str) -> None:
    assert f'\n| {getattr(endings, name)} | ' in section(OPERATING, '## Exit codes')


class Asked(Mapping[str, str]):
    """An empty environment that knows what it was asked for."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __getitem__(self, name: str) -> str:
        self.names.append(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def test_every_variable_of_the_service_has_a_row() -> None:
    environment = Asked()

    Settings.from_environment(environment)

    assert environment.names
    assert [name for name in environment.names if f'| `{name}` |' not in OPERATING] == []


def test_every_variable_of_a_task_has_a_row() -> None:
    task = dict.fromkeys(('task_id', 'dataset_id', 'job_id', 'job_index', 'name', 'failures'), 1)
    claim = Claim({**task, 'task_index': 0}, '0' * 32, 1)  # type: ignore[typeddict-item]

    environment = command_of({'tasks': [{'command': 'true'}]}, claim, dict.fromkeys(INHERITED, '')).environment

    assert len(environment) > len(INHERITED)
    assert [name for name in environment if f'`{name}`' not in CONFIG] == []


@pytest.mark.parametrize('name', NAMES)
def test_every_placeholder_has_a_row(name: str) -> None:
    assert f'| `${{{name}}}` |' in CONFIG
