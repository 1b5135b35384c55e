"""What a task needs and what a pilot offers: does one fit the other, and how needs grow.

Memory and disk are in GB, time in hours, cpu and gpu are counts. The rules are those of `POST /task_actions/process`
and of the reports in the IceProd contract.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

Requirements = Mapping[str, Any]

GROWING = ('cpu', 'memory', 'disk', 'time')
"""Requirements that grow after a failure; gpu never does."""

MUST_BE_OFFERED = ('work',)
"""What a pilot has to name, so that those of older releases, which know nothing of it, take no task that needs it."""

TAGGED = 'tagged'
"""A requirement that is alternatives of tags, and what a pilot offers to it: all tags that it has."""

DEFAULTS: Mapping[str, float] = {'cpu': 1, 'gpu': 0, 'memory': 1.0, 'disk': 10.0, 'time': 1.0}

DEFAULT_CEILING: Mapping[str, float] = {'cpu': 64, 'memory': 512.0, 'disk': 4096.0, 'time': 336.0}
"""No failure makes a requirement grow past these."""

# Growth, from the contract: more than one cpu is asked for only when clearly more than the old number was used,
# and a report of over 20 cpus is a measuring error.
_CPU_NOISE = 1.1
_CPU_IMPLAUSIBLE = 20
_SMALLEST_REPORT = 0.5
_HEADROOM = 1.5


def fits(requirements: Requirements, offer: Requirements) -> bool:
    """Whether a pilot with this offer may take a task with these requirements.

    Only what the pilot offers is compared: a requirement it does not name is not looked at, unless it is one of
    `MUST_BE_OFFERED`, and a task that does not name what is offered takes any amount of it. A pilot that offers a gpu
    takes gpu tasks only. Tags fit if the pilot has all of one alternative; a pilot that names none has none.

    Args:
        requirements: of the task.
        offer: plain values, or lists of them.

    Returns:
        True when the task fits.
    """
    if any(_is_wanted(requirements.get(key)) for key in MUST_BE_OFFERED if key not in offer):
        return False
    if TAGGED in requirements and not _tagged(requirements[TAGGED], offer.get(TAGGED)):
        return False
    return all(_fits_one(key, requirements, offered) for key, offered in offer.items() if key != TAGGED)


def _tagged(need: Any, offered: Any) -> bool:
    tags = offered if isinstance(offered, list) else []
    alternatives = need if isinstance(need, list) else []
    return any(
        isinstance(each, list) and all(any(_equal(tag, one) for one in tags) for tag in each) for each in alternatives
    )


def _is_wanted(need: Any) -> bool:
    return any(each is True for each in (need if isinstance(need, list) else [need]))


def wants_gpu(key: str, offered: Any) -> bool:
    """Whether this part of an offer restricts the pilot to gpu tasks."""
    return key == 'gpu' and is_number(offered) and offered > 0


def is_number(value: Any) -> bool:
    """A number that compares with numbers; a bool does not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _fits_one(key: str, requirements: Requirements, offered: Any) -> bool:
    if wants_gpu(key, offered):
        return (
            key in requirements
            and _any(requirements[key], lambda need: need >= 1)
            and _at_most(requirements[key], offered)
        )
    if key not in requirements:
        return True
    need = requirements[key]
    if is_number(offered):
        return _at_most(need, offered)
    each_need = need if isinstance(need, list) else [need]
    if isinstance(offered, bool):
        return any(isinstance(each, bool) and each <= offered for each in each_need)
    return _equal(need, offered) or any(_equal(each, offered) for each in each_need)


def _equal(one: Any, other: Any) -> bool:
    """Equality as the database has it: a bool is no number."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _any(need: Any, holds: Callable[[float], bool]) -> bool:
    return any(is_number(each) and holds(each) for each in (need if isinstance(need, list) else [need]))


def _at_most(need: Any, offered: float) -> bool:
    return _any(need, lambda each: each <= offered)


def grow(requirements: Requirements, used: Mapping[str, float], ceiling: Mapping[str, float]) -> dict[str, Any]:
    """The requirements of the next try, after a try that reported what it used.

    Nothing shrinks, and nothing grows past the ceiling.

    Args:
        requirements: as stored.
        used: reported cpu (cores), memory and disk (GB), time (hours).
        ceiling: the largest value a requirement may grow to.

    Returns:
        New requirements; equal to the old ones when nothing has to grow.
    """
    grown = dict(requirements)
    for key in GROWING:
        wanted = _wanted(key, used[key], _number_or(requirements.get(key), DEFAULTS[key])) if key in used else None
        if wanted is None:
            continue
        wanted = min(wanted, ceiling.get(key, math.inf))
        if wanted > _number_or(requirements.get(key), -math.inf):
            grown[key] = wanted
    return grown


def _wanted(key: str, used: float, old: float) -> float | None:
    if key == 'cpu':
        if used <= _CPU_NOISE or used > _CPU_IMPLAUSIBLE or used < _CPU_NOISE * old:
            return None
        return math.ceil(old) + 1
    return used * _HEADROOM if used >= _SMALLEST_REPORT else None


def _number_or(value: Any, default: float) -> float:
    return value if is_number(value) else default
