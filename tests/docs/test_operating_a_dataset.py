"""docs/operating-a-dataset.md: every command does what the page says, and prints what it shows."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.terminals import PATIENCE_SECONDS, SecondTerminal, first_terminal

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / 'docs' / 'operating-a-dataset.md').read_text(encoding='utf-8')
BLOCKS = re.findall(r'```bash\n(.*?)```\n(?:\n```text\n(.*?)```\n)?', PAGE, re.DOTALL)
"""What is typed, and what is printed then; where the page shows nothing, nothing."""

LOOK = re.compile(r'(iceprod-tasks (status|\w+ (list|show|messages))\b[^|]*\n)+')
"""Commands that only look; the page says that one looks again."""

VARIABLE = re.compile(
    r'(?P<left_out>^\.\.\.\n)|(?P<id>\b[0-9a-f]{32}\b)|(?P<when>\d{4}-\d\d-\d\dT[\d:.]+)|(?P<clock>\d:\d\d:\d\d)'
    r'|(?P<size>\d+(?= bytes))',
    re.MULTILINE,
)
PATTERNS = {
    'left_out': r'(?:.*\n)*?',
    'when': r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}',
    'clock': r'\d:\d\d:\d\d',
    'size': r'\d+',
}


class Reader:
    """Compares what is printed with the page. An id of the page stands for one and the same id everywhere."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}

    def finds(self, shown: str, printed: str) -> bool:
        """Whether what the page shows has been printed."""
        found = re.fullmatch(self._pattern(shown), printed)
        if found:
            self._ids |= {name.removeprefix('id_'): value for name, value in found.groupdict().items()}
        return bool(found)

    def _pattern(self, shown: str) -> str:
        pattern, place, here = '', 0, set[str]()
        for variable in VARIABLE.finditer(shown):
            kind, text = str(variable.lastgroup), variable[0]
            pattern += re.escape(shown[place : variable.start()])
            if kind != 'id':
                pattern += PATTERNS[kind]
            elif text in here:
                pattern += f'(?P=id_{text})'
            else:
                here.add(text)
                pattern += f'(?P<id_{text}>{self._ids.get(text, "[0-9a-f]{32}")})'
            place = variable.end()
        return pattern + re.escape(shown[place:])


@pytest.fixture
def service_url(environment: dict[str, str]) -> Iterator[str]:
    """The service of the first terminal."""
    ((command,),) = [re.findall(r'```sh\n(.*)\n```', PAGE)]
    with first_terminal(command, environment) as url:
        yield url


@pytest.fixture
def terminal(tmp_path: Path, environment: dict[str, str]) -> Iterator[SecondTerminal]:
    """The second terminal, in a folder with what the page uses of a checkout, and where files may be left."""
    folder = tmp_path / 'checkout'
    folder.mkdir()
    for name in ('docs', 'scripts'):
        (folder / name).symlink_to(ROOT / name)
    terminal = SecondTerminal(folder, environment)
    yield terminal
    terminal.close()


def test_every_command_prints_what_the_page_shows(
    terminal: SecondTerminal, service_url: str, environment: dict[str, str]
) -> None:
    reader = Reader()

    for typed, shown in BLOCKS:
        expected = shown.replace('~/.local/share', environment['XDG_DATA_HOME'])
        commands = typed.replace('http://127.0.0.1:8080', service_url)
        until = time.monotonic() + PATIENCE_SECONDS
        printed = seen(terminal, commands)
        while not reader.finds(expected, printed) and LOOK.fullmatch(typed) and time.monotonic() < until:
            printed = seen(terminal, commands)

        assert reader.finds(expected, printed), f'{commands}\nprinted:\n{printed}\nand not:\n{expected}'


def seen(terminal: SecondTerminal, commands: str) -> str:
    """What a command prints, as a person sees it: without what ends a line unseen, and without empty lines."""
    lines = (line.rstrip() for line in terminal.type(commands).splitlines())
    return ''.join(f'{line}\n' for line in lines if line)
