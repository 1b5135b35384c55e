"""Signatures: short names for the requirements of tasks, so that a claim looks at kinds of tasks and not at each task.

A signature only says which tasks need not be looked at. Whether a task fits is decided by `requirements.fits` alone.
There are three classes, told apart by how they look:

* *exact*, 16 hex digits: all its tasks have equal requirements;
* *ladder*, `l` and 15 hex digits: requirements that have grown after a failure, equal once they are rounded up to a
  ladder of fixed values. What was used is never the same twice, so that without it each failed task would be alone;
* *bucket*, `b` and two hex digits: anything. Kinds are put there when there are too many of them.

A task without a signature (`UNSIGNED`), or with one of a later release, may be anything as well.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from iceprod_tasks.domain.requirements import GROWING, Requirements, fits, is_number

UNSIGNED = ''
"""The signature of a task whose requirements were changed by two at once."""

BUCKETS = 256

# With four steps an octave nothing is rounded up by more than a quarter. Outside of these bounds all is one step:
# hardly anything grows to such values, and the ladder has two ends.
_STEPS_AN_OCTAVE = 4
_LOWEST = 0.25
_HIGHEST = 2.0**20
_WHOLE_CPUS = 64
_HEX = frozenset('0123456789abcdef')


def signature(requirements: Requirements) -> str:
    """The exact signature of requirements: equal ones have equal signatures.

    Args:
        requirements: of a task, as they were submitted or set by hand.

    Returns:
        16 hex digits.
    """
    return _hash(requirements)


def grown_signature(requirements: Requirements) -> str:
    """The ladder signature of requirements that have grown.

    Args:
        requirements: of a task.

    Returns:
        `l` and 15 hex digits.
    """
    return 'l' + _hash({**requirements, **_rounded(requirements)})[1:]


def signature_with(name: str, member: Requirements, values: Requirements) -> str:
    """The signature that tasks of one come to when the same requirements are set on all of them.

    Args:
        name: their signature.
        member: requirements of one of them, whichever.
        values: what is set; requirements that are not named stay.

    Returns:
        One of the same class. What has grown stays rounded: all of a group are rounded alike in what is not set.
    """
    if is_exact(name):
        return signature({**member, **values})
    return grown_signature({**member, **values}) if _is_ladder(name) else name


def bucket_of(name: str) -> str:
    """The bucket that tasks of a signature come to when there are too many kinds.

    Args:
        name: an exact or ladder signature; all others stay as they are.
    """
    return f'b{name[1:3]}' if is_exact(name) or _is_ladder(name) else name


def holds_anything(name: str) -> bool:
    """Whether tasks of a signature may need anything: buckets, and what is not known."""
    return not (is_exact(name) or _is_ladder(name))


def may_fit(name: str, member: Requirements, offer: Requirements) -> bool:
    """Whether any task of a signature can fit an offer.

    Args:
        name: the signature.
        member: requirements of one of its tasks, whichever.
        offer: of a pilot.

    Returns:
        False only when none of its tasks fits.
    """
    needed = needs_at_least(name, member)
    return needed is None or fits(needed, offer)


def needs_at_least(name: str, member: Requirements) -> Requirements | None:
    """What an offer has to have so that any task of a signature can fit it.

    Args:
        name: the signature.
        member: requirements of one of its tasks, whichever.

    Returns:
        Requirements; None where tasks of it may need anything.
    """
    if is_exact(name):
        return member
    return {**member, **_least(member)} if _is_ladder(name) else None


def must_fit(name: str, member: Requirements, offer: Requirements) -> bool:
    """Whether all tasks of a signature fit an offer, where one may; arguments as for `may_fit`."""
    if is_exact(name):
        return True
    return fits({**member, **_rounded(member)}, offer) if _is_ladder(name) else False


def is_signed_right(name: str, requirements: Requirements) -> bool:
    """Whether a task with these requirements may have this signature."""
    if is_exact(name):
        return name == signature(requirements)
    return name == grown_signature(requirements) if _is_ladder(name) else True


def rung(key: str, value: float) -> float:
    """The value of the ladder that a grown requirement is rounded up to.

    Args:
        key: one of `GROWING`.
        value: of the requirement.

    Returns:
        The least of the ladder that is not below it; infinite above the ladder.
    """
    if not value > _LOWEST:
        return _LOWEST if value <= _LOWEST else value
    if value > _HIGHEST:
        return math.inf
    if key == 'cpu' and value <= _WHOLE_CPUS:
        return float(math.ceil(value))
    _, exponent = math.frexp(value)
    step = math.ldexp(1.0, exponent - 1) / _STEPS_AN_OCTAVE
    # Multiplied and divided by powers of two, nothing is lost. An octave begins at a mantissa of a half.
    return math.ceil(value / step) * step


def rung_below(key: str, value: float) -> float:
    """The next lower value of the ladder: all that is rounded up to the same rung as a value is above this.

    Args:
        key: one of `GROWING`.
        value: of the requirement.

    Returns:
        The rung below that of the value; minus infinite below the ladder.
    """
    top = rung(key, value)
    if not top > _LOWEST:
        return -math.inf if top == _LOWEST else value
    if math.isinf(top):
        return _HIGHEST
    if key == 'cpu' and top <= _WHOLE_CPUS:
        return max(top - 1.0, _LOWEST)
    # A step is smaller below an octave's beginning than above.
    _, exponent = math.frexp(math.nextafter(top, 0.0))
    return top - math.ldexp(1.0, exponent - 1) / _STEPS_AN_OCTAVE


def _rounded(requirements: Requirements) -> dict[str, float]:
    return {key: rung(key, requirements[key]) for key in _growing(requirements)}


def _least(requirements: Requirements) -> dict[str, float]:
    """The smallest values that are rounded like these."""
    return {key: math.nextafter(rung_below(key, requirements[key]), math.inf) for key in _growing(requirements)}


def _growing(requirements: Requirements) -> list[str]:
    return [key for key in GROWING if is_number(requirements.get(key))]


def is_exact(name: str) -> bool:
    """Whether all tasks of a signature fit whenever one does."""
    return len(name) == 16 and name[0] in _HEX


def _is_ladder(name: str) -> bool:
    return len(name) == 16 and name[0] == 'l'


def _hash(requirements: Requirements) -> str:
    canonical = json.dumps(_canonical(requirements), sort_keys=True, separators=(',', ':'), ensure_ascii=True)
    return hashlib.blake2b(canonical.encode(), digest_size=8).hexdigest()


def _canonical(value: Any) -> Any:
    """The same value with 2 and 2.0 written alike, as they compare alike."""
    if isinstance(value, Mapping):
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value
