"""Lists and facts as tables, for people; what a service says is data and never markup."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

_WIDE = 250


def console() -> Console:
    """Where tables go."""
    found = Console(highlight=False)
    if not found.is_terminal:
        # A file has no width to fit.
        found.width = _WIDE
    return found


class Lines:
    """A table whose rows are printed as they come, in portions, with one head; numbers stand on the right.

    Args:
        names: of the columns.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._console = console()
        self._widths = {name: cell_len(name) for name in names}
        self._numbers: set[int] = set()
        self._begun = False

    def print(self, rows: Iterable[Sequence[Any]]) -> None:
        """Print some more rows; columns grow where that is needed."""
        given = list(rows)
        if not self._begun:
            self._numbers = {place for place in range(len(self._widths)) if _are_numbers(row[place] for row in given)}
        cells = [[words(value) for value in row] for row in given]
        for place, name in enumerate(self._widths):
            self._widths[name] = max([self._widths[name], *(cell_len(row[place]) for row in cells)])
        table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), show_header=not self._begun)
        for place, (name, width) in enumerate(self._widths.items()):
            justify: JustifyMethod = 'right' if place in self._numbers else 'left'
            table.add_column(Text(name), min_width=min(width, 32), overflow='fold', justify=justify)
        for row in cells:
            table.add_row(*(Text(cell) for cell in row))
        if cells or not self._begun:
            self._console.print(table)
        self._begun = True


def _are_numbers(values: Iterable[Any]) -> bool:
    known = [value for value in values if value is not None]
    return bool(known) and all(isinstance(value, int | float) for value in known)


def facts(document: Mapping[str, Any]) -> None:
    """Print what is known of one thing, a line each."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow='fold')
    for name, value in document.items():
        table.add_row(Text(name, 'bold'), Text(words(value)))
    console().print(table)


def words(value: Any) -> str:
    """A value as a person reads it, in one line."""
    if value is None or value == '':
        return '-'
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return ''.join(each if each.isprintable() else ' ' for each in text)


def indented(text: str) -> str:
    """Lines as they were printed, but for what moves a terminal's cursor."""
    return '\n'.join(f'    {words(line.expandtabs()) if line else ""}' for line in text.splitlines())


def brief(text: str, longest: int = 40) -> str:
    """A text in one short line."""
    line = ' '.join(words(text).split())
    return line if len(line) <= longest else line[: longest - 1] + '…'
