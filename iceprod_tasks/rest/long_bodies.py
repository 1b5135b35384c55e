"""Long bodies: lists of a hundred thousand ids are read and checked in steps, and others have a turn after each.

No thread would help: Python runs one at a time, and lets no other one in while it parses. The one step that cannot be
divided is the parser's own, 9 ms for a hundred thousand ids.
"""

import asyncio
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from iceprod_tasks.rest import bodies, strict_json
from iceprod_tasks.rest.keywords import are_ids
from iceprod_tasks.rest.quick_check import Check, compiled

LONG_BYTES = 64 * 1024
"""Shorter bodies are read at once, in a millisecond."""

_AT_ONCE = 5000


async def read(text: bytes, schema: str) -> dict[str, Any]:
    """A body that fits its schema, and has no keys that a database could take for operators or paths.

    Args:
        text: the body.
        schema: name of a file in `schemas/`, without its ending.

    Raises:
        InvalidRequest: it is no JSON object, or does not fit.
    """
    steps = strict_json.steps(text)
    while (body := next(steps)) is None:
        await _turn()
    await _turn()
    fits, names = _fits_but_ids(schema)
    ids = {name: body[name] for name in names if name in body}
    if not fits(body) or not await _all_are_ids(ids.values()):
        # It says why, which nobody has to be quick for.
        bodies.check(body, schema)
    bodies.check_keys({key: value for key, value in body.items() if key not in ids})
    return body


async def unique(ids: Sequence[str]) -> list[str]:
    """Each of some ids once, in their order."""
    seen: dict[str, None] = {}
    for some in _slices(ids):
        seen |= dict.fromkeys(some)
        await _turn()
    return list(seen)


async def _all_are_ids(lists: Any) -> bool:
    for ids in lists:
        for some in _slices(ids):
            if not are_ids(some):
                return False
            await _turn()
    return True


async def _turn() -> None:
    await asyncio.sleep(0)


def _slices(items: Sequence[Any]) -> Iterator[Any]:
    return (items[start : start + _AT_ONCE] for start in range(0, len(items), _AT_ONCE))


@functools.cache
def _fits_but_ids(schema: str) -> tuple[Check, list[str]]:
    """A check of all but what the ids in lists look like, and the names of these lists."""
    whole: Mapping[str, Any] = bodies.whole_schema(schema)
    own = whole.get('properties', {})
    names = [name for name, part in own.items() if 'x-ids' in part]
    without = {name: {key: item for key, item in own[name].items() if key != 'x-ids'} for name in names}
    return compiled({**whole, 'properties': {**own, **without}}), names
