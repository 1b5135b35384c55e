"""Where a task may run, as alternatives of tags. What is more than that is refused with a reason."""

from collections.abc import Callable, Mapping

from iceprod_tasks.dialects.drove.checks import Part

_LONGEST_TAG = 128
_NOT_EMPTY = 'must not be empty'
_ALTERNATIVES_AT_MOST = 16
_DEEPEST = 8

Alternatives = frozenset[frozenset[str]]
_ANY: Alternatives = frozenset({frozenset()})

_POLICIES_REFUSED = {
    'LOCAL': 'Local service placement is not allowed for tasks',
    'RULE_BASED': 'rules are programs, which this service does not run for others',
    'ONE_PER_HOST': 'how many tasks a pilot takes is its own business',
    'MAX_N_PER_HOST': 'how many tasks a pilot takes is its own business',
    'NO_TAG': 'every pilot has tags: its site and its host',
}


def placement(spec: Part) -> list[list[str]] | None:
    """The alternatives of tags of which a pilot must have one whole; None where any pilot does.

    Args:
        spec: of a task, with its `placementPolicy`.
    """
    part = spec.part('placementPolicy')
    found = _ANY if part is None else _policy(part, depth=0)
    return None if found == _ANY else sorted(sorted(tags) for tags in found)


def _policy(part: Part, depth: int) -> Alternatives:
    kind = part.kind((*_POLICIES, *_POLICIES_REFUSED))
    if kind in _POLICIES_REFUSED:
        part.breaks('type', f'- {_POLICIES_REFUSED[kind]}')
        return _ANY
    return _POLICIES[kind](part, depth) if kind else _ANY


def _any(part: Part, depth: int) -> Alternatives:
    del part, depth
    return _ANY


def _match_tag(part: Part, depth: int) -> Alternatives:
    del depth
    tag = part.text('tag', missing=_NOT_EMPTY)
    if len(tag) > _LONGEST_TAG:
        part.breaks('tag', f'- has at most {_LONGEST_TAG} characters')
    return frozenset({frozenset({tag})})


def _composite(part: Part, depth: int) -> Alternatives:
    combiner = part.word('combiner', ('AND', 'OR'), default='AND')
    parts = part.parts('policies')
    if not parts:
        part.breaks('policies', _NOT_EMPTY)
        return _ANY
    if depth >= _DEEPEST:
        part.breaks('policies', f'- are nested more than {_DEEPEST} deep')
        return _ANY
    found: Alternatives = _ANY if combiner == 'AND' else frozenset()
    for each in parts:
        its = _policy(each, depth + 1)
        found = frozenset(a | b for a in found for b in its) if combiner == 'AND' else found | its
        if len(found) > _ALTERNATIVES_AT_MOST or any(len(tags) > _ALTERNATIVES_AT_MOST for tags in found):
            part.breaks('policies', f'- come to more than {_ALTERNATIVES_AT_MOST} alternatives, or tags in one')
            return _ANY
    # One that is part of another is met wherever that is.
    return frozenset(tags for tags in found if not any(other < tags for other in found))


_POLICIES: Mapping[str, Callable[[Part, int], Alternatives]] = {
    'ANY': _any,
    'MATCH_TAG': _match_tag,
    'COMPOSITE': _composite,
}
