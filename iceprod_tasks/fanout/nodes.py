"""Node sets from text that nobody has checked: bounded before it is read, each name looked at afterwards.

ClusterShell's own reader is not given such text as a whole: with groups it runs shell commands that stand in a name,
`n[0-9999999]` takes gigabytes, and a thousand addresses in a list take seconds. Here it reads one bracketed pattern at
a time, whose size is known before.
"""

import math
import re
from collections.abc import Iterable, Sequence
from itertools import groupby

from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet, NodeSetException
from ClusterShell.RangeSet import RangeSet

MOST_NODES = 100_000
"""More than that in one set is an error, unless the caller says otherwise."""
LONGEST_TEXT = 2**20
"""Characters of a set. Ten thousand long names fit in."""
_LONGEST_PATTERN = 4096
_LONGEST_NAME = 253
"""As in DNS."""
_FOLDED_AS_GRID = 200
"""So many names with several numbers are folded in all their numbers, which takes the square of the time."""

_NAME = re.compile(r'[A-Za-z0-9_][A-Za-z0-9_.-]*')
_OPERAND = re.compile(r'(?:[^][,!&^]|\[[^][]*\])+')
_BRACKETS = re.compile(r'\[([^][]*)\]')
_RANGE = re.compile(r'([0-9]+)(?:-([0-9]+)(?:/([0-9]+))?)?')
_NUMBER = re.compile(r'([0-9]+)')


class InvalidNodes(NodeSetException, ValueError):
    """What was given as nodes is no set of node names, is empty, or is too large."""


def expand(text: str, most: int = MOST_NODES) -> list[str]:
    """The names in a set, each once, in their natural order.

    Args:
        text: as in `n[1-5,9]`, `r[1-2]n[001-100/3]-ib`; `,` adds, `!` takes away, `&` keeps what both have, `^` what
            one of them has; operators work from left to right. Groups and wildcards are no names.
        most: names that the patterns may stand for, all together.

    Raises:
        InvalidNodes: the text is no such set, or too large. An empty result is no error here.
    """
    if len(text) > LONGEST_TEXT:
        raise InvalidNodes(f'a set of nodes has at most {LONGEST_TEXT} characters')
    names: dict[str, None] = {}
    left = most
    for operator, pattern in _operands(text):
        left -= _size(pattern)
        if left < 0:
            raise InvalidNodes(f'more than {most} nodes: {_brief(text)}')
        names = _combined(names, operator, _names(pattern))
    return sorted(names, key=_natural)


def checked(nodes: str | Iterable[str], most: int = MOST_NODES) -> list[str]:
    """The names of nodes on which something shall run.

    Args:
        nodes: a set as text, or names.
        most: how many there may be.

    Raises:
        InvalidNodes: there is none, there are too many, or one of them is no name of a node.
    """
    if isinstance(nodes, str):
        names = expand(nodes, most)
    else:
        names = list(nodes)
        for name in names:
            _check(name)
    if not names:
        raise InvalidNodes('no nodes')
    if len(names) > most:
        raise InvalidNodes(f'more than {most} nodes')
    return names


def fold(names: Iterable[str]) -> str:
    """Names as a set in brackets, such as `n[1-5,9]`.

    Args:
        names: of nodes. Many names with several numbers are folded in the last number only.
    """
    given = list(names)
    if sum(len(_NUMBER.findall(name)) > 1 for name in given) <= _FOLDED_AS_GRID:
        return str(NodeSet.fromlist(given, resolver=RESOLVER_NOGROUP))
    ordered = sorted(given, key=lambda name: [_natural(part) for part in _around_last_number(name)])
    groups = groupby(ordered, key=lambda name: _around_last_number(name)[::2])
    return ','.join(_folded(before, list(group), after) for (before, after), group in groups)


def _folded(before: str, names: Sequence[str], after: str) -> str:
    numbers = [_around_last_number(name)[1] for name in names]
    if len(numbers) == 1:
        return names[0]
    return f'{before}[{RangeSet.fromlist(numbers)}]{after}'


def _around_last_number(name: str) -> tuple[str, str, str]:
    """What stands before the last number of a name, the number, and what stands behind it."""
    words = _NUMBER.split(name)
    if len(words) == 1:
        return name, '', ''
    *before, number, after = words
    return ''.join(before), number, after


def _operands(text: str) -> Iterable[tuple[str, str]]:
    """Each operator with the pattern behind it; the first one is added to nothing."""
    operator, place = ',', 0
    while place <= len(text):
        match = _OPERAND.match(text, place)
        pattern = match[0].strip(' ') if match else ''
        if pattern:
            yield operator, pattern
        elif operator != ',' or text[place : place + 1] in ('!', '&', '^', '[', ']'):
            raise InvalidNodes(f'something is missing in {_brief(text)}')
        place = match.end() if match else place
        operator = text[place : place + 1]
        if operator in ('[', ']'):
            raise InvalidNodes(f'brackets that do not match: {_brief(text)}')
        place += 1


def _size(pattern: str) -> int:
    """How many names a pattern stands for; what is no range is an error."""
    return math.prod(sum(_length(part) for part in inner.split(',')) for inner in _BRACKETS.findall(pattern))


def _length(part: str) -> int:
    match = _RANGE.fullmatch(part.strip(' '))
    if match is None or len(part) > 100:
        raise InvalidNodes(f'no range of numbers: {_brief(part)}')
    first, last, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
    if last < first or step < 1:
        raise InvalidNodes(f'an empty range: {_brief(part)}')
    return (last - first) // step + 1


def _names(pattern: str) -> list[str]:
    if '[' not in pattern:
        _check(pattern)
        return [pattern]
    if len(pattern) > _LONGEST_PATTERN:
        raise InvalidNodes(f'a pattern has at most {_LONGEST_PATTERN} characters')
    try:
        names = [str(name) for name in NodeSet(pattern, resolver=RESOLVER_NOGROUP)]
    except Exception as error:  # whatever it stumbles over, the input is at fault
        raise InvalidNodes(f'{_brief(pattern)}: {error}') from error
    for name in names:
        _check(name)
    return names


def _combined(names: dict[str, None], operator: str, others: list[str]) -> dict[str, None]:
    if operator == ',':
        return names | dict.fromkeys(others)
    theirs = set(others)
    if operator == '!':
        return {name: None for name in names if name not in theirs}
    if operator == '&':
        return {name: None for name in names if name in theirs}
    return {name: None for name in [*names, *others] if (name in names) != (name in theirs)}


def _check(name: str) -> None:
    """A name may neither be an option of ssh nor mean anything to a shell."""
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise InvalidNodes(f'no name of a node: {_brief(name)}')


def _natural(name: str) -> list[tuple[str, int, int]]:
    """Names with equal words are ordered by their numbers."""
    words = _NUMBER.split(name)
    numbers = [*words[1::2], '']
    return [(word, int(n or 0), len(n)) for word, n in zip(words[::2], numbers, strict=True)]


def _brief(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + '...')
