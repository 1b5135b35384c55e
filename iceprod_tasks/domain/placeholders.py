"""`${name}` in the strings of a dataset's config: which names there are, and what they stand for.

`$${name}` is a literal `${name}`, so that a shell line can still say `$${HOME}`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from iceprod_tasks.domain.errors import InvalidRequest

NAMES = ('job_index', 'task_index', 'dataset_id', 'job_id', 'task_id')

_PLACEHOLDER = re.compile(r'(?P<escape>\$)?\$\{(?P<name>[^{}]*)\}')


def literal(text: str) -> str:
    """A text of which `expand` makes the given one, whatever is in it."""
    return _PLACEHOLDER.sub(lambda match: match[0].replace('${', '$${', 1), text)


def expand(text: str, values: Mapping[str, object]) -> str:
    """Put values in place of placeholders.

    Args:
        text: a string of the config.
        values: what each name of `NAMES` stands for.

    Returns:
        The text with every placeholder replaced.

    Raises:
        InvalidRequest: a placeholder names something that does not exist.
    """

    def value_of(match: re.Match[str]) -> str:
        if match['escape']:
            return match[0][1:]
        if match['name'] not in values:
            raise InvalidRequest(f'unknown name {match[0]}')
        return str(values[match['name']])

    return _PLACEHOLDER.sub(value_of, text)


def expand_all(value: Any, values: Mapping[str, object]) -> Any:
    """`expand` on every string inside lists and dicts, keys left alone."""
    if isinstance(value, str):
        return expand(value, values)
    if isinstance(value, list):
        return [expand_all(item, values) for item in value]
    if isinstance(value, dict):
        return {key: expand_all(item, values) for key, item in value.items()}
    return value


def unknown_names(value: Any, place: str = '') -> Iterator[tuple[str, str]]:
    """Every placeholder that names nothing.

    Args:
        value: a part of the config.
        place: where that part stands, for example `tasks[0].command`.

    Yields:
        (place, placeholder) pairs, in the order of the document.
    """
    if isinstance(value, str):
        for match in _PLACEHOLDER.finditer(value):
            if not match['escape'] and match['name'] not in NAMES:
                yield place, match[0]
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from unknown_names(item, f'{place}[{index}]')
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from unknown_names(item, f'{place}.{key}' if place else key)
